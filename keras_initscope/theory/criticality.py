"""What a deep network of one nonlinearity does over depth, on its critical line or beside it.

Owns the record that says so, in numbers and in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from numbers import Real

import numpy as np

from keras_initscope.theory.fixedpoints import (
    NEXT_TO_ZERO,
    Case,
    FixedPoint,
    correlation_fixed_point,
    named_point,
    variance_fixed_point,
)
from keras_initscope.theory.lines import (
    LARGEST_VARIANCE,
    critical_line,
    critical_variances,
    most_stable_point,
)
from keras_initscope.theory.meanfield import MARGINAL, chi_1, correlation_slope, depth_scale
from keras_initscope.theory.moments import slope_second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity

DEPTH_SCALES = 6.0
"""Correlation lengths that a network can be deep and still train (Schoenholz et al., 2017)."""

_ADVICE = {
    Case.STABLE: "",
    Case.SCALE_INVARIANT: (
        "Every variance is kept and q* is where the input puts it; the critical set is this one "
        "point. Noise of finite width adds up over depth."
    ),
    Case.MARGINAL: (
        "The variance nears q* more slowly than exponentially; for a network of L layers the "
        "critical point at q* = 1 / L keeps it in reach."
    ),
    Case.DIVERGENT: (
        "What helps: a smaller weight or bias variance, smaller inputs, normalization layers, or "
        "scaling each layer from data."
    ),
    Case.NO_CRITICAL_POINT: (
        "What helps: normalization layers, residual branches, or an activation shifted and "
        "scaled to zero mean and unit slope at the chosen q*."
    ),
    Case.DISCONTINUOUS: (
        "A jump parts two close inputs at any weight variance, while automatic differentiation "
        "sees no gradient there. What helps: a continuous relative such as soft_shrink."
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Criticality:
    """What a deep network of one nonlinearity does at given weight and bias variances.

    Its `str` is the reading. Numbers that do not exist are `nan`.

    Args:
        activation: Name of the nonlinearity.
        case: What happens to the variance of the signal, by name.
        critical_weight_variance: Weight variance, times fan-in, at which `chi_1 = 1` for this
            bias variance.
        weight_variance: Weight variance, times fan-in, that is described.
        bias_variance: Bias variance that is described.
        q: Fixed point `q*` of the pre-activation variance.
        variance_slope: Slope `dV` of the variance map at `q*`; stable below 1.
        chi_1: Factor of the squared gradient per layer at `q*`.
        c: Correlation `c*` that two different examples tend to.
        xi_q: Layers over which a deviation of the variance changes e-fold.
        xi_c: Layers over which a deviation of the correlation decays e-fold.
        trainable_depth: About `6 xi_c` layers; `nan` where the variance does not settle.
        advice: What helps; empty where nothing needs help.
    """

    activation: str
    case: Case
    critical_weight_variance: float = float("nan")
    weight_variance: float = float("nan")
    bias_variance: float = float("nan")
    q: float = float("nan")
    variance_slope: float = float("nan")
    chi_1: float = float("nan")
    c: float = float("nan")
    xi_q: float = float("nan")
    xi_c: float = float("nan")
    trainable_depth: float = float("nan")
    advice: str = ""

    @property
    def is_stable(self) -> bool:
        """Whether the variance settles or stays, be it only as a power of depth."""
        return self.case in (Case.STABLE, Case.MARGINAL, Case.SCALE_INVARIANT)

    def __str__(self) -> str:
        rows = [
            ("weight variance", self.weight_variance, "times 1/fan_in"),
            ("critical", self.critical_weight_variance, "weight variance where chi_1 = 1"),
            ("bias variance", self.bias_variance, ""),
            ("q*", self.q, "variance of a pre-activation"),
            ("dV", self.variance_slope, f"at q*; {_pace(self.xi_q)}"),
            ("chi_1", self.chi_1, "factor of the squared gradient a layer"),
            ("c*", self.c, "correlation that two examples tend to"),
            ("xi_c", self.xi_c, _layers(self.xi_c)),
            ("trainable depth", self.trainable_depth, _layers(self.trainable_depth, ", 6 xi_c")),
        ]
        title = f"{self.activation}: {'' if self.is_stable else 'warning, '}{self.case}"
        lines = [
            f"{name:>16}  {value:<8.5g}  {note}" for name, value, note in rows if value == value
        ]
        return "\n".join(line.rstrip() for line in [title, *lines, self.advice] if line)


def _pace(scale: float) -> str:
    """In words how fast a deviation of the variance changes."""
    if np.isinf(scale):
        return "a small deviation stays"
    return f"e-fold in {scale:.4g} layers" if scale > 0 else "gone in one layer"


def _layers(count: float, note: str = "") -> str:
    return "no limit in depth" if np.isinf(count) else f"layers{note}"


@lru_cache(maxsize=256)
def criticality(
    phi: Nonlinearity,
    bias_variance: float | None = None,
    weight_variance: float | None = None,
    start: float = 1.0,
) -> Criticality:
    """What a deep network of one nonlinearity does over depth.

    Args:
        phi: The nonlinearity.
        bias_variance: Bias variance. `None` takes that of the critical point of unit variance,
            `q* = 1`, or zero where there is none, or where `weight_variance` is given.
        weight_variance: Weight variance times fan-in; `None` takes the critical one.
        start: Pre-activation variance of the first layer; used with `weight_variance`.

    Returns:
        The fixed point, its stability, the depth scales and what helps.

    Raises:
        ValueError: If a variance is negative or not finite.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    found = criticality(nonlinearity("tanh"), bias_variance=0.05, weight_variance=1.0)
    assert found.case == "stable" and 0 < found.trainable_depth < 30
    ```
    """
    given = (bias_variance or 0.0, weight_variance or 0.0, start)
    if not all(isinstance(each, Real) and isfinite(each) and each >= 0 for each in given):
        raise ValueError(
            "Expected variances that are finite and not negative. Received: "
            f"bias_variance={bias_variance!r}, weight_variance={weight_variance!r}, "
            f"start={start!r}."
        )
    if not phi.is_continuous:
        return Criticality(
            activation=phi.name, case=Case.DISCONTINUOUS, advice=_ADVICE[Case.DISCONTINUOUS]
        )
    if weight_variance is None:
        return _critical_point(phi, bias_variance)
    bias = bias_variance or 0.0
    point = variance_fixed_point(phi, weight_variance, bias, start)
    critical = _critical_point(phi, bias).critical_weight_variance
    return _described(phi, point, weight_variance, bias, critical)


def _critical_point(phi: Nonlinearity, bias_variance: float | None) -> Criticality:
    """The critical point at a bias variance; of several a stable one, else the first."""
    if phi.is_scale_invariant:
        return _critical_scale_invariant(phi, bias_variance or 0.0)
    found = []
    for q in critical_variances(phi, bias_variance):
        line = critical_line(phi, max(q, NEXT_TO_ZERO))
        weight, bias = float(line.weight_variance), float(line.bias_variance)
        if bias_variance is not None or abs(bias) < 1e-12:
            bias = bias_variance or 0.0
        found.append((named_point(phi, q, weight, bias), weight, bias))
    if not found:
        return _no_critical_point(phi, bias_variance)
    point, weight, bias = min(found, key=lambda each: each[0].case is Case.UNSTABLE)
    return _described(phi, point, weight, bias, weight)


def _critical_scale_invariant(phi: Nonlinearity, bias_variance: float) -> Criticality:
    if bias_variance > 0:
        return _no_critical_point(phi, bias_variance)
    weight = 1 / float(slope_second_moment(phi))
    return _described(phi, variance_fixed_point(phi, weight), weight, 0.0, weight)


def _no_critical_point(phi: Nonlinearity, bias_variance: float | None) -> Criticality:
    advice = f"There is none up to q* = {LARGEST_VARIANCE:g}. {_ADVICE[Case.NO_CRITICAL_POINT]}"
    if phi.is_scale_invariant:
        weight = 1 / float(slope_second_moment(phi))
        advice = f"The critical set is one point: weight variance {weight:.4g}, no bias variance."
    return Criticality(
        activation=phi.name,
        case=Case.NO_CRITICAL_POINT,
        bias_variance=float("nan") if bias_variance is None else bias_variance,
        advice=advice,
    )


def _described(
    phi: Nonlinearity, point: FixedPoint, weight: float, bias: float, critical: float
) -> Criticality:
    q, chi, c, xi_c = point.q, float("nan"), float("nan"), float("nan")
    if np.isfinite(q):
        chi = float(chi_1(phi, max(q, NEXT_TO_ZERO), weight))
        c = correlation_fixed_point(phi, q, weight, bias)
        xi_c = depth_scale(chi if c == 1 else float(correlation_slope(phi, c, q, weight, bias)))
    settles = point.case in (Case.STABLE, Case.MARGINAL, Case.SCALE_INVARIANT)
    return Criticality(
        activation=phi.name,
        case=point.case,
        critical_weight_variance=critical,
        weight_variance=weight,
        bias_variance=bias,
        q=q,
        variance_slope=point.slope,
        chi_1=chi,
        c=c,
        xi_q=depth_scale(point.slope),
        xi_c=xi_c,
        trainable_depth=DEPTH_SCALES * xi_c if settles else float("nan"),
        advice=_advice(phi, point, chi, critical),
    )


def _advice(phi: Nonlinearity, point: FixedPoint, chi: float, critical: float) -> str:
    if point.case is Case.UNSTABLE:
        return _advice_for_unstable(phi, point)
    if point.case is Case.MARGINAL and point.q > 0 and abs(chi - 1) < 1e-3:
        return "The variance stays close to where the input puts it: it nears q* ever so slowly."
    if abs(chi - 1) < 1e-3 or point.case is Case.DIVERGENT:
        return _ADVICE[point.case]
    fate = "explode and close inputs part" if chi > 1 else "vanish and inputs become alike"
    remedy = f" At a weight variance of {critical:.5g} they do neither."
    return f"Gradients {fate} over depth.{remedy if np.isfinite(critical) else ''}"


def _advice_for_unstable(phi: Nonlinearity, point: FixedPoint) -> str:
    better = most_stable_point(phi)
    stable = (
        ""
        if better is None
        else (
            f"the stable critical point at q* = {better.q:g} (weight variance "
            f"{better.weight_variance:.5g}, bias variance {better.bias_variance:.4g}, dV "
            f"{better.variance_slope:.4g}), "
        )
    )
    layers = depth_scale(point.slope)
    fate = (
        f"A deviation from q* grows e-fold in {layers:.3g} layers, and a much deeper plain network "
        "drifts over decades"
    )
    if abs(point.slope - 1) <= MARGINAL:
        fate = (
            "The slope at q* is 1 and the variance leaves q* upwards, if slowly, so that a deep "
            "plain network drifts over decades"
        )
    return (
        f"{fate}. What helps: "
        f"{stable}scaling each layer from data, normalization layers, or a transformed activation."
    )
