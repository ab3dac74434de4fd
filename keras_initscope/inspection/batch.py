"""The batch that is looked at, out of whatever `fit` would take.

Owns how many examples are looked at, and what data a model can take. Knows no loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope import graph

#: Of arrays at most this many examples are looked at,
MOST_EXAMPLES = 256
#: and fewer where they would hold more numbers than this, but never fewer than `LEAST_EXAMPLES`.
MOST_NUMBERS = 1 << 22
LEAST_EXAMPLES = 8

_TEXT = ", of dtype string"


class InspectionError(ValueError):
    """What was asked for cannot be looked at; the message says why and what can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a training step would receive.

    Args:
        x: The inputs, a structure of tensors.
        y: The targets, or `None`.
        sample_weight: Weights of the examples, or `None`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def data(self) -> tuple[Any, ...]:
        """What the training step receives."""
        parts = (self.x, self.y, self.sample_weight)
        last = max(i for i, part in enumerate(parts) if i == 0 or part is not None)
        return parts[: last + 1]

    @property
    def examples(self) -> int:
        """How many there are."""
        return int(keras.tree.flatten(self.x)[0].shape[0])

    def __str__(self) -> str:
        shown = f"x of {shape_text(self.x)}"
        return shown if self.y is None else f"{shown}, y of {shape_text(self.y)}"


def batch_of(x: Any, y: Any) -> Batch:
    """A batch out of arrays, or the first one of a dataset.

    Args:
        x: Arrays or tensors in any structure; or a `tf.data.Dataset`, `keras.utils.PyDataset`,
            generator or other iterable of batches.
        y: Targets, for arrays.

    Returns:
        The batch, as tensors.

    Raises:
        InspectionError: If there is none.
    """
    x = _from_lists(x)
    if _is_arrays(x):
        return _chosen(x, _from_lists(y))
    if y is not None:
        raise InspectionError(
            f"With x of type {type(x).__name__} the targets come from it, batch by batch. "
            "Received: a `y` as well. Leave `y` out, or give both as arrays."
        )
    parts = keras.utils.unpack_x_y_sample_weight(_first(x))
    return _checked(Batch(**dict(zip(("x", "y", "sample_weight"), map(_tensors, parts)))))  # noqa: B905


def _from_lists(structure: Any) -> Any:
    """The same with arrays in the place of nested lists of numbers or texts."""
    if isinstance(structure, dict):
        return {name: _from_lists(each) for name, each in structure.items()}
    if not isinstance(structure, list | tuple) or not structure:
        return structure
    leaves = keras.tree.flatten(structure)
    if leaves and all(isinstance(leaf, int | float | str | np.generic) for leaf in leaves):
        try:
            return np.array(structure)
        except ValueError as error:
            raise InspectionError(
                f"A nested list must have rows of one length. Received: {structure!r:.200}"
            ) from error
    return (
        type(structure)(map(_from_lists, structure))
        if type(structure) in (list, tuple)
        else (structure)
    )


def _is_arrays(x: Any) -> bool:
    leaves = keras.tree.flatten(x)
    return bool(leaves) and all(hasattr(leaf, "shape") for leaf in leaves)


def _first(x: Any) -> Any:
    if isinstance(x, keras.utils.PyDataset):
        return x[0]
    if not isinstance(x, Iterable) or isinstance(x, str | bytes | dict | list | tuple):
        raise InspectionError(
            "Expected `x` to be an array, a structure of arrays, a dataset or a generator of "
            f"batches. Received: x={x!r} (of type {type(x).__name__})"
        )
    for batch in x:
        return batch
    raise InspectionError(f"The {type(x).__name__} given as `x` holds no batch. Give it some data.")


def _chosen(x: Any, y: Any) -> Batch:
    """Examples spread evenly over arrays, which may be sorted by class."""
    flat = keras.tree.flatten((x, y) if y is not None else x)
    lengths = {len(array) if np.ndim(array) else 0 for array in flat}
    if lengths == {0}:
        raise InspectionError(
            f"There is nothing to look at: `x` is empty. Received: x of {shape_text(x)}."
        )
    if len(lengths) > 1:
        raise InspectionError(
            "All arrays must hold the same number of examples. Received: "
            f"x of {shape_text(x)}, y of {shape_text(y)}."
        )
    total = lengths.pop()
    numbers = sum(prod(array.shape[1:]) for array in keras.tree.flatten(x))
    count = examples_of(total, numbers)
    rows = np.linspace(0, total - 1, count).round().astype(int)

    def chosen(array: Any) -> Any:
        found = np.asarray(keras.ops.convert_to_numpy(array))[rows] if count < total else array
        return _tensor(found)

    picked = keras.tree.map_structure(chosen, x)
    return Batch(x=picked, y=None if y is None else keras.tree.map_structure(chosen, y))


