"""A dense layer applied a thousand times, each time with a kernel of its own, and traced once.

Owns `ScannedDense`. In a network of a thousand `Dense` layers tracing and compiling take longer
than a training; here one traced body loops over a stack of kernels.

What was tried for a thousand layers of 64 units, batches of 64, TensorFlow on two busy cores, time
of a training step and whether XLA compiles it:

    gradient                                               jit_compile=False   True
    TensorFlow's, of `keras.ops.scan`                      262 ms              fails
    the same of a bounded `while_loop` over `kernel[i]`    6876 ms             compiles
    the gradient written down here                         100 ms              92 ms

XLA cannot size the stacks of an unbounded loop, and `while_loop` adds up a gradient of the whole
stack of kernels at each layer, so that its time grows with the square of the depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import keras
from keras import ops

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.arguments import whole
from keras_initscope.initializers.matrices import seed_for


@keras.saving.register_keras_serializable("keras_initscope")
class ScannedDense(keras.Layer):
    """A stack of dense layers of one width, as one loop.

    Use it for networks too deep to be traced layer by layer, with `model.fit` on TensorFlow, with
    `jit_compile` and without. `networks` trains so many independent stacks at once.

    Formula:

    ```
    h_0 = inputs,  h_l = activation(h_(l-1) kernel[l] + bias[l]),  output h_depth
    ```

    Its gradient is exact, of first order. Forward, the preactivations are kept in one tensor; on
    the way back a second loop has only the product `delta_(l-1) = f'(z) * (delta_l kernel')` left,
    since the slopes `f'(z)` of all layers are taken in one piece, and so are the gradients by all
    kernels.

    Args:
        depth: Layers in the stack.
        activation: Elementwise and deterministic, without weights: a name, a function or a layer.
        use_bias: Whether each layer has biases.
        kernel_initializer: Draws one kernel `(units, units)` at a time. Where it has a seed, each
            kernel has one of its own, found from it.
        bias_initializer: Draws all biases at once.
        networks: Number of independent networks, the first axis of the inputs; `None` for one
            network without that axis.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `(batch, units)`, or `(networks, batch, units)`.

    Returns:
        Tensor of the shape of `inputs`: the activations of the last layer. The weights are `kernel`
        of shape `(depth, units, units)` or `(depth, networks, units, units)` and `bias`, `(depth,
        units)` or `(depth, networks, units)`.

    Raises:
        ValueError: If the activation is not elementwise, or the inputs have another shape.

    Example:

    ```python
    import keras
    import numpy as np

    from keras_initscope.presets.scanned import ScannedDense

    stack = ScannedDense(1000, "linear", kernel_initializer=keras.initializers.Orthogonal(seed=0))
    x = np.ones((2, 16), dtype="float32")
    np.testing.assert_allclose(np.square(stack(x)).mean(), 1.0, rtol=1e-3)
    assert stack.kernel.shape == (1000, 16, 16)
    ```
    """

    def __init__(
        self,
        depth: int,
        activation: Any = "tanh",
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        networks: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.depth = whole("depth", depth, 1, "It counts layers.")
        as_nonlinearity(activation)  # refuses what is not elementwise
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        if networks is not None:
            networks = whole("networks", networks, 1, "`None` leaves that axis out.")
        self.networks = networks

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights."""
        copies = () if self.networks is None else (self.networks,)
        if len(input_shape) != 2 + len(copies) or tuple(input_shape[:-2]) != copies:
            expected = "(batch, units)" if not copies else f"({self.networks}, batch, units)"
            raise ValueError(
                f"Expected inputs of shape {expected}. Received: {tuple(input_shape)}. "
                "The argument `networks` says whether there is an axis of networks in front."
            )
        units = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.depth, *copies, units, units),
            initializer=_one_by_one(self.kernel_initializer),
        )
        if self.use_bias:
            shape = (self.depth, *copies, units)
            self.bias = self.add_weight(name="bias", shape=shape, initializer=self.bias_initializer)

    def call(self, inputs: Any) -> Any:
        """Apply all layers; see the class for its arguments."""
        weights = [ops.copy(self.kernel)]  # a custom gradient takes tensors, not variables
        if self.use_bias:
            weights.append(ops.expand_dims(self.bias, -2))
        preactivations, link = _solved(self.activation)(inputs, *weights)
        return _last(self.activation(preactivations), link)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input: all layers have one width."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {
            "depth": self.depth,
            "activation": activation_config(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "networks": self.networks,
        }
        return {**super().get_config(), **config}


def _one_by_one(initializer: Any) -> Callable[..., Any]:
    """Draw a stack of matrices with an initializer that is shown one of them at a time."""

    def draw(shape: Sequence[int], dtype: Any = None) -> Any:
        matrix = tuple(shape[-2:])
        drawn = [_of_number(initializer, n)(matrix, dtype=dtype) for n in range(prod(shape[:-2]))]
        return ops.reshape(ops.stack(drawn), shape)

    return draw


def _of_number(initializer: Any, number: int) -> Any:
    """The initializer with a seed of its own, unless it draws anew each time or not at all."""
    seed = getattr(initializer, "seed", None)
    if not isinstance(seed, int):
        return initializer
    config = {**initializer.get_config(), "seed": seed_for(seed, number)}
    return type(initializer).from_config(config)


def _solved(activation: Any) -> Callable[..., Any]:
    """Preactivations of all layers, and a tensor that links them to `_last`, zero itself.

    The gradient that comes back by the preactivations is not one but the slopes of the activation
    there, which `_last` asks for; that by the output of the stack comes back through the link.
    """

    def solve(inputs: Any, *weights: Any) -> Any:
        def forward(state: Any, layer: Any) -> Any:
            kernel, *bias = layer
            z = sum(bias, ops.matmul(state, kernel))
            return activation(z), z

        _, z = ops.scan(forward, inputs, weights)

        def gradient(slopes: Any, upstream: Any) -> Any:
            def backward(by_output: Any, layer: Any) -> Any:
                kernel, slope = layer
                delta = by_output * slope
                return ops.matmul(delta, ops.swapaxes(kernel, -1, -2)), delta

            by_inputs, deltas = ops.scan(backward, upstream, (weights[0], slopes), reverse=True)
            states = ops.concatenate([inputs[None], activation(z[:-1])])
            by_kernel = ops.matmul(ops.swapaxes(states, -1, -2), deltas)
            by_bias = [ops.sum(deltas, axis=-2, keepdims=True) for _ in weights[1:]]
            return by_inputs, by_kernel, *by_bias

        return (z, ops.zeros_like(inputs)), gradient

    return ops.custom_gradient(solve)


@ops.custom_gradient
def _last(activations: Any, link: Any) -> Any:
    """The activations of the last layer.

    Asks for the slopes of what made the activations, as the gradient of their plain sum, and sends
    the gradient that it receives itself through the link.
    """

    def gradient(upstream: Any) -> Any:
        return ops.ones_like(activations), upstream

    return activations[-1], gradient
