"""How the presets train a classifier of the digits: whole batches, in the order of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import batches_in_turn

BATCH = 32


def train(
    model: keras.Model, data: Data, steps: int, optimizer: Any, callbacks: Sequence[Any] = ()
) -> float:
    """Train on batches of 32, over and over in the same order, as one epoch of `fit`.

    Args:
        model: Gives one logit a class; it is compiled here.
        data: What it learns.
        steps: Training steps to take.
        optimizer: A Keras optimizer of its own.
        callbacks: For `fit`, such as a `VarianceMonitor`.

    Returns:
        The accuracy on the test images, between 0 and 1.
    """
    compiled(model, optimizer)
    order = batches_in_turn(len(data.train_x), steps, BATCH)
    model.fit(
        data.train_x[order],
        data.train_y[order],
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return accuracy(model, data.test_x, data.test_y)


def compiled(model: keras.Model, optimizer: Any) -> keras.Model:
    """The model, compiled as a classifier that gives one logit a class."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    return model


def accuracy(model: keras.Model, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Share of examples whose class has the largest logit."""
    predicted = np.argmax(keras.ops.convert_to_numpy(model(x)), axis=-1)
    return float(np.mean(predicted == y))


def steps_per_pass(data: Data) -> int:
    """How many whole batches the training images make."""
    return len(data.train_x) // BATCH
