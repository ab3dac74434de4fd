"""Many plain dense networks of one shape, side by side in one model and trained as one.

Owns the weights of such networks, the model that holds many of them and the model of a single one,
and the loss that keeps them independent. All see the same batches. The weights are a stack with the
networks as an axis, so that a training step is traced once, for any depth and any number.

The loss is the sum over networks of each one's mean loss times a factor, so that the gradient by a
network's weights is its own, and plain SGD with or without momentum trains it as alone: a factor is
a factor of its learning rate. No norm over all weights may be taken, as clipping does: then a
network that diverges spoils the others, whereas here what is not a number stays in its own slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_initscope.presets.data import Data
from keras_initscope.presets.losses import BatchLosses
from keras_initscope.presets.scanned import ScannedDense

CLASSES = 10

Array = NDArray[np.float32]
#: Takes a shape, returns weights.
Draw = Callable[[tuple[int, ...]], Any]


class Weights(NamedTuple):
    """Of one network.

    Args:
        first: Kernel `(inputs, width)` and bias `(width,)` of the first layer.
        hidden: Kernels `(depth - 1, width, width)` and biases `(depth - 1, width)` of the others.
        logits: Kernel `(width, classes)` and bias `(classes,)` of what gives the logits.
    """

    first: tuple[Array, Array]
    hidden: tuple[Array, Array]
    logits: tuple[Array, Array]


class Shape(NamedTuple):
    """Of each of the networks."""

    inputs: int
    depth: int
    width: int


def draw_weights(shape: Shape, kernel: Draw, bias: Draw) -> Weights:
    """Draw the weights of a network, layer by layer.

    Args:
        shape: Of the network.
        kernel: Draws a kernel `(fan_in, fan_out)`.
        bias: Draws a bias `(fan_out,)`.

    Returns:
        The weights.
    """
    inputs, depth, width = shape
    return Weights(
        _drawn(kernel, bias, (), inputs, width),
        _drawn(kernel, bias, (depth - 1,), width, width),
        _drawn(kernel, bias, (), width, CLASSES),
    )


def _drawn(
    kernel: Draw, bias: Draw, copies: tuple[int, ...], fan_in: int, fan_out: int
) -> tuple[Array, Array]:
    kernels = [np.asarray(kernel((fan_in, fan_out))) for _ in range(*copies or (1,))]
    biases = [np.asarray(bias((fan_out,))) for _ in range(*copies or (1,))]
    return (
        np.reshape(kernels, (*copies, fan_in, fan_out)).astype("float32"),
        np.reshape(biases, (*copies, fan_out)).astype("float32"),
    )


class SumOverNetworks(keras.losses.Loss):
    """The crossentropy of logits `(batch, networks, classes)`, summed over the networks.

    Args:
        factors: Of each network's loss.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__(name="sum_over_networks")
        self.factors = list(factors)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example."""
        return ops.sum(crossentropies(y_true, y_pred) * ops.cast(self.factors, "float32"), axis=1)


class NetworkLoss(keras.metrics.Mean):
    """The loss of one network, without its factor.

    Args:
        number: Which of them.
    """

    def __init__(self, number: int) -> None:
        super().__init__(name=f"network_{number}")
        self.number = number

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        own = y_pred[:, self.number : self.number + 1]
        super().update_state(crossentropies(y_true, own), sample_weight)


class NetworkLosses(BatchLosses):
    """Keeps the loss of each batch before its step for each network: `values` has a list a step."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep those of this one."""
        told = logs or {}
        count = sum(name.startswith("network_") for name in told)
        self.values.append([float(told[f"network_{number}"]) for number in range(count)])


def crossentropies(y_true: Any, y_pred: Any) -> Any:
    """Of classes `(batch,)` and logits `(batch, networks, classes)`: `(batch, networks)`."""
    labels = ops.repeat(ops.cast(ops.reshape(y_true, (-1, 1)), "int32"), y_pred.shape[1], axis=1)
    return ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)


def model_of_many(
    networks: Sequence[Weights],
    activation: str,
    optimizer: Any,
    factors: Sequence[float] = (),
    watched: bool = False,
) -> keras.Model:
    """One model of many networks.

    Args:
        networks: The weights of each.
        activation: Of all hidden layers.
        optimizer: A Keras optimizer that treats each weight by itself: no clipping by norms.
        factors: Of each network's loss; 1 if not given.
        watched: Whether `fit` tells the loss of each network, for `NetworkLosses`.

    Returns:
        A compiled model from inputs `(batch, inputs)` to logits `(batch, networks, classes)`.
    """
    count, shape = len(networks), shape_of(networks[0])
    first = keras.layers.EinsumDense("bi,nio->bno", (count, shape.width), activation, "no")
    hidden = ScannedDense(shape.depth - 1, activation, use_bias=True, networks=count)
    logits = keras.layers.EinsumDense("bni,nio->bno", (count, CLASSES), None, "no")
    inputs = keras.Input((shape.inputs,))
    between = hidden(ops.transpose(first(inputs), (1, 0, 2)))
    model = keras.Model(inputs, logits(ops.transpose(between, (1, 0, 2))))
    for layer, where in ((first, 0), (hidden, 1), (logits, 0)):
        of_layer = [first, hidden, logits].index(layer)
        for number, weight in enumerate((layer.kernel, layer.bias)):
            weight.assign(np.stack([each[of_layer][number] for each in networks], axis=where))
    losses = [NetworkLoss(number) for number in range(count if watched else 0)]
    loss = SumOverNetworks(factors or [1.0] * count)
    model.compile(optimizer, loss, metrics=losses, jit_compile=True)
    return model


def model_of_one(network: Weights, activation: str, optimizer: Any) -> keras.Sequential:
    """A single network of ordinary `Dense` layers, which trains as it does among many."""
    inputs, depth, width = shape_of(network)
    hidden = [
        keras.layers.Dense(width, activation, name=f"hidden_{number}")
        for number in range(1, depth + 1)
    ]
    logits = keras.layers.Dense(CLASSES, name="logits")
    model = keras.Sequential([keras.Input((inputs,)), *hidden, logits])
    between = zip(*network.hidden, strict=True)
    for layer, weights in zip(model.layers, (network.first, *between, network.logits), strict=True):
        layer.set_weights(list(weights))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    return model


def shape_of(network: Weights) -> Shape:
    """The shape of a network with these weights."""
    inputs, width = network.first[0].shape
    return Shape(inputs, len(network.hidden[0]) + 1, width)


def accuracies(model: keras.Model, data: Data) -> NDArray[np.float64]:
    """Share of the test images that each network names; logits that are no numbers name a 0."""
    logits = ops.convert_to_numpy(model(data.test_x))
    named = np.argmax(np.where(np.isfinite(logits), logits, -np.inf), axis=-1)
    return np.asarray(np.mean(named == data.test_y[:, None], axis=0))
