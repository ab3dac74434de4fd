"""Where deep signal ends up: fixed points of the variance map and of the correlation map.

Owns the search for them and the names of what can happen instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.meanfield import (
    MARGINAL,
    chi_1,
    correlation_map,
    variance_map,
    variance_slope,
)
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity

_GRID = np.geomspace(1e-10, 1e6, 401)  # 25 a decade: two fixed points closer than 10 % may hide
_ROUNDING = 1e-12

NEXT_TO_ZERO = 1e-20
"""The variance at which slopes at `q* = 0` are taken, so that a kink at 0 shows both sides."""


class Case(StrEnum):
    """What happens to the variance of a signal over many layers, by name.

    - stable: it settles at q*, where the variance map has a slope below 1.
    - unstable: q* exists, but the slope there is above 1 and the variance leaves it.
    - marginal: the slope at q* is 1; the variance nears q* by a power law, as for tanh at (1, 0).
    - scale-invariant: every variance is kept, as for ReLU at (2, 0).
    - divergent: it grows without bound; q* is infinite.
    - no critical point: no weight variance is critical at a bias variance that can exist.
    - discontinuous: the nonlinearity jumps, so two close inputs part at any weight variance.
    """

    STABLE = "stable"
    UNSTABLE = "unstable"
    MARGINAL = "marginal"
    SCALE_INVARIANT = "scale-invariant"
    DIVERGENT = "divergent"
    NO_CRITICAL_POINT = "no critical point"
    DISCONTINUOUS = "discontinuous"


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedPoint:
    """A fixed point of the variance map.

    Args:
        q: Pre-activation variance `q*`; infinite if the variance diverges.
        slope: Slope of the variance map there.
        case: What it is, by name.
    """

    q: float
    slope: float
    case: Case


def variance_fixed_points(
    phi: Nonlinearity, weight_variance: float, bias_variance: float = 0.0
) -> tuple[FixedPoint, ...]:
    """All fixed points of the variance map, `V(q*) = q*`.

    Args:
        phi: The nonlinearity, with a scale of its own.
        weight_variance: Weight variance times fan-in.
        bias_variance: Bias variance.

    Returns:
        The fixed points from 0 to 1e6, in increasing order.

    Raises:
        ValueError: If the nonlinearity is scale-invariant: its map is a straight line.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    points = variance_fixed_points(nonlinearity("silu"), 2.8, 0.05)
    assert [point.case.value for point in points] == ["stable", "unstable"]
    ```
    """
    if phi.is_scale_invariant:
        raise ValueError(
            f"{phi.name} is scale-invariant: its variance map is a straight line. "
            "Expected a nonlinearity with a scale; use variance_fixed_point, which names the case."
        )

    def excess(q: float) -> float:
        return float(variance_map(phi, q, weight_variance, bias_variance)) - q

    excesses = _excess_on_grid(phi, weight_variance, bias_variance)
    roots = [0.0] if abs(excess(0.0)) < _ROUNDING**2 else []
    known = np.flatnonzero(np.abs(excesses) > _ROUNDING * _GRID)
    for left, right in pairwise(known):
        if excesses[left] * excesses[right] < 0:
            roots.append(brentq(excess, _GRID[left], _GRID[right], xtol=1e-24, rtol=1e-13))
    return tuple(named_point(phi, q, weight_variance, bias_variance) for q in roots)


def variance_fixed_point(
    phi: Nonlinearity, weight_variance: float, bias_variance: float = 0.0, start: float = 1.0
) -> FixedPoint:
    """The fixed point that a signal reaches from where the data put it.

    Args:
        phi: The nonlinearity.
        weight_variance: Weight variance times fan-in.
        bias_variance: Bias variance.
        start: Pre-activation variance of the first layer; it decides where several fixed points
            exist, or whether the variance diverges.

    Returns:
        The next fixed point in the direction in which the variance moves from `start`.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    silu = nonlinearity("silu")
    assert abs(variance_fixed_point(silu, 2.8, 0.05, start=0.1).q - 0.274976) < 1e-6
    assert variance_fixed_point(silu, 2.8, 0.05, start=1.0).case == "divergent"
    ```
    """
    if phi.is_scale_invariant:
        return _straight_line(phi, weight_variance, bias_variance, start)
    points = variance_fixed_points(phi, weight_variance, bias_variance)
    step = float(variance_map(phi, start, weight_variance, bias_variance)) - start
    if abs(step) <= _ROUNDING * start:
        return named_point(phi, start, weight_variance, bias_variance)
    if step > 0:
        above = [point for point in points if point.q > start]
        return above[0] if above else _divergence(float("nan"))
    below = [point for point in points if point.q < start]
    return below[-1] if below else named_point(phi, bias_variance, weight_variance, bias_variance)


def correlation_fixed_point(
    phi: Nonlinearity, q: float, weight_variance: float, bias_variance: float = 0.0
) -> float:
    """The correlation `c*` that two different examples tend to, at a fixed point of the variance.

    `C` is a power series with no negative coefficient, so on [0, 1] it is convex and meets the
    diagonal once below 1 exactly if its slope at 1, `chi_1`, is above 1, or if random slopes
    make even an example unlike itself.

    Args:
        phi: The nonlinearity, continuous.
        q: Fixed point of the variance.
        weight_variance: Weight variance times fan-in.
        bias_variance: Bias variance.

    Returns:
        The stable fixed point in [0, 1]; 1 means that all examples become one.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert correlation_fixed_point(nonlinearity("tanh"), 0.5, 1.0) == 1.0
    ```
    """
    alike = phi.spread is None or phi.shares_spread  # an example is like itself
    if alike and (q == 0 or float(chi_1(phi, q, weight_variance)) <= 1 + MARGINAL):
        return 1.0

    def excess(c: float) -> float:  # over 1 - c, which divides out the fixed point at 1
        return (float(correlation_map(phi, c, q, weight_variance, bias_variance)) - c) / (1 - c)

    if excess(0.0) <= _ROUNDING:
        return 0.0
    if excess(1 - MARGINAL) >= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1 - MARGINAL, xtol=1e-12))


def named_point(
    phi: Nonlinearity, q: float, weight_variance: float, bias_variance: float
) -> FixedPoint:
    """A fixed point of a nonlinearity that has a scale, with its slope and its name."""
    slope = float(variance_slope(phi, max(q, NEXT_TO_ZERO), weight_variance))
    if abs(abs(slope) - 1) > MARGINAL:
        return FixedPoint(q=q, slope=slope, case=Case.STABLE if abs(slope) < 1 else Case.UNSTABLE)
    beyond = q * 1.01 + 1e-3
    leaves = float(variance_map(phi, beyond, weight_variance, bias_variance)) > beyond * (1 + 1e-9)
    return FixedPoint(q=q, slope=slope, case=Case.UNSTABLE if leaves else Case.MARGINAL)


def _excess_on_grid(phi: Nonlinearity, weight_variance: float, bias_variance: float) -> Array:
    """`V(q) - q`, a decade at a time so that wide Gaussians do not cost the narrow ones."""
    decades = np.array_split(_GRID, 16)
    maps = [variance_map(phi, decade, weight_variance, bias_variance) for decade in decades]
    return np.asarray(np.concatenate(maps) - _GRID)


def _straight_line(
    phi: Nonlinearity, weight_variance: float, bias_variance: float, start: float
) -> FixedPoint:
    """`V(q) = slope q + bias_variance`."""
    slope = weight_variance * float(second_moment(phi))
    if abs(slope - 1) < MARGINAL and bias_variance == 0:
        return FixedPoint(q=start, slope=slope, case=Case.SCALE_INVARIANT)
    if slope > 1 - MARGINAL:
        return _divergence(slope)
    return FixedPoint(q=bias_variance / (1 - slope), slope=slope, case=Case.STABLE)


def _divergence(slope: float) -> FixedPoint:
    return FixedPoint(q=float("inf"), slope=slope, case=Case.DIVERGENT)
