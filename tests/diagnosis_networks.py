"""Networks that rules must speak of, networks that they must not, and what is looked at of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import initializers, layers

CLASSES = 5
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def normal(examples=128, features=32, seed=0):
    """Inputs of mean 0 and variance 1, and classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, features)).astype("float32")
    return x, rng.integers(0, CLASSES, examples)


def mlp(depth, activation, kernel="he_normal", *, width=64, bias="zeros", norm=None, head=None):
    """A stack of dense layers with activations of their own, and logits."""
    kernels = {
        "kernel_initializer": kernel if isinstance(kernel, str) else kernel(),
        "bias_initializer": bias,
    }
    hidden = []
    for _ in range(depth):
        hidden.append(layers.Dense(width, **kernels))
        hidden.extend([] if norm is None else [norm()])
        hidden.append(layers.Activation(activation))
    last = layers.Dense(CLASSES) if head is None else head()
    return keras.Sequential([keras.Input((32,)), *hidden, last])


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network to be looked at.

    Args:
        build: Makes it.
        data: Makes inputs and targets.
        loss: What it is compiled with.
        optimizer: Makes its optimizer.
    """

    build: Callable[[], Any]
    data: Callable[[], Any] = normal
    loss: Any = CROSSENTROPY
    optimizer: Callable[[], Any] = field(default=lambda: keras.optimizers.SGD(0.01))

    def compiled(self, seed=0):
        """The model, and data for it."""
        keras.utils.set_random_seed(seed)
        model = self.build()
        model.compile(self.optimizer(), self.loss, jit_compile=False)
        return model, *self.data()


def scaled(factors):
    """The usual data, each feature times a factor."""

    def data():
        x, y = normal()
        return (x * np.asarray(factors)).astype("float32"), y

    return data


def shifted():
    """The usual data, far from zero and small."""
    x, y = normal()
    return (0.005 * x + 1.0).astype("float32"), y


def broken():
    """The usual data, with a value missing."""
    x, y = normal()
    x[3, 5] = np.nan
    return x, y


def binary():
    """The usual data with one number between 0 and 1 as target."""
    x, y = normal()
    return x, (y > CLASSES // 2).astype("float32")[:, None]


def residual(blocks=4, *, last="he_normal"):
    """A residual network before normalization, branches that end in a kernel of choice."""
    x = start = keras.Input((32,))
    x = layers.Dense(64)(x)
    for _ in range(blocks):
        branch = layers.LayerNormalization()(x)
        branch = layers.Dense(64, "gelu")(branch)
        x = layers.Add()([x, layers.Dense(64, kernel_initializer=last)(branch)])
    return keras.Model(start, layers.Dense(CLASSES, kernel_initializer=last)(x))


def large():
    """Weights of variance 1."""
    return initializers.RandomNormal(stddev=1.0, seed=0)


class Narrowing(layers.Layer):
    """Gives what it receives, and a tenth of the gradient back."""

    def call(self, inputs):
        """Hand the inputs on."""
        return 0.1 * inputs + keras.ops.stop_gradient(0.9 * inputs)

    def compute_output_shape(self, input_shape):
        """Change no shape."""
        return input_shape


def small():
    """Weights of standard deviation 0.01."""
    return initializers.RandomNormal(stddev=0.01, seed=0)


def positive():
    """Weights of one sign."""
    return initializers.RandomUniform(0.0, 0.2, seed=0)


def half_huge():
    """A dense layer of float16 whose outputs come near the end of that type."""
    kernel = initializers.RandomNormal(stddev=900.0, seed=0)
    return keras.Sequential(
        [
            keras.Input((32,)),
            layers.Dense(64, kernel_initializer=kernel, dtype="mixed_float16"),
            layers.LayerNormalization(dtype="float32"),
            layers.Dense(CLASSES),
        ]
    )


#: The code to a network that must have it, and no other.
FAULTY = {
    "F1": Network(build=lambda: mlp(6, "tanh", small)),
    "F2": Network(build=lambda: mlp(6, "relu", large)),
    "F3": Network(build=lambda: mlp(8, "sigmoid", "he_uniform")),
    "F4": Network(build=lambda: mlp(3, "tanh"), data=shifted),
    "F5": Network(build=lambda: mlp(2, "relu", positive)),
    "B1": Network(build=lambda: mlp(6, "tanh", "lecun_normal", norm=Narrowing)),
    "B2": Network(build=lambda: mlp(40, "relu", norm=layers.BatchNormalization)),
    "B3": Network(
        build=lambda: mlp(
            3, "tanh", "zeros", head=lambda: layers.Dense(CLASSES, kernel_initializer="zeros")
        )
    ),
    "U1": Network(build=lambda: mlp(3, "tanh", large)),
    "U2": Network(build=lambda: mlp(3, "relu", bias=initializers.Constant(-20.0))),
    "U3": Network(build=lambda: mlp(3, "relu", lambda: initializers.Constant(0.1))),
    "W2": Network(build=lambda: mlp(3, "relu"), optimizer=lambda: keras.optimizers.Adam(1e-8)),
    "W3": Network(build=lambda: mlp(3, "relu"), optimizer=lambda: keras.optimizers.SGD(10.0)),
    "N1": Network(build=lambda: mlp(6, "exponential")),
    "N2": Network(build=half_huge),
    "D1": Network(build=lambda: mlp(3, "relu"), data=scaled([1e4, 1e4, *[1.0] * 30])),
    "D2": Network(build=lambda: mlp(3, "relu"), data=broken),
    "D4": Network(
        build=lambda: mlp(2, "relu", head=lambda: layers.Dense(1, "softmax")),
        data=binary,
        loss="binary_crossentropy",
    ),
    "D5": Network(
        build=lambda: mlp(2, "relu", head=lambda: layers.Dense(CLASSES, "relu")),
        loss="sparse_categorical_crossentropy",
    ),
}


def two_inputs():
    """Two branches that meet behind their first layers."""
    first, second = keras.Input((32,)), keras.Input((32,))
    branches = [layers.Dense(64, "relu")(x) for x in (first, second)]
    x = layers.Dense(64, "relu")(layers.Concatenate()(branches))
    return keras.Model([first, second], layers.Dense(CLASSES)(x))


def second_of_two(change):
    """The usual data twice, the second time changed."""

    def data():
        x, y = normal()
        return [x, change(x.copy())], y

    return data


def _with_a_gap(x):
    x[3, 5] = np.nan
    return x


#: What has one cause, and that cause.
ONE_CAUSE = {
    "zeros in the middle": (
        "B3",
        Network(
            build=lambda: keras.Sequential(
                [
                    keras.Input((32,)),
                    layers.Dense(64, "relu"),
                    layers.Dense(64, "relu", kernel_initializer="zeros"),
                    layers.Dense(64, "relu"),
                    layers.Dense(CLASSES),
                ]
            )
        ),
    ),
    "unscaled inputs before tanh": (
        "D1",
        Network(build=lambda: mlp(5, "tanh", "glorot_uniform"), data=scaled([1e4, *[1.0] * 31])),
    ),
    "a second input that is unscaled": (
        "D1",
        Network(build=two_inputs, data=second_of_two(lambda x: 1e4 * x)),
    ),
    "a second input that is broken": (
        "D2",
        Network(build=two_inputs, data=second_of_two(_with_a_gap)),
    ),
    "bytes into a wide layer": (
        "D1",
        Network(
            build=lambda: mlp(2, "relu", "glorot_uniform", width=1024), data=scaled([70.0] * 32)
        ),
    ),
    "large weights at plain inputs": (
        "U1",
        Network(
            build=lambda: mlp(2, "tanh", lambda: initializers.RandomNormal(stddev=3.0, seed=0))
        ),
    ),
}

#: Networks that train, though something about them looks like a fault.
HEALTHY = {
    "tanh, 40 deep": Network(build=lambda: mlp(40, "tanh", "glorot_uniform")),
    "ReLU, 30 deep": Network(build=lambda: mlp(30, "relu", width=128)),
    "zero head": Network(
        build=lambda: mlp(4, "relu", head=lambda: layers.Dense(CLASSES, kernel_initializer="zeros"))
    ),
    "zero branches and head": Network(build=lambda: residual(last="zeros")),
    "small head": Network(
        build=lambda: mlp(2, "tanh", head=lambda: layers.Dense(CLASSES, kernel_initializer=small()))
    ),
    "two inputs": Network(build=two_inputs, data=second_of_two(lambda x: x)),
    "unscaled input, normalized": Network(
        build=lambda: mlp(3, "relu", norm=layers.BatchNormalization),
        data=scaled([1e4, *[1.0] * 31]),
    ),
    "two sigmoids": Network(build=lambda: mlp(2, "sigmoid", "glorot_uniform")),
    "four units": Network(build=lambda: mlp(3, "relu", width=4)),
    "warm-up from 0": Network(
        build=lambda: mlp(3, "relu"),
        optimizer=lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=1e-3, warmup_steps=100)
        ),
    ),
    "steps as large as the weights": Network(
        build=lambda: mlp(3, "relu", norm=layers.BatchNormalization),
        optimizer=lambda: keras.optimizers.RMSprop(0.1),
    ),
    "probabilities": Network(
        build=lambda: mlp(2, "relu", head=lambda: layers.Dense(1, "sigmoid")),
        data=binary,
        loss="binary_crossentropy",
    ),
}
