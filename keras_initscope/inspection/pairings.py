"""Initializers that one would pair with an activation, and what each does over a depth.

Owns which there are, and what is said of each. `advice` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import log
from typing import Any

import keras
import numpy as np

from keras_initscope import initializers
from keras_initscope.activations import as_nonlinearity
from keras_initscope.diagnosis.case import rise
from keras_initscope.diagnosis.signal import DEEP
from keras_initscope.diagnosis.units import MOST, STEEP_ENOUGH
from keras_initscope.inspection.working_range import mean_share, mean_slope, saturated_share
from keras_initscope.records import Pairing
from keras_initscope.theory.lines import critical_line, most_stable_point
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.propagation import Propagation, propagation

#: Strains at which nobody asks what else there is.
_HOPELESS = 2 * DEEP
_LOST = 100.0  # nats, beyond what float32 holds of a root mean square
#: Mean slope, as a share of the greatest, below which an activation saturates; a third above what
#: `inspect` finds fault with in a single network.
STEEP = STEEP_ENOUGH * 4 / 3
#: Share that tells examples apart below which a unit is flat for all of them or for none.
_ALIKE = 0.1


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An initializer to pair.

    Args:
        name: What it is called.
        code: How to write it.
        weight_variance: Times fan-in.
        make: Makes it.
        bias_variance: Of the biases that go with it.
        bias_code: How to write the initializer of those.
        make_bias: Makes that.
    """

    name: str
    code: str
    weight_variance: float
    make: Callable[[], Any]
    bias_variance: float = 0.0
    bias_code: str = '"zeros"'
    make_bias: Callable[[], Any] = keras.initializers.Zeros


def candidates(activation: Any, name: str, depth: int, structure: str) -> list[Candidate]:
    """The initializers to choose from, those of Keras first.

    Args:
        activation: What `as_nonlinearity` reads.
        name: How to write it.
        depth: Number of layers or branches.
        structure: As in `propagation`.

    Returns:
        At least one candidate; none twice.
    """
    keras_own = keras.initializers
    if structure == "normalized":
        return [_usual("GlorotUniform", "glorot_uniform", 1.0, keras_own.GlorotUniform)]
    # A residual walk adds one part in `depth` each; a branch as it is adds the whole.
    whole = float(depth) if structure == "residual" else 1.0
    found = [
        _usual("LecunNormal, GlorotNormal", "lecun_normal", whole, keras_own.LecunNormal),
        _usual("HeNormal", "he_normal", 2 * whole, keras_own.HeNormal),
    ]
    makers = _of_branches if structure == "residual" else _of_layers
    for each in makers(activation, name, depth):
        if all(not _alike(each, other) for other in found):
            found.append(each)
    return found


def paired(
    phi: Nonlinearity,
    candidate: Candidate,
    depth: int,
    structure: str,
    *,
    correlated: bool = True,
) -> Pairing:
    """What an activation does over a depth with an initializer.

    Args:
        phi: The activation.
        candidate: The initializer.
        depth: Number of layers or branches.
        structure: As in `propagation`.
        correlated: Whether to see what becomes of differences between examples, which takes most of
            the time; without it the strain is a lower bound.
    """
    w, b = candidate.weight_variance, candidate.bias_variance
    with np.errstate(all="ignore"):  # of an activation that grows like exp
        walk = propagation(phi, depth, w, b, structure, correlated=False)
        trends = _trends(walk)
        if correlated and max(trends.values()) <= _HOPELESS:
            walk = propagation(phi, depth, w, b, structure)
            trends = _trends(walk)
    worst = max(trends, key=lambda name: trends[name])
    q, apart = walk.q, float(1 - walk.c[-1])
    q_last = float(np.clip(q[-1], 1e-30, 1e30)) if structure != "normalized" else 1.0
    found = Pairing(
        name=candidate.name,
        code=candidate.code,
        bias_code=candidate.bias_code,
        weight_variance=w / depth if structure == "residual" else w,
        bias_variance=b,
        signal=float(np.sqrt(q[-1] / q[0])),
        gradient=float(np.sqrt(walk.gradient[0])),
        apart=None if apart != apart else min(max(apart, 0.0), 1.0),
        saturated=saturated_share(phi, q_last),
        mean=mean_share(phi, q_last),
        slope=mean_slope(phi, float(np.clip(q.max(), 1e-30, 1e4))),
        strain=max(0.0, trends[worst]),
        verdict="",
    )
    return replace(found, verdict=_verdict(worst, found))


