"""Tanh convolutions on a torus, as many as one likes, as one layer.

Owns the kernels that such layers may start from, the layer that applies them in one loop, and the
way forward and back through some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import keras
from keras import ops

from keras_initscope.initializers import DeltaOrthogonal
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.nonlinearities import nonlinearity

CHANNELS, WINDOW = 32, 3
GAUSSIAN, DELTA = "gaussian", "delta-orthogonal"

Shape = tuple[int, ...]


def _gaussian(weights: float, seed: Any, shape: Shape) -> Any:
    deviation = sqrt(weights / (WINDOW**2 * CHANNELS))
    return keras.initializers.RandomNormal(stddev=deviation, seed=seed)(shape)


def _delta_orthogonal(weights: float, seed: Any, shape: Shape) -> Any:
    draw = DeltaOrthogonal(sqrt(weights), seed)
    return ops.stack([draw(shape[1:]) for _ in range(shape[0])])


#: Name to what draws kernels `(depth, *window, inputs, outputs)` of a weight variance.
KERNELS: Mapping[str, Callable[[float, Any, Shape], Any]] = {
    GAUSSIAN: _gaussian,
    DELTA: _delta_orthogonal,
}


@keras.saving.register_keras_serializable("keras_initscope")
class CircularConvs(keras.Layer):
    """Tanh convolutions of one width with circular padding, as one loop over their kernels.

    Args:
        depth: Layers.
        start: Name of an entry of `KERNELS`.
        seed: Fixes kernels and biases.
        **kwargs: Base layer keyword arguments, such as `name`.
    """

    def __init__(self, depth: int, start: str, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.depth, self.start, self.seed = depth, start, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draw the weights, critical at `q* = 1 / depth`."""
        point = critical_line(nonlinearity("tanh"), 1 / self.depth)
        generator = keras.random.SeedGenerator(self.seed)
        shape = (self.depth, WINDOW, WINDOW, CHANNELS, CHANNELS)
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=lambda shape, dtype=None: KERNELS[self.start](
                float(point.weight_variance), generator, shape
            ),
        )
        deviation = sqrt(max(float(point.bias_variance), 0.0))  # of 1e-12 and less, rounded
        normal = keras.initializers.RandomNormal(stddev=deviation, seed=generator)
        self.bias = self.add_weight(name="bias", shape=(self.depth, CHANNELS), initializer=normal)

    def call(self, inputs: Any) -> Any:
        """Apply all layers to images `(batch, height, width, channels)`."""
        kernel, bias = ops.copy(self.kernel), ops.copy(self.bias)
        return ops.fori_loop(
            0,
            self.depth,
            lambda number, state: forward(state, kernel[number], bias[number]),
            inputs,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"depth": self.depth, "start": self.start, "seed": self.seed}
        return {**super().get_config(), **config}

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape


class Segment(keras.Model):
    """Some layers, forward and back.

    A model whose weights are inputs, since what Keras compiles are models.
    """

    def __init__(self) -> None:
        super().__init__(name="segment")
        self.compile(jit_compile=False)

    def call(self, inputs: Any) -> Any:
        """Images behind the layers, and the gradient in front of them from that behind them."""
        images, gradient, kernels, biases = inputs

        def onward(state: Any, weights: Any) -> Any:
            state = forward(state, *weights)
            return state, state

        def back(gradient: Any, layer: Any) -> Any:
            gradient = backward(gradient, *layer)
            return gradient, gradient

        last, states = ops.scan(onward, images, (kernels, biases))
        first, _ = ops.scan(back, gradient, (kernels, states), reverse=True)
        return last, first


def forward(state: Any, kernel: Any, bias: Any) -> Any:
    """One layer, of images `(batch, height, width, channels)`."""
    return ops.tanh(ops.conv(_wrapped(state), kernel, padding="valid") + bias)


def backward(gradient: Any, kernel: Any, state: Any) -> Any:
    """The gradient in front of a layer, from that behind it and the activations that it gave."""
    turned = ops.transpose(ops.flip(kernel, axis=(0, 1)), (0, 1, 3, 2))
    return ops.conv(_wrapped(gradient * (1 - state**2)), turned, padding="valid")


def _wrapped(images: Any) -> Any:
    """With the opposite border around each image."""
    for axis in (1, 2):
        last, first = ops.take(images, [-1], axis), ops.take(images, [0], axis)
        images = ops.concatenate([last, images, first], axis)
    return images
