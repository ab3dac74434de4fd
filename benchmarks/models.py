"""The networks on which cost is measured, each with data made up for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

layers = keras.layers


@dataclass(frozen=True)
class Case:
    """A compiled model and batches to train it on.

    Args:
        model: The compiled model.
        x: Inputs of `steps` batches.
        y: Labels.
        batch_size: Examples a batch.
    """

    model: Any
    x: Any
    y: Any
    batch_size: int


def mlp(steps: int) -> Case:
    """20 ReLU layers of 256 units, batches of 128."""
    hidden = [
        layers.Dense(256, activation="relu", kernel_initializer="he_normal") for _ in range(20)
    ]
    model = keras.Sequential([keras.Input((256,)), *hidden, layers.Dense(10)], name="mlp")
    return _case(model, (256,), 128, steps)


def resnet(steps: int) -> Case:
    """Three residual blocks of two convolutions with batch normalization, batches of 32."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same")(inputs)
    for _ in range(3):
        y = layers.BatchNormalization()(x)
        y = layers.Conv2D(16, 3, padding="same")(layers.Activation("relu")(y))
        y = layers.BatchNormalization()(y)
        y = layers.Conv2D(16, 3, padding="same")(layers.Activation("relu")(y))
        x = layers.Add()([x, y])
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return _case(keras.Model(inputs, outputs, name="resnet"), (16, 16, 3), 32, steps)


def transformer(steps: int) -> Case:
    """Two pre-norm blocks with four heads on sequences of 32, batches of 32."""
    inputs = keras.Input((32, 64))
    x = inputs
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
        y = layers.Dense(256, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(64)(y)])
    outputs = layers.Dense(10)(layers.GlobalAveragePooling1D()(x))
    return _case(keras.Model(inputs, outputs, name="transformer"), (32, 64), 32, steps)


MODELS: dict[str, Callable[[int], Case]] = {
    "MLP 20x256": mlp,
    "small ResNet": resnet,
    "small transformer": transformer,
}


def _case(model: Any, shape: tuple[int, ...], batch_size: int, steps: int) -> Case:
    model.compile(
        keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    draw = np.random.default_rng(0)
    x = draw.normal(size=(steps * batch_size, *shape)).astype("float32")
    y = draw.integers(0, 10, steps * batch_size)
    return Case(model=model, x=x, y=y, batch_size=batch_size)