def _trends(walk: Propagation) -> dict[str, float]:
    """What can go wrong, and by how many nats it does."""
    q, gradient = list(walk.q), list(walk.gradient)
    found = {
        "signal vanishes": -_trend(q),
        "signal explodes": _trend(q),
        "gradient vanishes": _trend(gradient),
        "gradient explodes": -_trend(gradient),
    }
    if np.isfinite(walk.c).all():
        found["examples become alike"] = -rise(list(np.maximum(1 - walk.c, 1e-16)))
    return found


def _trend(values: list[float]) -> float:
    """As rules see it; of what leaves all numbers behind, by how much it does."""
    total = log(values[-1] / values[0])
    return total if abs(total) > _LOST else rise(values)


def saturates(found: Pairing) -> bool:
    """Whether slopes are small at large, or most units are flat for all examples, being alike."""
    is_alike = found.apart is not None and found.apart < _ALIKE
    return found.slope < STEEP or (is_alike and found.saturated > MOST)


def _verdict(worst: str, found: Pairing) -> str:
    if found.strain > DEEP:
        return worst
    if saturates(found):
        return "trains slowly: saturates"
    return "trains" if found.strain <= DEEP / 2 else f"trains just: {worst}"


def _usual(name: str, code: str, variance: float, make: Callable[[], Any]) -> Candidate:
    return Candidate(name=name, code=f'"{code}"', weight_variance=variance, make=make)


def _alike(a: Candidate, b: Candidate) -> bool:
    first, second = [(c.weight_variance, c.bias_variance) for c in (a, b)]
    return bool(np.allclose(first, second, rtol=1e-3, atol=1e-6))


def _of_branches(activation: Any, name: str, depth: int) -> Iterator[Candidate]:
    for make in _made(initializers.ResidualScaling, depth, activation):
        yield Candidate(
            name=f"ResidualScaling({depth})",
            code=f"initscope.initializers.ResidualScaling({depth}, {name})",
            weight_variance=make().scale * depth,
            make=make,
        )


def _of_layers(activation: Any, name: str, depth: int) -> Iterator[Candidate]:
    for kind in (initializers.GainScaling, initializers.Kumar):
        for make in _made(kind, activation):
            yield Candidate(
                name=kind.__name__,
                code=f"initscope.initializers.{kind.__name__}({name})",
                weight_variance=make().scale,
                make=make,
            )
    yield from _critical(activation, name, None)
    for bias in _bias_variances(as_nonlinearity(activation), depth):
        yield from _critical(activation, name, bias)


def _bias_variances(phi: Nonlinearity, depth: int) -> list[float]:
    """Of the most stable critical point, and of the one that suits the depth, in three digits."""
    if phi.is_scale_invariant or not phi.is_continuous:
        return []
    stable = most_stable_point(phi)
    points = [critical_line(phi, 1 / depth), *([] if stable is None else [stable])]
    found = [float(f"{float(point.bias_variance):.3g}") for point in points]
    return [bias for bias in found if bias > 0]


def _critical(activation: Any, name: str, bias: float | None) -> Iterator[Candidate]:
    more = "" if bias is None else f", bias_variance={bias:g}"
    for make in _made(initializers.Critical, activation, bias):
        make_bias = partial(initializers.CriticalBias, activation, bias)
        variance = float(make_bias().stddev) ** 2
        yield Candidate(
            name=f"Critical({more.removeprefix(', ')})",
            code=f"initscope.initializers.Critical({name}{more})",
            weight_variance=make().scale,
            make=make,
            bias_variance=variance,
            **_biases(name, more, make_bias) if variance else {},
        )


def _biases(name: str, more: str, make: Callable[[], Any]) -> dict[str, Any]:
    code = f"initscope.initializers.CriticalBias({name}{more})"
    return {"bias_code": code, "make_bias": make}


def _made(kind: Any, *arguments: Any) -> list[Callable[[], Any]]:
    """What makes it, if it can be made."""
    make = partial(kind, *arguments)
    try:
        make()
    except ValueError:  # the activation has no such variance
        return []
    return [make]
