"""Deep dense networks at initialization, many drawn at once, and what they do to the signal.

Owns the mean squares of signal and gradient, layer by layer, over all draws. Trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from keras_initscope.activations import as_nonlinearity
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Trial

EXAMPLES = 16

#: Takes `seed`, and `input_axes` and `output_axes` where the variance depends on fans.
MakeInitializer = Callable[..., keras.initializers.Initializer]


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomLayer:
    """One layer, over all draws.

    Args:
        fan_in: Its inputs.
        fan_out: Its units.
        weight_variance: Variance of its weights.
        largest_weight: Largest magnitude of a weight.
        signal: Mean square of its activations; that of the network's inputs is 1.
        delta: Mean square of the gradient by its preactivations.
        gradient: Mean square of the gradient in front of the layer; that behind the last is 1.
    """

    fan_in: int
    fan_out: int
    weight_variance: float
    largest_weight: float
    signal: float
    delta: float
    gradient: float


def random_layers(
    initializer: MakeInitializer, activation: str, widths: Sequence[int], draws: int, seed: int
) -> list[RandomLayer]:
    """Draw networks without biases, with Gaussian inputs and independent Gaussian output gradients.

    Args:
        initializer: Makes the initializer of the kernels.
        activation: Name of the activation of every layer.
        widths: Inputs of the network, then units of each layer.
        draws: How many networks; each sees 16 examples of its own.
        seed: Fixes the draws.

    Returns:
        The layers in forward order.
    """
    generator = keras.random.SeedGenerator(seed)
    make = _batched(initializer, generator)
    phi = as_nonlinearity(activation)
    values = _normal((draws, EXAMPLES, widths[0]), generator)
    kernels, preactivations, signals = [], [], []
    for fan_in, fan_out in pairwise(widths):
        kernels.append(np.asarray(make((draws, fan_in, fan_out))))
        preactivations.append(values @ kernels[-1])
        values = np.asarray(phi.f(preactivations[-1]), dtype="float32")
        signals.append(_mean_square(values))
    gradient = _normal(values.shape, generator)
    gradients: list[tuple[float, float]] = []
    for kernel, z in zip(kernels[::-1], preactivations[::-1], strict=True):
        delta = gradient * phi.df(z).astype("float32")
        gradient = delta @ kernel.transpose(0, 2, 1)
        gradients.insert(0, (_mean_square(delta), _mean_square(gradient)))
    return [_layer(*entry) for entry in zip(kernels, signals, gradients, strict=True)]


def drawn_network(
    initializer: MakeInitializer, activation: str, widths: Sequence[int], seed: int
) -> Trial:
    """One such network as a Keras model.

    Args:
        initializer: Makes the initializer of the kernels.
        activation: Name of the activation of every layer.
        widths: Inputs of the network, then units of each layer.
        seed: Fixes weights and inputs.

    Returns:
        The network and Gaussian inputs; there is nothing to train.
    """
    kernels = initializer(seed=keras.random.SeedGenerator(seed))
    layers = [
        keras.layers.Dense(
            width, activation, use_bias=False, kernel_initializer=kernels, name=f"hidden_{number}"
        )
        for number, width in enumerate(widths[1:], 1)
    ]
    model = keras.Sequential([keras.Input((widths[0],)), *layers])
    return Trial(model, noise(widths[0], EXAMPLES, seed))


def _batched(initializer: MakeInitializer, seed: Any) -> Callable[[tuple[int, ...]], Any]:
    """An initializer of kernels with the draws as an axis in front, which is none of their fans."""
    return initializer(seed=seed, input_axes=(1,), output_axes=(2,))


def _normal(shape: tuple[int, ...], generator: Any) -> np.ndarray:
    return np.asarray(keras.random.normal(shape, seed=generator))


def _mean_square(values: np.ndarray) -> float:
    return float(np.mean(np.square(values), dtype="float64"))


def _layer(kernel: np.ndarray, signal: float, gradients: tuple[float, float]) -> RandomLayer:
    return RandomLayer(
        fan_in=kernel.shape[1],
        fan_out=kernel.shape[2],
        weight_variance=_mean_square(kernel),
        largest_weight=float(np.abs(kernel).max()),
        signal=signal,
        delta=gradients[0],
        gradient=gradients[1],
    )
