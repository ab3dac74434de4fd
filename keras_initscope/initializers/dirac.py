"""Kernels that start as the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import checked_gain, whole
from keras_initscope.initializers.matrices import drawing_dtype
from keras_initscope.initializers.orthogonal import at_the_middle


@keras.saving.register_keras_serializable("keras_initscope")
class Dirac(keras.initializers.Initializer):
    """A convolution that starts by handing its inputs on, channel by channel.

    Use it for deep convolutional networks without shortcuts, whose layers then start as the
    identity, and for layers that are added to a trained network without changing it. Works in one
    to three dimensions, also transposed; with more outputs than inputs the outputs beyond are zero.
    `keras.initializers.Identity` is the same for a matrix.

    Formula:

    `K[middle, i, i] = gain`, 0 elsewhere; in each group anew

    Args:
        gain: Factor of the identity, positive.
        groups: Groups of the convolution, each of which hands on its own channels.

    Raises:
        ValueError: If the output channels cannot be divided into that many groups.

    Example:

    ```python
    import keras
    import numpy as np

    from keras_initscope.initializers import Dirac

    layer = keras.layers.Conv2D(3, 5, padding="same", kernel_initializer=Dirac())
    x = np.arange(48, dtype="float32").reshape(1, 4, 4, 3)
    np.testing.assert_array_equal(layer(x), x)
    ```

    Reference:

    - [Zagoruyko and Komodakis, 2017](https://arxiv.org/abs/1706.00388), section 3
    """

    def __init__(self, gain: float = 1.0, groups: int = 1) -> None:
        self.gain = checked_gain(gain)
        self.groups = whole("groups", groups, 1, "A plain convolution has one group.")

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Make the kernel.

        Args:
            shape: Shape of the kernel, two to five axes, the last two its channels.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        if not 2 <= len(shape) <= 5:
            raise ValueError(
                f"Expected the shape of a kernel, two to five axes. Received: shape={tuple(shape)}."
            )
        inputs, outputs = shape[-2:]
        if outputs % self.groups:
            raise ValueError(
                "Expected output channels that can be divided into groups. "
                f"Received: shape={tuple(shape)}, groups={self.groups}."
            )
        asked, dtype = drawing_dtype(dtype)
        one = ops.eye(inputs, outputs // self.groups, dtype=dtype)
        matrix = self.gain * ops.concatenate([one] * self.groups, axis=1)
        return ops.cast(at_the_middle(matrix, tuple(shape[:-2])), asked)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"gain": self.gain, "groups": self.groups}
