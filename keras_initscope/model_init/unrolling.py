"""A chain and its mirror image as one deep autoencoder: `unroll`.

Owns what stands for each layer in the decoder. Changes nothing of the encoder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

from keras_initscope.model_init.autoencoder import (
    Autoencoder,
    built_mirror,
    copied,
    output_of,
)
from keras_initscope.model_init.calibration import build
from keras_initscope.model_init.chain import Step, behind, chain_of
from keras_initscope.model_init.examples import check_shape, read
from keras_initscope.model_init.flow import is_activation, is_of_keras
from keras_initscope.model_init.flow import read as read_activation
from keras_initscope.model_init.mirror import is_resized, is_weighted, mirror, transposed
from keras_initscope.model_init.selection import checked

L = keras.layers
_RESHAPED = (L.Flatten, L.Reshape)
_LEFT_OUT = ("Normalization", "Dropout", "Noise", "ActivityRegularization", "Identity")


def unroll(encoder: Any, x: Any = None, activation: Any = None) -> Any:
    """Make a deep autoencoder of an encoder: the encoder itself and its mirror image behind it.

    Use it behind `pretrain`, to fine-tune all layers together and as a whole, as Hinton and
    Salakhutdinov did. The decoder is new: each dense or convolutional layer of the encoder has a
    counterpart with the transpose of its kernel as it is now, and the activation that made what the
    encoder's layer receives; pooling is undone by repeating, flatten and padding by shape. Dropout,
    noise and normalization have no counterpart. The encoder's layers are those given: what the
    autoencoder learns, they learn.

    Args:
        encoder: A built Keras model in which each layer receives what the last gave: dense and
            convolutional layers, and activation, pooling over windows, reshaping, zero padding,
            dropout, noise and normalization between them. A `keras.Sequential` of built layers that
            was never called is built for `x`.
        x: Data as for `pretrain`. With it each layer of the decoder gets the bias by which it gives
            on average what it should, without it biases are zero.
        activation: What the decoder ends in: an activation's name or function, such as `"sigmoid"`
            for data in [0, 1]. `None` is none.

    Returns:
        A `keras.Sequential` of two models, the encoder and the decoder. It gives tensors of the
        shape that the encoder takes, and is not compiled.

    Raises:
        ValueError: If the model is no chain, a layer in it has no mirror image, or `activation`
            cannot be read.

    Example:

    ```python
    import keras
    import numpy as np

    import keras_initscope as initscope

    layers = [keras.layers.Dense(n, "sigmoid") for n in (16, 8, 3)]
    encoder = keras.Sequential([keras.Input((24,)), *layers])
    x = np.random.default_rng(0).uniform(size=(256, 24))
    initscope.pretrain(encoder, x, epochs=2, verbose=0)

    autoencoder = initscope.unroll(encoder, x, activation="sigmoid")
    decoder = autoencoder.layers[-1]
    assert np.allclose(decoder.layers[0].kernel, np.transpose(layers[-1].kernel))
    autoencoder.compile("adam", "binary_crossentropy")
    autoencoder.fit(x, x, verbose=0)
    ```

    Reference:

    - [Hinton and Salakhutdinov, 2006](https://doi.org/10.1126/science.1127647), figure 1
    """
    keras.activations.get(activation)  # which says what is wrong with it
    examples = None if x is None else read(x)
    if examples is not None and isinstance(encoder, keras.Sequential):
        build(encoder, examples.sample)
    checked(encoder)
    steps, sample = chain_of(encoder), None
    if examples is not None:
        check_shape(examples, encoder)
        sample = examples.sample
    last = max((k for k, step in enumerate(steps) if is_weighted(step.operation)), default=-1)
    layers: list[Any] = []
    for k in reversed(range(len(steps))):
        operation = steps[k].operation
        if is_weighted(operation):
            layers += _mirrored(steps, k, activation, sample)
        elif not (is_activation(operation) and k > last):  # of the code, which has it by then
            layers += _undone(steps[k])
    _name_apart(layers)
    decoder = [_input(steps[-1].given), *layers]
    parts = [encoder, keras.Sequential(decoder, name=f"{encoder.name}_decoder")]
    name = f"{encoder.name}_autoencoder"
    return keras.Sequential([_input(steps[0].received), *parts], name=name)


def _name_apart(layers: Sequence[Any]) -> None:
    """A layer that the encoder uses several times has as many mirror images, all of one name."""
    count: Counter[str] = Counter()
    for layer in layers:
        name = layer.name
        if count[name]:
            layer.name = f"{name}_{count[name]}"
        count[name] += 1


def _input(tensor: Any) -> Any:
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype)


def _mirrored(steps: Sequence[Step], k: int, last: Any, sample: Any) -> list[Any]:
    """The counterpart of a layer with weights; `last` is what the decoder ends in."""
    layer = steps[k].operation
    activation = _activation_before(steps, k, last)
    names = {"name": f"{layer.name}_mirrored", "dtype": layer.dtype_policy}
    try:
        parts = built_mirror(layer, steps[k], activation=activation, **names)
    except ValueError as error:
        raise _refusal(layer, str(error)) from error
    parts[0].kernel.assign(transposed(layer, layer.kernel))
    if sample is not None:
        net = Autoencoder(steps, k, _behind(steps, k), output_of(read_activation(activation)))
        net.centre(sample)
        parts[0].bias.assign(net.decoder_bias)
    return parts


def _behind(steps: Sequence[Step], k: int) -> list[Step]:
    try:
        return behind(steps, k)
    except ValueError as error:
        reason = "its activation is not elementwise, so that no bias follows from data"
        raise _refusal(steps[k].operation, reason) from error


def _activation_before(steps: Sequence[Step], k: int, last: Any) -> Any:
    """The activation that made what a layer receives; none, if it has a counterpart of its own."""
    for step in reversed(steps[:k]):
        operation = step.operation
        if isinstance(operation, L.Activation) or is_weighted(operation):
            return operation.activation
        if is_activation(operation):
            return None
    return last


def _undone(step: Step) -> list[Any]:
    """What stands for a step without weights that are learnt."""
    operation, name = step.operation, type(step.operation).__name__
    if isinstance(operation, L.Activation) or (is_of_keras(operation) and name.endswith(_LEFT_OUT)):
        return []
    if isinstance(operation, _RESHAPED):
        return [L.Reshape(step.received.shape[1:], name=f"{operation.name}_mirrored")]
    if isinstance(operation, keras.Layer) and is_activation(operation):
        names = {"name": f"{operation.name}_mirrored", "dtype": operation.dtype_policy}
        return [copied(step, **names)]
    if not is_resized(operation):
        raise _refusal(operation, "it is none of the layers that are known here")
    try:
        return mirror(operation, step.received.shape, dtype=operation.dtype_policy)
    except ValueError as error:
        raise _refusal(operation, str(error)) from error


def _refusal(operation: Any, reason: str) -> ValueError:
    return ValueError(
        f"{operation.name!r} has no mirror image: {reason}. Expected dense and convolutional "
        "layers, and activation layers, pooling over windows, reshaping, zero padding, dropout, "
        f"noise and normalization between them. Received: a {type(operation).__name__}. Unroll a "
        "model that ends in front of it, or starts behind it."
    )
