"""Orthogonal weights that keep the variance, whichever way the width changes."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import checked_gain
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.initializers.matrices import drawing_dtype, layout, seed_for


@keras.saving.register_keras_serializable("keras_initscope")
class ScaledOrthogonal(FanScaling):
    """Orthogonal weights under which the output variance is the input's, also when expanding.

    Use it in the place of `keras.initializers.Orthogonal` where the width changes: with 64 inputs
    and 256 outputs Keras' rows are orthonormal and the output variance is 64/256. Here the columns
    have the norm `gain`, whatever the shape. It reads the axes of an `EinsumDense`, hence of
    attention, and works in half precision, in which Keras' cannot be drawn. For deep networks at
    criticality, `gain` is the square root of the critical weight variance.

    Formula:

    ```
    W'W = gain^2 I                     for fan_in >= fan_out
    WW' = gain^2 fan_out / fan_in I    for fan_in < fan_out
    ```

    so that in both cases `E (W'x)_j^2 = gain^2 E x^2`; with equal fans the values are Keras'.

    Args:
        gain: Factor of the standard deviation of the outputs, positive.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units, set by `EinsumDense` itself.
            `None` takes all but the last. A transposed kernel needs `(0, 1, 3)`, a depthwise one
            `(0, 1)`. Axes in neither list number independent matrices.
        output_axes: Axes of the weight that count as output units; `(2,)` and `(3,)` there.
        fans: `(fan_in, fan_out)` where the sum over the inputs is not that over the axes, as in a
            transposed convolution with strides.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import ScaledOrthogonal

    kernel = ScaledOrthogonal(seed=0)((64, 256))
    gram = keras.ops.matmul(kernel, keras.ops.transpose(kernel))
    assert float(keras.ops.max(keras.ops.abs(gram - 4 * keras.ops.eye(64)))) < 1e-4
    ```

    Reference:

    - [Saxe et al., 2014](https://arxiv.org/abs/1312.6120)
    - [Pennington et al., 2017](https://arxiv.org/abs/1711.04735), for orthogonal weights at
      criticality
    """

    def __init__(
        self,
        gain: float = 1.0,
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.gain = checked_gain(gain)
        scale = self.gain * self.gain
        super().__init__(scale, "fan_in", "truncated_normal", seed, input_axes, output_axes, fans)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the weights.

        Args:
            shape: Shape of the weight, two axes or more.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        found = layout(shape, self.input_axes, self.output_axes)
        asked, dtype = drawing_dtype(dtype)
        fan_in = self.fans[0] if self.fans else found.rows
        norm = self.gain * sqrt(max(found.rows, found.columns) / fan_in)

        seeds = [seed_for(self.seed, number) for number in range(found.count)]
        drawn = [
            keras.initializers.Orthogonal(norm, seed)((found.rows, found.columns), dtype=dtype)
            for seed in seeds
        ]
        return ops.cast(found.arranged(ops.stack(drawn)), asked)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"gain": self.gain, **self._own("seed", "input_axes", "output_axes", "fans")}


@keras.saving.register_keras_serializable("keras_initscope")
class DeltaOrthogonal(FanScaling):
    """A convolution that starts as one orthogonal matrix at the middle of its window.

    Use it for very deep plain convolutional networks: signals keep their size and their spatial
    structure, and all singular values of the layer are equal, where independent weights blur what
    they pass on. Works in one to three dimensions at any ratio of channels, with `"same"` or
    circular padding; a `Dense` kernel is a window of one. In a transposed convolution with strides
    the middle reaches one position in `prod(strides)`.

    Formula:

    `K[middle] = W` of `ScaledOrthogonal`, 0 elsewhere; `middle = (size - 1) // 2` is the tap that
    `"same"` padding lays over the position itself

    Args:
        gain: Factor of the standard deviation of the outputs, positive.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Channels that count as input units, counted from the last axis: `(-1,)` for a
            transposed convolution, whose kernel ends in outputs and inputs, `()` for a depthwise
            one. `None` takes the last but one. Where both lists name all axes of the kernel, as
            `EinsumDense` and attention do, it has no window and is `ScaledOrthogonal`.
        output_axes: Channels that count as output units: `(-2,)` and `(-1,)` there.

    Raises:
        ValueError: If the axes leave open which of them are the window.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import DeltaOrthogonal

    layer = keras.layers.Conv2D(
        32, 3, padding="same", kernel_initializer=DeltaOrthogonal(seed=0)
    )
    y = layer(keras.random.normal((8, 6, 6, 16), seed=1))
    assert abs(float(keras.ops.var(y)) - 1) < 0.1
    ```

    Reference:

    - [Xiao et al., 2018](https://arxiv.org/abs/1806.05393), section 3 and algorithm 1
    """

    def __init__(
        self,
        gain: float = 1.0,
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        self.gain = checked_gain(gain)
        scale = self.gain * self.gain
        super().__init__(scale, "fan_in", "truncated_normal", seed, input_axes, output_axes)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the kernel.

        Args:
            shape: Shape of the kernel, two to five axes, the last two its channels.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        drawing = ScaledOrthogonal(self.gain, self.seed, self.input_axes, self.output_axes)
        window = 0 if self._names_all(shape) else max(len(shape) - 2, 0)
        if window and not all(axis in (-1, -2) for axis in self._axes):
            raise ValueError(self._open_window(shape))
        asked, dtype = drawing_dtype(dtype)
        middle = drawing(shape[window:], dtype)
        return ops.cast(at_the_middle(middle, tuple(shape[:window])), asked)

    @property
    def _axes(self) -> tuple[int, ...]:
        return (*(self.input_axes or ()), *(self.output_axes or ()))

    def _names_all(self, shape: Sequence[int]) -> bool:
        return len({axis % len(shape) for axis in self._axes}) == len(shape)

    def _open_window(self, shape: Sequence[int]) -> str:
        return (
            "Expected channels counted from the last axis, the window in front of them: "
            "input_axes=(-1,), output_axes=(-2,) for a transposed kernel, (), (-1,) for a "
            f"depthwise one. Received: shape={tuple(shape)}, input_axes={self.input_axes}, "
            f"output_axes={self.output_axes}. For a kernel without a window use `ScaledOrthogonal`."
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"gain": self.gain, **self._own("seed", "input_axes", "output_axes")}


def at_the_middle(matrix: Any, window: tuple[int, ...]) -> Any:
    """A kernel that is zero but for a matrix at the middle of its window."""
    before = [(size - 1) // 2 for size in window]
    after = [size - 1 - first for size, first in zip(window, before, strict=True)]
    if not window:
        return matrix
    channels = ops.reshape(matrix, (*(1 for _ in window), *matrix.shape))
    return ops.pad(channels, [*zip(before, after, strict=True), (0, 0), (0, 0)])
