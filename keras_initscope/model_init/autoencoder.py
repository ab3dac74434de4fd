"""One layer of a chain as an autoencoder of what it receives.

Owns the training of a copy of the layer in single precision, whatever the precision of the model.
Changes no weight of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initscope.model_init.chain import Step, inferred, made_by, run
from keras_initscope.model_init.examples import Examples
from keras_initscope.model_init.mirror import channel_axis, mirror, transposed
from keras_initscope.prediction.weights import as_array
from keras_initscope.theory.nonlinearity import Nonlinearity

_MARGIN = 1e-3  # where an inverse has no value
_TINY = 1e-30


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What a decoder ends in.

    Args:
        activation: Name of the activation.
        inverse: Takes its values back, of a NumPy array.
        loss: Error of a preactivation, given the values wanted.
    """

    activation: str
    inverse: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]

    def __call__(self, z: Any) -> Any:
        """The values that a preactivation gives."""
        return keras.activations.get(self.activation)(z)


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How each layer is trained.

    Args:
        examples: What the model receives.
        epochs: How often it receives all of it.
        corruption: Share of what a layer receives that is set to zero.
        optimizer: A Keras optimizer, of which each layer gets a copy.
        seed: Python integer, of the order and the corruption.
        fit: Arguments for `fit`: `batch_size` and `verbose`.
    """

    examples: Examples
    epochs: int
    corruption: float
    optimizer: Any
    seed: int
    fit: dict[str, Any]


def _logit(p: Any) -> Any:
    p = np.clip(p, _MARGIN, 1 - _MARGIN)
    return np.log(p / (1 - p))


LINEAR = Output(
    activation="linear",
    inverse=lambda h: h,
    loss=lambda h, z: ops.mean(ops.square(z - h)),
)
SIGMOID = Output(
    activation="sigmoid",
    inverse=_logit,
    loss=lambda h, z: ops.mean(ops.binary_crossentropy(h, z, from_logits=True)),
)
TANH = Output(
    activation="tanh",
    inverse=lambda h: np.arctanh(np.clip(h, _MARGIN - 1, 1 - _MARGIN)),
    loss=lambda h, z: ops.mean(ops.square(ops.tanh(z) - h)),
)
_OUTPUTS = {"sigmoid": SIGMOID, "hard_sigmoid": SIGMOID, "tanh": TANH, "hard_tanh": TANH}


def output_for(steps: Sequence[Step], k: int, low: float, high: float) -> Output:
    """The decoder's output that has the range of what step `k` receives.

    Args:
        steps: The chain.
        k: Which step.
        low: The smallest value of the data.
        high: The largest.
    """
    maker = made_by(steps, k)
    if maker is None:
        return SIGMOID if low >= 0 and high <= 1 else LINEAR
    return output_of(maker if isinstance(maker, Nonlinearity) else None)


def output_of(activation: Nonlinearity | None) -> Output:
    """The decoder's output that has the range of an activation."""
    return LINEAR if activation is None else _OUTPUTS.get(activation.name.lower(), LINEAR)


def centring_bias(output: Output, h: Any, z: Any, axis: int) -> Any:
    """The bias by which a decoder gives on average what it should.

    Args:
        output: What it ends in.
        h: The values wanted.
        z: The preactivation without a bias.
        axis: Along which the features lie.
    """
    over = tuple(i for i in range(h.ndim) if i != axis % h.ndim)
    return output.inverse(np.mean(h, axis=over)) - np.mean(z, axis=over)


