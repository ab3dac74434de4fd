"""What goes into a model: nothing known, moments, or data.

Owns the reading of the `input` argument, and the structure in which a model takes its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope import calls, graph
from keras_initscope.prediction.state import State, state

Batch = NDArray[Any]

_MOMENTS = {"q", "p", "r", "mu"}
_ALIKE = 0.1  # share of the signal that neighbours may have in common by chance
_EXPECTED = (
    "Expected None for independent inputs of mean 0 and variance 1, a batch (an array, or a list "
    "or mapping of arrays as the model takes it), or a mapping of numbers with `q` and optionally "
    "`p`, `r` and `mu`, where mu^2 <= p <= q and |r| <= q; or one of these for each input, in a "
    "list or mapping as the model takes it."
)


def arguments(model: Any, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What to call a model with, a state in the place of each tensor.

    Args:
        model: A built Keras model.
        given: The argument `input` of `predict_signal`: nothing, moments or data for all inputs, or
            one of these for each of them.

    Returns:
        Positional and named arguments.

    Raises:
        ValueError: If `given` cannot be read, does not fit the model or is not finite, or if
            neither it nor the model tells the shapes.
    """
    operations = graph.operations(model)
    if operations is not None:
        shapes = [tuple(tensor.shape[1:]) for tensor in operations.inputs]
        parts = [given] * len(shapes) if _is_moments(given) else _flat(model, operations, given)
        states = [_one(shape, each, model) for shape, each in zip(shapes, parts, strict=True)]
        return (states[0] if len(states) == 1 else states,), {}
    if _is_data(given):
        args, kwargs = calls.arguments(model, given)
        return tuple(map(_states, args)), {name: _states(each) for name, each in kwargs.items()}
    return _built_with(model, given)


def _states(given: Any) -> Any:
    return keras.tree.map_structure(lambda each: of_batch(_array(each)), given)


def _built_with(model: Any, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A subclassed model remembers the shapes that it was built with, by argument."""
    shapes = dict(getattr(model, "_build_shapes_dict", None) or {})
    if not shapes or len(calls.required(model)) > len(shapes):  # Keras may note the first alone
        raise ValueError(_shapeless(model, None))
    if len(shapes) == 1:
        return (_like(next(iter(shapes.values())), given, model),), {}
    found = {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
    return (), _like(found, given, model)


def _like(structure: Any, given: Any, model: Any) -> Any:
    """States in a structure of shapes, out of the same structure or of moments for all."""
    if isinstance(structure, tuple) and all(
        size is None or np.ndim(size) == 0 for size in structure
    ):
        return _one(structure[1:], given, model)
    named = isinstance(structure, Mapping)
    names = list(structure) if named else range(len(structure))
    if _is_moments(given):
        parts = dict.fromkeys(names, given)
    elif isinstance(given, Mapping) == named and len(given) == len(names):
        parts = {name: given[name] for name in names if not named or name in given}
    else:
        parts = {}
    if len(parts) != len(names):
        raise ValueError(f"Received: input={given!r} for inputs {list(names)}. {_EXPECTED}")
    found = {name: _like(structure[name], part, model) for name, part in parts.items()}
    return found if named else list(found.values())


def is_described(given: Any) -> bool:
    """Whether it says moments, or nothing, of some input at least, and is not all data."""
    if _is_moments(given):
        return True
    parts = given.values() if isinstance(given, Mapping) else given
    return isinstance(given, Mapping | list | tuple) and any(map(is_described, parts))


def _is_moments(given: Any) -> bool:
    """Whether it says the same of every input."""
    return given is None or (
        isinstance(given, Mapping)
        and all(np.ndim(value) == 0 and not isinstance(value, Mapping) for value in given.values())
    )


def _is_data(given: Any) -> bool:
    """Whether it holds arrays alone, in whatever structure."""
    if isinstance(given, Mapping):
        return not _is_moments(given) and all(map(_is_data, given.values()))
    return given is not None and (not _is_list(given) or all(map(_is_data, given)))


def _one(shape: tuple[int | None, ...], given: Any, model: Any) -> State:
    """The state of one input."""
    if given is None or isinstance(given, Mapping):
        return _assumed(shape, given, model)
    return of_batch(_fitted(given, shape, model))


def _assumed(shape: tuple[int | None, ...], given: Any, model: Any) -> State:
    known = tuple(size for size in shape if size is not None)
    if len(known) < len(shape):
        raise ValueError(_shapeless(model, shape))
    return state(known or (1,), raw=True, standard=given is None, **_moments(given))


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
    try:
        found = {name: float(value) for name, value in given.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"Received: input={dict(given)!r}. {_EXPECTED}") from error
    found.setdefault("p", found.get("mu", 0.0) ** 2)
    q, square, slack = found["q"], found.get("mu", 0.0) ** 2, 1e-9 * abs(found["q"])
    possible = square - slack <= found["p"] <= q + slack and abs(found.get("r", 0.0)) <= q + slack
    if not np.isfinite(list(found.values())).all() or not possible:
        raise ValueError(
            f"No tensor has these moments. Received: input={dict(given)!r}. {_EXPECTED}"
        )
    return found


def _flat(model: Any, operations: graph.Operations, given: Any) -> list[Any]:
    """What is given for each input, in the order of the model's inputs."""
    inputs = operations.inputs
    if isinstance(given, Mapping):
        found = graph.inputs_by_name(model, given)
        if found is None:
            raise ValueError(
                f"Some of the inputs {graph.input_names(model)[0]} of {model.name!r} are missing. "
                f"Received: {list(given)}. {_EXPECTED}"
            )
        return found
    if len(inputs) > 1 and not isinstance(given, list | tuple) and not hasattr(given, "shape"):
        raise ValueError(f"Received: input={given!r} of {type(given).__name__}. {_EXPECTED}")
    split = isinstance(given, list | tuple) and (len(inputs) > 1 or _is_list(given))
    found = list(given) if split else [given]
    if len(found) != len(inputs):
        raise ValueError(
            f"The model {model.name!r} takes {len(inputs)} inputs. Received: {len(found)}. "
            f"{_EXPECTED}"
        )
    return found


def _is_list(given: Any) -> bool:
    """Whether it is a list of one thing for each input, and not a nested list of numbers."""
    return (
        isinstance(given, list | tuple)
        and len(given) > 0
        and all(
            each is None or isinstance(each, Mapping) or hasattr(each, "shape") for each in given
        )
    )


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