def examples_of(total: int, numbers: int) -> int:
    """How many of `total` examples are looked at, where one holds so many numbers."""
    return min(total, MOST_EXAMPLES, max(LEAST_EXAMPLES, MOST_NUMBERS // max(1, numbers)))


def _checked(batch: Batch) -> Batch:
    leaves = keras.tree.flatten(batch.x)
    if not leaves or not leaves[0].shape or not leaves[0].shape[0]:
        raise InspectionError(
            f"There is nothing to look at: the first batch is empty. Received: {batch}."
        )
    return batch


def _tensors(structure: Any) -> Any:
    if structure is None:
        return None
    return keras.tree.map_structure(_tensor, structure)


def _tensor(array: Any) -> Any:
    """A tensor, in the precision that `fit` would give it."""
    if keras.ops.is_tensor(array):
        return array
    found = np.asarray(array)
    if found.dtype == np.float64:
        found = found.astype(keras.config.floatx())
    try:
        return keras.ops.convert_to_tensor(found)
    except (TypeError, ValueError) as error:
        raise InspectionError(
            f"Expected arrays of numbers or texts. Received: an array of dtype {found.dtype} and "
            f"shape {found.shape} that holds something else. Convert it, as by "
            '`array.astype("float32")`.'
        ) from error


def check_inputs(model: Any, batch: Batch) -> None:
    """Make sure that a model with known inputs takes a batch.

    Raises:
        InspectionError: If it does not; says what it takes.
    """
    operations = graph.operations(model)
    if operations is None:
        return
    given = inputs_in_order(model, batch.x)
    wanted = operations.inputs
    if len(given) == len(wanted) and all(map(_fits, given, wanted)):
        return
    names, texts = graph.input_names(model)[0], any(map(is_text, given))
    expected = ", ".join(
        f"{name!r} of shape {_dimensions(each.shape)}{_TEXT if is_text(each) else ''}"
        for name, each in zip(names, wanted, strict=True)
    )
    raise InspectionError(
        f"The model {model.name!r} does not take this `x`. Expected: {expected}. Received: "
        f"{shape_text(batch.x)}{_TEXT if texts else ''}. The first axis runs over examples; "
        "reshape the data, or give batches of it."
    )


def inputs_in_order(model: Any, x: Any) -> list[Any]:
    """The inputs as a flat list, in the order in which the model's own structure has them."""
    named = graph.inputs_by_name(model, x) if isinstance(x, Mapping) else None
    return list(keras.tree.flatten(x)) if named is None else named


def _fits(given: Any, wanted: Any) -> bool:
    """Whether shapes and kinds agree; Keras adds and drops a last axis of length 1."""
    shape, model = tuple(given.shape), tuple(wanted.shape)
    if len(shape) == len(model) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(shape) == len(model) - 1 and model[-1] == 1:
        shape = (*shape, 1)
    same = len(shape) == len(model) and all(
        m is None or s == m for s, m in zip(shape[1:], model[1:], strict=True)
    )
    return same and is_text(given) == is_text(wanted)


def is_text(tensor: Any) -> bool:
    """Whether it holds strings."""
    return keras.backend.standardize_dtype(tensor.dtype) == "string"


def shape_text(structure: Any) -> str:
    """The shapes of a structure of arrays, in words."""
    leaves = keras.tree.flatten(structure)
    if isinstance(structure, dict):
        inner = ", ".join(f"{name}: {shape_text(each)}" for name, each in structure.items())
        return f"shapes {{{inner}}}"
    if len(leaves) == 1 and structure is leaves[0]:
        return f"shape {_dimensions(np.shape(leaves[0]))}"
    return f"shapes [{', '.join(_dimensions(np.shape(leaf)) for leaf in leaves)}]"


def _dimensions(shape: Iterable[int | None]) -> str:
    sizes = ["any" if each is None else str(each) for each in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
