"""What goes into a model: nothing known, moments, or data.

Owns the reading of the `input` argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.prediction.state import State, state

_EXPECTED = (
    "Expected None for independent inputs of mean 0 and variance 1, a batch (an array, or one for "
    "each input), or a mapping with `q` and optionally `p`, `r` and `mu`."
)


def symbols(model: Any, given: Any) -> list[tuple[int, ...]]:
    """Shapes of a model's inputs without the batch axis, from the model or from data.

    Raises:
        ValueError: If neither tells them.
    """
    batches = _batches(given)
    if batches is not None:
        return [tuple(batch.shape[1:]) for batch in batches]
    operations = graph.operations(model)
    shapes = [tuple(x.shape[1:]) for x in operations.inputs] if operations else _built(model)
    if shapes is None or any(None in shape for shape in shapes):
        raise ValueError(
            f"The shape of the inputs of {model.name!r} is not known. Received: {shapes}. Give "
            "`input` a batch, or give the model an `Input` of fixed shape."
        )
    return shapes


def _built(model: Any) -> list[tuple[int, ...]] | None:
    """What a subclassed model was built with."""
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        return None
    found = keras.tree.flatten_shape(list(shapes.values())) if False else list(shapes.values())
    return [tuple(shape[1:]) for shape in found if isinstance(shape, tuple | list)]


def input_states(model: Any, given: Any) -> list[State]:
    """One state for each input of a model."""
    shapes = symbols(model, given)
    batches = _batches(given)
    if batches is not None:
        return [_measured(batch) for batch in batches]
    moments = _moments(given)
    return [state(shape if shape else (1,), **moments) for shape in shapes]


def _moments(given: Any) -> dict[str, float]:
    if given is None:
        return {"q": 1.0, "p": 0.0}
    names = {"q", "p", "r", "mu"}
    if "q" not in given or not set(given) <= names:
        raise ValueError(f"Received: input={dict(given)!r}. {_EXPECTED}")
    return {"p": 0.0, **{name: float(value) for name, value in given.items()}}


def _batches(given: Any) -> list[np.ndarray[Any, Any]] | None:
    if given is None or (isinstance(given, Mapping) and "q" in given):
        return None
    if isinstance(given, Mapping):
        given = list(given.values())
    arrays = list(given) if isinstance(given, tuple | list) and _is_list(given) else [given]
    found = [np.asarray(keras.ops.convert_to_numpy(array)) for array in arrays]
    if any(array.ndim < 1 or len(array) < 2 for array in found):
        raise ValueError(
            f"Received: input of shapes {[array.shape for array in found]}. A batch needs at least "
            f"two examples. {_EXPECTED}"
        )
    return found


def _is_list(given: Sequence[Any]) -> bool:
    return len(given) > 0 and all(hasattr(each, "shape") for each in given)


def _measured(batch: np.ndarray[Any, Any]) -> State:
    """Moments of a batch, means over units and positions; `p` and `r` over pairs that differ.

    `r` is taken over neighbours.
    """
    x = batch.astype(float)
    if x.ndim == 1:
        x = x[:, None]
    n = len(x)
    squares = np.mean(x**2)
    p = (np.mean(x.sum(axis=0) ** 2) - n * squares) / (n * (n - 1))
    near = [
        np.mean(np.moveaxis(x, axis, 0)[1:] * np.moveaxis(x, axis, 0)[:-1])
        for axis in range(1, x.ndim - 1)
        if x.shape[axis] > 1
    ]
    r = np.mean(near) if near else p
    whole = np.issubdtype(batch.dtype, np.integer)
    values = x if whole or x.size < 1 << 22 else None
    return state(x.shape[1:], squares, p, r, x.mean(), values=values)
