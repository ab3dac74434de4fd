"""A deep autoencoder of the digits, how it is trained, and how far off its images are.

Owns the network of Hinton and Salakhutdinov (2006) in small, 64 - 48 - 32 - 16 - 8 - 16 - 32 - 48 -
64, greedy pretraining of it, plain stochastic gradient descent and the baselines that need no
network.

Error is the squared error of an image, summed over its pixels, which lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.model_init import pretrain, unroll
from keras_initscope.presets.data import Data
from keras_initscope.presets.digits import pixels
from keras_initscope.presets.experiment import Trial

WIDTHS = (48, 32, 16, 8)
PIXELS = 64
BATCH = 32

Images = NDArray[np.float32]
#: Makes an initializer from a seed.
Start = Callable[[int], keras.initializers.Initializer]


def small(seed: int) -> keras.initializers.Initializer:
    """The small random weights that such a network cannot be trained from."""
    return keras.initializers.RandomNormal(stddev=0.01, seed=seed)


def autoencoder(activation: str, start: Start, seed: int) -> keras.Sequential:
    """The network, with weights from the seed; its last layer is a sigmoid.

    Args:
        activation: Of the hidden layers.
        start: Makes the initializer of each layer.
        seed: Each layer gets one of its own from it.

    Returns:
        Eight layers that end in as many numbers as they receive.
    """
    hidden = [*WIDTHS, *WIDTHS[-2::-1]]
    activations = [activation] * len(hidden) + ["sigmoid"]
    layers = [
        keras.layers.Dense(width, kind, kernel_initializer=start(100 * seed + number))
        for number, (width, kind) in enumerate(zip([*hidden, PIXELS], activations, strict=True))
    ]
    return keras.Sequential([keras.Input((PIXELS,)), *layers])


def pretrained(train_x: Images, epochs: int, seed: int) -> keras.Sequential:
    """The same network from small weights, its encoder pretrained greedily and unrolled.

    Args:
        train_x: Images.
        epochs: Passes over them for each layer.
        seed: Fixes weights and order.

    Returns:
        The network, not yet trained as a whole.
    """
    network = autoencoder("sigmoid", small, seed)
    encoder = keras.Sequential([keras.Input((PIXELS,)), *network.layers[: len(WIDTHS)]])
    adam = keras.optimizers.Adam(0.01)
    pretrain(encoder, train_x, epochs, optimizer=adam, seed=seed, verbose=0)
    return unroll(encoder, train_x, activation="sigmoid")


def compiled(network: keras.Sequential, steps: int = 1) -> keras.Sequential:
    """A network with the loss and the optimizer of these presets, so many steps at a time."""
    network.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        squared_error,
        steps_per_execution=steps,
        jit_compile=False,
    )
    return network


def trial(network: keras.Sequential, seed: int, epochs: int) -> Trial:
    """A network with the images of a seed, which it is to give back."""
    train_x, test_x = pixels(seed)
    steps = len(train_x) // BATCH
    images = Data(train_x, train_x, test_x, test_x)
    return Trial(compiled(network, steps), images, epochs * steps, BATCH)


def train(network: keras.Sequential, train_x: Images, epochs: int, seed: int) -> None:
    """Train on whole batches, in a new order each time.

    All orders are one epoch to Keras, to which starting one costs more than the steps in it.

    Args:
        network: It is compiled here.
        train_x: Images to give back.
        epochs: Passes over them.
        seed: Fixes the orders.
    """
    rng, steps = np.random.default_rng(seed), len(train_x) // BATCH
    orders = [rng.permutation(len(train_x))[: steps * BATCH] for _ in range(epochs)]
    x = train_x[np.concatenate(orders)]
    compiled(network, steps).fit(x, x, batch_size=BATCH, shuffle=False, verbose=0)


def squared_error(x: Any, made: Any) -> Any:
    """Summed over the pixels, one number an image."""
    return keras.ops.sum(keras.ops.square(x - made), axis=-1)


def error(x: Images, made: Images) -> float:
    """The same, its mean over the images."""
    return float(np.mean(np.sum((x - made) ** 2, axis=1, dtype="float64")))


def by_components(train_x: Images, test_x: Images, count: int) -> tuple[Images, Images]:
    """The images by the first principal components of those to train on; by the mean with none."""
    mean = train_x.mean(axis=0)
    axes = np.linalg.svd(train_x - mean, full_matrices=False)[2][:count]
    return mean + (train_x - mean) @ axes.T @ axes, mean + (test_x - mean) @ axes.T @ axes


def by_network(network: Any, train_x: Images, test_x: Images) -> tuple[Images, Images]:
    """The images as a network gives them back."""
    first, second = (keras.ops.convert_to_numpy(network(x)) for x in (train_x, test_x))
    return first, second


def strip(images: Images, count: int) -> Images:
    """The first images side by side, as one picture."""
    padded = np.pad(images[:count].reshape(-1, 8, 8), ((0, 0), (0, 0), (0, 2)))
    return np.hstack(list(padded))
