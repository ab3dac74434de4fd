"""A weight of any shape as matrices, and seeds for each of them.

Owns the reading of input and output axes; draws nothing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import keras
from keras import ops

from keras_initscope.fans import axes_of_shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a weight is made of matrices from inputs to outputs.

    Args:
        shape: Shape of the weight.
        copies: Axes that number independent matrices.
        inputs: Axes that are summed over.
        outputs: Axes that number the outputs.
    """

    shape: tuple[int, ...]
    copies: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Inputs of one matrix."""
        return self._size(self.inputs)

    @property
    def columns(self) -> int:
        """Outputs of one matrix."""
        return self._size(self.outputs)

    @property
    def count(self) -> int:
        """Number of matrices."""
        return self._size(self.copies)

    def arranged(self, matrices: Any) -> Any:
        """The weight that is made of matrices `(count, rows, columns)`."""
        order = (*self.copies, *self.inputs, *self.outputs)
        back = [order.index(axis) for axis in range(len(self.shape))]
        return ops.transpose(ops.reshape(matrices, [self.shape[axis] for axis in order]), back)

    def _size(self, axes: Sequence[int]) -> int:
        return prod(self.shape[axis] for axis in axes)


def layout(
    shape: Sequence[int], input_axes: Sequence[int] | None, output_axes: Sequence[int] | None
) -> Layout:
    """The matrices of a shape: by its axes, or all axes but the last to the last, as in Keras."""
    shape = tuple(shape)
    if len(shape) < 2:
        raise ValueError(
            "Expected the shape of a kernel, with two axes or more. "
            f"Received: shape={shape}. Biases start as zeros, as Keras has them."
        )
    if min(shape) < 1:
        raise ValueError(f"Expected axes of length 1 or more. Received: shape={shape}.")
    count = len(shape)
    if input_axes is None or output_axes is None:
        return Layout(shape=shape, copies=(), inputs=tuple(range(count - 1)), outputs=(count - 1,))
    inputs, outputs = axes_of_shape(shape, input_axes, output_axes)
    rest = tuple(axis for axis in range(count) if axis not in (*inputs, *outputs))
    return Layout(shape=shape, copies=rest, inputs=inputs, outputs=outputs)


def seed_for(
    seed: int | keras.random.SeedGenerator, number: int
) -> int | keras.random.SeedGenerator:
    """A seed for one of several draws, so that one integer gives different ones.

    A `SeedGenerator` is handed on, since each draw takes it forward. The first draw has the seed
    itself.
    """
    if isinstance(seed, keras.random.SeedGenerator) or number == 0:
        return seed
    digest = hashlib.blake2b(f"{int(seed)}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def drawing_dtype(dtype: Any) -> tuple[str, str]:
    """The dtype that was asked for, and one that linear algebra takes for it."""
    asked = keras.backend.standardize_dtype(dtype)
    if "float" not in asked:
        raise ValueError(
            f"Expected a floating-point dtype: integers would cut weights off. Received: {asked}."
        )
    return asked, asked if asked in ("float32", "float64") else "float32"
