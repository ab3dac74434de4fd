"""`a x + b` with known numbers, which may differ from unit to unit.

Owns what the layers that standardize or rescale raw features do to moments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from keras_initscope.prediction.inputs import of_batch
from keras_initscope.prediction.primitives import scaled, shifted
from keras_initscope.prediction.state import State
from keras_initscope.prediction.weights import UnpredictableError


def rescaled(x: State, factor: Any, shift: Any) -> State:
    """`a x + b`: exact for numbers that all units share, and for a batch; unknown else.

    Where `a` and `b` differ between units, `E (a x + b)^2` needs the moments of each unit: large
    features are those that a standardization makes small.

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
        parents=(x,),
        pull=lambda gradient: (gradient.times(square),),
    )
