"""What goes into a model: nothing known, moments, or data.

Owns the reading of the `input` argument, and the structure in which a model takes its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope import graph
from keras_initscope.prediction.state import State, state

Batch = NDArray[Any]

_MOMENTS = {"q", "p", "r", "mu"}
_ALIKE = 0.1  # share of the signal that neighbours may have in common by chance
_EXPECTED = (
    "Expected None for independent inputs of mean 0 and variance 1, a batch (an array, or a list "
    "or mapping of arrays as the model takes it), or a mapping of numbers with `q` and optionally "
    "`p`, `r` and `mu`, where mu^2 <= p <= q and |r| <= q."
)


def arguments(model: Any, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What to call a model with, a state in the place of each tensor.

    Args:
        model: A built Keras model.
        given: The argument `input` of `predict_signal`.

    Returns:
        Positional and named arguments.

    Raises:
        ValueError: If `given` cannot be read, does not fit the model or is not finite, or if
            neither it nor the model tells the shapes.
    """
    operations = graph.operations(model)
    if operations is not None:
        shapes = [tuple(tensor.shape[1:]) for tensor in operations.inputs]
        if _is_data(given):
            states = [
                of_batch(_fitted(batch, shape, model))
                for batch, shape in zip(_flat(model, operations, given), shapes, strict=True)
            ]
        else:
            states = [_assumed(shape, given, model) for shape in shapes]
        return (states[0] if len(states) == 1 else states,), {}
    if _is_data(given):
        return (keras.tree.map_structure(lambda each: of_batch(_array(each)), given),), {}
    return _built_with(model, given)


def _built_with(model: Any, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A subclassed model remembers the shapes that it was built with, by argument."""
    shapes = dict(getattr(model, "_build_shapes_dict", None) or {})
    if not shapes:
        raise ValueError(_shapeless(model, None))

    def assumed(structure: Any) -> Any:
        return keras.tree.map_shape_structure(
            lambda shape: _assumed(tuple(shape[1:]), given, model), structure
        )

    found = {name.removesuffix("_shape"): assumed(shape) for name, shape in shapes.items()}
    return ((next(iter(found.values())),), {}) if len(found) == 1 else ((), found)


def _is_data(given: Any) -> bool:
    """Whether it holds arrays, in whatever structure, and no bare numbers."""
    return not (given is None or (isinstance(given, Mapping) and _all_numbers(given)))


def _all_numbers(given: Mapping[str, Any]) -> bool:
    return all(np.ndim(value) == 0 for value in given.values() if not isinstance(value, Mapping))


def _assumed(shape: tuple[int | None, ...], given: Any, model: Any) -> State:
    known = tuple(size for size in shape if size is not None)
    if len(known) < len(shape):
        raise ValueError(_shapeless(model, shape))
    return state(known or (1,), raw=True, **_moments(given))


def _shapeless(model: Any, shape: Any) -> str:
    return (
        f"The shape of an input of {model.name!r} is not known. Received: {shape}. Give `input` a "
        "batch, or give the model an `Input` of fixed shape."
    )


def _moments(given: Any) -> dict[str, float]:
    if given is None:
        return {"q": 1.0, "p": 0.0}
    if "q" not in given or not set(given) <= _MOMENTS:
        raise ValueError(f"Received: input={dict(given)!r}. {_EXPECTED}")
    found = {name: float(value) for name, value in given.items()}
    found.setdefault("p", found.get("mu", 0.0) ** 2)
    q, square, slack = found["q"], found.get("mu", 0.0) ** 2, 1e-9 * abs(found["q"])
    possible = square - slack <= found["p"] <= q + slack and abs(found.get("r", 0.0)) <= q + slack
    if not np.isfinite(list(found.values())).all() or not possible:
        raise ValueError(
            f"No tensor has these moments. Received: input={dict(given)!r}. {_EXPECTED}"
        )
    return found


def _flat(model: Any, operations: graph.Operations, given: Any) -> list[Any]:
    """The arrays in the order of the model's inputs."""
    if isinstance(given, Mapping):
        named = _names(model, operations)
        missing = [" or ".join(sorted(names)) for names in named if not names & set(given)]
        if missing:
            raise ValueError(
                f"The inputs {missing} of {model.name!r} are missing. Received: {list(given)}. "
                f"{_EXPECTED}"
            )
        return [given[next(name for name in given if name in names)] for names in named]
    inputs = operations.inputs
    arrays = list(given) if isinstance(given, tuple | list) and _is_list(given) else [given]
    if len(arrays) != len(inputs):
        raise ValueError(
            f"The model {model.name!r} takes {len(inputs)} inputs. Received: {len(arrays)}. "
            f"{_EXPECTED}"
        )
    return arrays


def _names(model: Any, operations: graph.Operations) -> list[set[str]]:
    """By what each input may be called: its own name, and its key where a model takes a mapping."""
    functional = model._functional if isinstance(model, keras.Sequential) else model
    structure = getattr(functional, "_inputs_struct", None)
    keys = structure if isinstance(structure, Mapping) else {}
    return [
        {tensor.name, *(key for key, held in keys.items() if held is tensor)}
        for tensor in operations.inputs
    ]


def _is_list(given: Any) -> bool:
    return len(given) > 0 and all(hasattr(each, "shape") for each in given)


def _array(given: Any) -> Batch:
    try:
        found = np.asarray(keras.ops.convert_to_numpy(given))
        finite = bool(np.isfinite(found.astype(float)).all())
    except (TypeError, ValueError) as error:
        raise ValueError(f"Received: input of {type(given).__name__}. {_EXPECTED}") from error
    if found.ndim < 1 or len(found) < 2:
        raise ValueError(
            f"Received: input of shape {found.shape}. A batch needs at least two examples. "
            f"{_EXPECTED}"
        )
    if not finite:
        raise ValueError("`input` holds numbers that are not finite. Clean the data first.")
    return found


def _fitted(given: Any, shape: tuple[int | None, ...], model: Any) -> Batch:
    batch = _array(given)
    if batch.ndim == 1 and shape == (1,):
        batch = batch[:, None]  # as Keras does
    same = batch.ndim == len(shape) + 1 and all(
        n is None or n == size for n, size in zip(shape, batch.shape[1:], strict=True)
    )
    if not same:
        raise ValueError(
            f"`input` does not fit {model.name!r}. Received: shape {batch.shape}. Expected: "
            f"{(None, *shape)}."
        )
    return batch


def of_batch(batch: Batch) -> State:
    """Moments of a batch, means over units and positions; `p`, `m` over pairs that differ.

    `r` is taken over neighbours.
    """
    x = batch.astype(float)
    if x.ndim == 1:
        x = x[:, None]
    p = _of_pairs(x)
    near = [
        np.mean(np.moveaxis(x, axis, 0)[1:] * np.moveaxis(x, axis, 0)[:-1])
        for axis in range(1, x.ndim - 1)
        if x.shape[axis] > 1
    ]
    r = np.mean(near) if near else p
    whole = np.issubdtype(batch.dtype, np.integer)
    values = x if whole or x.size < 1 << 22 else None
    m = _of_pairs(x.mean(axis=tuple(range(1, x.ndim - 1))))
    square = float(np.mean(x**2))
    more = {"chained": abs(r - p) > _ALIKE * (square - p), "values": values, "raw": True}
    return state(x.shape[1:], square, p, r, x.mean(), m=m, **more)


def _of_pairs(x: NDArray[np.float64]) -> float:
    """`E x_a x_b` over pairs of different examples."""
    n = len(x)
    return float((np.mean(x.sum(axis=0) ** 2) - n * np.mean(x**2)) / (n * (n - 1)))