class Autoencoder(keras.Model):
    """Encodes what a step of a chain receives, by a copy of its layer, and decodes it again.

    The decoder has the transpose of the layer's kernel and a bias of its own. Nothing is learnt but
    the kernel, the layer's bias and the decoder's.

    Args:
        steps: The chain.
        k: Which step.
        behind: The steps behind it up to its activation.
        output: What the decoder ends in.
        corruption: Share of the values received that are set to zero in training.
        seed: Python integer, of the corruption.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        k: int,
        behind: Sequence[Step],
        output: Output,
        corruption: float = 0.0,
        seed: int = 0,
    ) -> None:
        layer = steps[k].operation
        super().__init__(name=f"{layer.name}_autoencoder", dtype="float32")
        self.encoder = copied(steps[k])
        self._output, self._corruption = output, corruption
        self._noise = keras.random.SeedGenerator(seed, name=f"{layer.name}_corruption")
        # Within functions, Keras does not take layers for parts of this model.
        rest = [copied(step) for step in behind]
        decoder = built_mirror(layer, steps[k], dtype="float32", name=f"{layer.name}_decoder")
        self._received = lambda x: received_by(steps, k, x)
        self._activated = lambda z: _through(rest, z)
        self._axis = channel_axis(layer)
        features = steps[k].received.shape[self._axis]
        self.decoder_bias: Any = self.add_weight(
            shape=(features,), initializer="zeros", name="decoder_bias"
        )
        self._decoded = lambda code: _decoded(
            decoder, transposed(layer, self.encoder.kernel), self.decoder_bias, code
        )

    def call(self, x: Any, training: Any = None) -> Any:
        """The preactivation of the reconstruction; its error is added as a loss."""
        h = ops.stop_gradient(ops.cast(self._received(x), "float32"))
        seen = self._corrupted(h) if training and self._corruption else h
        z = self._decoded(self._activated(self.encoder(seen)))
        self.add_loss(self._output.loss(h, z))
        return z

    def get_metrics_result(self) -> Any:
        """Named after the layer, so that the progress shows where the work is."""
        found = super().get_metrics_result()
        return {f"{self.encoder.name}_{name}": value for name, value in found.items()}

    def centre(self, x: Any) -> None:
        """Let the decoder give on average what the layer receives from examples `x`."""
        h, z = self._both(x)
        bias = centring_bias(self._output, h, z, self._axis)
        self.decoder_bias.assign(as_array(self.decoder_bias) + bias)

    def learn(self, training: Training, seed: int) -> None:
        """Train, with an optimizer of its own."""
        optimizer, fit = training.optimizer, training.fit
        self.compile(type(optimizer).from_config(optimizer.get_config()))
        batches = training.examples.batches(fit["batch_size"], seed)
        self.fit(batches, epochs=training.epochs, shuffle=False, verbose=fit["verbose"])

    def error(self, x: Any) -> float:
        """Mean square error of the reconstruction as a share of the variance over examples."""
        h, z = self._both(x)
        made = ops.convert_to_numpy(self._output(ops.convert_to_tensor(z)))
        return float(np.mean((made - h) ** 2) / (np.mean(np.var(h, axis=0)) + _TINY))

    def _both(self, x: Any) -> tuple[Any, Any]:
        h = ops.cast(self._received(x), "float32")
        z = self(x, training=False)
        return ops.convert_to_numpy(h), ops.convert_to_numpy(z)

    def _corrupted(self, h: Any) -> Any:
        kept = keras.random.uniform(ops.shape(h), seed=self._noise) >= self._corruption
        return h * ops.cast(kept, h.dtype)


def received_by(steps: Sequence[Step], k: int, x: Any) -> Any:
    """What step `k` receives from inputs `x`."""
    return run(steps[:k], ops.cast(keras.tree.flatten(x)[0], steps[0].received.dtype))


def copied(step: Step, **options: Any) -> Any:
    """A copy of a layer with its weights, in single precision; an operation as it is."""
    layer = step.operation
    if not isinstance(layer, keras.Layer):
        return layer
    copy = type(layer).from_config({**layer.get_config(), "dtype": "float32", **options})
    copy.build(step.received.shape)
    for new, old in zip(copy.weights, layer.weights, strict=True):
        new.assign(ops.cast(old, new.dtype))
    return copy


def built_mirror(layer: Any, step: Step, **options: Any) -> list[Any]:
    """The layers of a mirror image with their weights, not yet set."""
    parts, shape = mirror(layer, step.received.shape, **options), step.given.shape
    for part in parts:
        part.build(shape)
        shape = part.compute_output_shape(shape)
    return parts


def _through(operations: Sequence[Any], z: Any) -> Any:
    for operation in operations:
        z = inferred(operation, z)
    return z


def _decoded(parts: Sequence[Any], kernel: Any, bias: Any, code: Any) -> Any:
    """The mirror image with weights that are not its own."""
    for part in parts:
        own = [kernel, ops.convert_to_tensor(bias)] if part.weights else []
        code, _ = part.stateless_call(own, [], code)
    return code
