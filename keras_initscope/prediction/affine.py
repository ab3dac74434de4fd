"""`a x + b` with known numbers, which may differ from unit to unit.

Owns what the layers that standardize or rescale raw features do to moments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from keras_initscope.prediction.inputs import of_batch
from keras_initscope.prediction.primitives import scaled, shifted
from keras_initscope.prediction.state import Array, State, state
from keras_initscope.prediction.weights import UnpredictableError


def rescaled(x: State, factor: Any, shift: Any) -> State:
    """`a x + b`: exact for numbers that all units share, for a batch and for standard inputs.

    Where `a` and `b` differ between units, `E (a x + b)^2` needs the moments of each unit: large
    features are those that a standardization makes small. It is unknown where they are.

    Args:
        x: What is rescaled.
        factor: `a`, a number or an array that broadcasts to the shape of `x`.
        shift: `b`, likewise.

    Returns:
        The state.

    Raises:
        UnpredictableError: If the units are treated unlike each other and the values are not known.
    """
    a, b = np.asarray(factor, dtype=float), np.asarray(shift, dtype=float)
    values = None if x.values is None else a * x.values + b
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        made = scaled(x, float(a.flat[0]))
        made = shifted(made, float(b.flat[0]), float(b.flat[0]) ** 2) if b.flat[0] else made
        return replace(made, values=values)
    if values is None and x.standard:
        return _unit_by_unit(x, a, b)
    if values is None:
        raise UnpredictableError(
            "it treats features differently and the moments of each are not known; give `input` a "
            "batch, and let this layer be the first"
        )
    square = float(np.mean(np.square(a)))
    return replace(
        of_batch(values),
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        pull=lambda gradient: (gradient.times(square),),
    )


def _unit_by_unit(x: State, a: Array, b: Array) -> State:
    """`E (a x + b)^2` where `x` has the same moments in every unit, and `a`, `b` differ."""
    square, cross, added = (float(np.mean(m)) for m in (a * a, a * b, b * b))
    mean = float(np.mean(a))
    return times_and_plus(x, (square, mean), (added, float(np.mean(b))), cross)


def times_and_plus(
    x: State, factor: tuple[float, float], shift: tuple[float, float], cross: float
) -> State:
    """`a x + b` for numbers of each unit, given `E a^2`, `E a`, `E b^2`, `E b` and `E a b`.

    Every unit of `x` has the same moments.
    """
    added = 2 * cross * x.mu + shift[0]
    return state(
        x.shape,
        factor[0] * x.q + added,
        factor[0] * x.p + added,
        factor[0] * x.r + added,
        factor[1] * x.mu + shift[1],
        m=factor[0] * x.m + float(np.mean(added)),
        raw=x.raw,
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        reason=x.reason,
        pull=lambda gradient: (gradient.times(factor[0]),),
    )
