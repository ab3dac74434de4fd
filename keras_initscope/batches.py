"""One batch out of whatever `fit` would take.

Owns what data may be, and how many examples are looked at. Knows no model and no loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np

#: Of arrays at most this many examples are looked at,
MOST_EXAMPLES = 256
#: and fewer where they would hold more numbers than this, but never fewer than `LEAST_EXAMPLES`.
MOST_NUMBERS = 1 << 22
LEAST_EXAMPLES = 8


class BatchError(ValueError):
    """No batch that the model takes; the message says why and what would be."""


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


def batch_of(x: Any, y: Any = None, spread: bool = False) -> Batch:
    """A batch out of arrays, or the first one of a dataset.

    Args:
        x: Arrays or tensors in any structure; or a `tf.data.Dataset`, `keras.utils.PyDataset`,
            generator or other iterable of batches. A generator is one batch further on afterwards.
        y: Targets, for arrays.
        spread: Whether to take no more of arrays than a look needs: 256 examples, spread evenly;
            fewer, down to 8, if they would hold more than 4 million numbers.

    Returns:
        The batch, as tensors.

    Raises:
        BatchError: If there is none.
    """
    x = _from_lists(x)
    if _is_arrays(x):
        return _chosen(x, _from_lists(y), spread)
    if y is not None:
        raise BatchError(
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
            raise BatchError(
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
        raise BatchError(
            "Expected `x` to be an array, a structure of arrays, a dataset or a generator of "
            f"batches. Received: x={x!r} (of type {type(x).__name__})"
        )
    for batch in x:
        return batch
    raise BatchError(f"The {type(x).__name__} given as `x` holds no batch. Give it some data.")


def _chosen(x: Any, y: Any, spread: bool) -> Batch:
    """All examples, or some spread evenly over arrays, which may be sorted by class."""
    flat = keras.tree.flatten((x, y) if y is not None else x)
    lengths = {len(array) if np.ndim(array) else 0 for array in flat}
    if lengths == {0}:
        raise BatchError(f"`x` is empty. Received: x of {shape_text(x)}. Give it some examples.")
    if len(lengths) > 1:
        raise BatchError(
            "All arrays must hold the same number of examples. Received: "
            f"x of {shape_text(x)}, y of {shape_text(y)}."
        )
    total = lengths.pop()
    numbers = sum(prod(array.shape[1:]) for array in keras.tree.flatten(x))
    count = examples_of(total, numbers) if spread else total
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
        raise BatchError(f"The first batch is empty. Received: {batch}. Give it some examples.")
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
        raise BatchError(
            f"Expected arrays of numbers or texts. Received: an array of dtype {found.dtype} and "
            f"shape {found.shape} that holds something else. Convert it, as by "
            '`array.astype("float32")`.'
        ) from error


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
        return f"shape {dimensions(np.shape(leaves[0]))}"
    return f"shapes [{', '.join(dimensions(np.shape(leaf)) for leaf in leaves)}]"


def dimensions(shape: Iterable[int | None]) -> str:
    """A shape in words, `None` as any size."""
    sizes = ["any" if each is None else str(each) for each in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
