"""Networks that rules must speak of, networks that they must not, and what is looked at of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import initializers, layers

from keras_initscope.initializers import Gated

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


def one_hot():
    """The usual data, classes as rows of zeros and a one."""
    x, y = normal()
    return x, np.eye(CLASSES, dtype="float32")[y]


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


def one_of(depth, deviation):
    """A stack of which one layer has other weights."""
    model = mlp(depth, "relu")
    kernel = model.layers[2 * (depth // 2)].kernel
    kernel.assign(deviation / 0.18 * kernel)
    return model


def dead_in_the_middle():
    """Of three layers one whose biases let nothing through."""
    hidden = [
        layers.Dense(64, "relu", "he_normal", bias_initializer=initializers.Constant(bias))
        for bias in (0.0, -20.0, 0.0)
    ]
    return keras.Sequential([keras.Input((32,)), *hidden, layers.Dense(CLASSES)])


def encoders(kernel, blocks=5):
    """Transformer blocks without normalization, their dense layers with a kernel of choice."""
    inputs = x = keras.Input((12, 8))
    x = layers.Dense(32)(x)
    for _ in range(blocks):
        x += layers.MultiHeadAttention(2, 16)(x, x)
        x += layers.Dense(32, kernel_initializer=kernel())(
            layers.Dense(64, "relu", kernel_initializer=kernel())(x)
        )
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def bottleneck():
    """An autoencoder's convolutions and its bottleneck of two units, at Keras' defaults."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(32, 3, 2, "same", activation="relu")(inputs)
    x = layers.Conv2D(64, 3, 2, "same", activation="relu")(x)
    x = layers.Dense(2)(layers.Dense(16, "relu")(layers.Flatten()(x)))
    x = layers.Reshape((4, 4, 64))(layers.Dense(4 * 4 * 64, "relu")(x))
    x = layers.Conv2DTranspose(64, 3, 2, "same", activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, 2, "same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, 1, "same", activation="sigmoid")(x))


def blobs():
    """Pictures of one bright spot, to be given back."""
    rng = np.random.default_rng(0)
    at, grid = rng.uniform(4, 12, (64, 2, 1, 1)), np.mgrid[:16, :16]
    x = np.exp(-np.square(grid - at).sum(1) / 8)[..., None].astype("float32")
    return x, x


def spatial_gates(blocks=3):
    """Gates across positions that begin as the constant one (Liu et al. 2021, gMLP)."""
    inputs = x = keras.Input((12, 8))
    x = layers.Dense(32)(x)
    for _ in range(blocks):
        u, v = keras.ops.split(layers.Dense(64, "gelu")(layers.LayerNormalization()(x)), 2, -1)
        gate = layers.Dense(
            12, kernel_initializer=initializers.RandomUniform(-1e-3, 1e-3), bias_initializer="ones"
        )(layers.Permute((2, 1))(layers.LayerNormalization()(v)))
        x += layers.Dense(32)(u * layers.Permute((2, 1))(gate))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def highway(depth):
    """Layers that let the signal past at first: of their gates biases decide."""
    x = start = keras.Input((32,))
    for _ in range(depth):
        shut = {"kernel_initializer": small(), "bias_initializer": initializers.Constant(-2.0)}
        gate = layers.Dense(32, "sigmoid", **shut)(x)
        x = gate * layers.Dense(32, "relu")(x) + (1.0 - gate) * x
    return keras.Model(start, layers.Dense(CLASSES)(x))


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


def sequences(scale=1.0, steps=12, low=-1.7, high=1.7):
    """Sequences of 8 uniform features, and classes."""

    def data():
        rng = np.random.default_rng(0)
        x = scale * rng.uniform(low, high, (128, steps, 8))
        return x.astype("float32"), rng.integers(0, CLASSES, 128)

    return data


def recurrent(layer, **options):
    """A recurrent layer and logits."""
    return lambda: keras.Sequential(
        [keras.Input((None, 8)), layer(32, **options), layers.Dense(CLASSES)]
    )


def unstable(scale=3.0):
    """Weights that drive every unit far out."""
    return initializers.RandomNormal(stddev=scale, seed=0)


def ending(*tail):
    """A hidden layer and what follows it."""
    return lambda: keras.Sequential(
        [keras.Input((32,)), layers.Dense(64, "relu"), *(make() for make in tail)]
    )


_OF_KERNELS = ("kernel_initializer", "recurrent_initializer")


def trends(steps=100):
    """Standardized series of slow trends, of which neighbouring values are nearly equal."""
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(64, steps, 8)), axis=1)
    return ((x - x.mean()) / x.std()).astype("float32"), rng.integers(0, CLASSES, 64)


def words():
    """Sentences of 3 to 12 words, padded with zeros behind."""
    rng = np.random.default_rng(0)
    x, length = rng.integers(1, 50, (128, 12)), rng.integers(3, 13, (128, 1))
    return np.where(np.arange(12) < length, x, 0), rng.integers(0, CLASSES, 128)


def padded():
    """Sequences that end in zeros."""
    x, y = sequences()()
    x[:, 7:] = 0.0
    return x, y


def stack(*hidden, shape=(None, 8), **options):
    """The layers, made anew each time, and logits."""
    return lambda: keras.Sequential(
        [keras.Input(shape, **options), *(make() for make in hidden), layers.Dense(CLASSES)]
    )


PROBABILITIES = "sparse_categorical_crossentropy"

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
    "small weights at each step": (
        "F1",
        Network(
            build=stack(
                *(
                    lambda: layers.TimeDistributed(
                        layers.Dense(32, "relu", kernel_initializer=small())
                    )
                    for _ in range(6)
                ),
                lambda: layers.LSTM(8),
                shape=(12, 8),
            ),
            data=sequences(),
        ),
    ),
    "one layer of next to nothing": (
        "F1",
        Network(build=lambda: one_of(10, 1e-6)),
    ),
    "inputs of next to nothing": (
        "D1",
        Network(build=lambda: mlp(3, "relu"), data=scaled([1e-5] * 32)),
    ),
    "units that are dead in the middle": (
        "U2",
        Network(build=dead_in_the_middle),
    ),
    "attention saturated by what explodes before": (
        "F2",
        Network(build=lambda: encoders(large), data=sequences()),
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
ONE_CAUSE |= {
    f"{layer.__name__}: {name}": (code, Network(build=recurrent(layer, **options), data=data))
    for layer in (layers.SimpleRNN, layers.LSTM, layers.GRU)
    for name, code, data, options in (
        ("large kernels", "U1", sequences(), {"kernel_initializer": unstable()}),
        ("large recurrent kernels", "U1", sequences(), {"recurrent_initializer": unstable()}),
        ("large biases", "U1", sequences(), {"bias_initializer": initializers.Constant(50.0)}),
        ("ones", "U3", sequences(), dict.fromkeys(_OF_KERNELS, "ones")),
        ("sequences of 1e3", "D1", sequences(1e3), {}),
        ("bytes", "D1", sequences(255.0, low=0.0, high=1.0), {}),
    )
}
ONE_CAUSE |= {
    f"biases of 50, {activation}": (
        code,
        Network(build=partial(mlp, 3, activation, bias=initializers.Constant(50.0))),
    )
    for activation, code in (("tanh", "U1"), ("sigmoid", "U1"), ("relu", "F4"), ("gelu", "F4"))
}
ONE_CAUSE |= {
    name: (code, Network(build=ending(*tail), loss=loss))
    for name, code, loss, tail in (
        (
            "ReLU, dropout and softmax",
            "D5",
            PROBABILITIES,
            (lambda: layers.Dense(CLASSES, "relu"), lambda: layers.Dropout(0.2), layers.Softmax),
        ),
        (
            "softmax as logits, reshaped",
            "D5",
            CROSSENTROPY,
            (lambda: layers.Dense(CLASSES, "softmax"), lambda: layers.Reshape((CLASSES,))),
        ),
        (
            "softmax of its own as logits, flattened",
            "D5",
            CROSSENTROPY,
            (lambda: layers.Dense(CLASSES), layers.Softmax, layers.Flatten),
        ),
        (
            "ReLU as logits, flattened",
            "D5",
            CROSSENTROPY,
            (lambda: layers.Dense(CLASSES, "relu"), layers.Flatten),
        ),
        (
            "softmax twice, dropout between",
            "D5",
            PROBABILITIES,
            (lambda: layers.Dense(CLASSES, "softmax"), lambda: layers.Dropout(0.2), layers.Softmax),
        ),
    )
}
ONE_CAUSE["softmax of one, reshaped"] = (
    "D4",
    Network(
        build=ending(lambda: layers.Dense(1, "softmax"), lambda: layers.Reshape((1,))),
        data=binary,
        loss="binary_crossentropy",
    ),
)
ONE_CAUSE["logarithms of zero"] = (
    "D5",
    Network(
        build=ending(lambda: layers.Dense(CLASSES, "relu")),
        data=one_hot,
        loss="categorical_crossentropy",
    ),
)
ONE_CAUSE["all probabilities above 1"] = (
    "D5",
    Network(
        build=ending(lambda: layers.Dense(1, bias_initializer=initializers.Constant(9.0))),
        data=binary,
        loss="binary_crossentropy",
    ),
)

#: Networks that train, though something about them looks like a fault.
HEALTHY = {
    "tanh, 40 deep": Network(build=lambda: mlp(40, "tanh", "glorot_uniform")),
    "ReLU, 30 deep": Network(build=lambda: mlp(30, "relu", width=128)),
    "convolutions around a bottleneck": Network(build=bottleneck, data=blobs, loss="mse"),
    "the same at each step": Network(
        build=stack(
            *(
                lambda: layers.TimeDistributed(
                    layers.Dense(32, "relu", kernel_initializer="he_normal")
                )
                for _ in range(6)
            ),
            lambda: layers.LSTM(8),
            shape=(12, 8),
        ),
        data=sequences(),
    ),
    "spatial gates": Network(build=spatial_gates, data=sequences()),
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

_each_step = {"return_sequences": True}
#: Biases of input, forget, candidate and output for memory of hundreds of steps, after Tallec and
#: Ollivier 2018 (arXiv:1804.11188): two gates of four begin shut and open.
LONG = Gated([initializers.Constant(-6.0), initializers.Constant(6.0), "zeros", "zeros"])
HEALTHY |= {
    "three LSTMs on padded words": Network(
        build=stack(
            lambda: layers.Embedding(50, 16, mask_zero=True),
            lambda: layers.LSTM(32, **_each_step),
            lambda: layers.LSTM(32, **_each_step),
            lambda: layers.LSTM(32),
            shape=(None,),
        ),
        data=words,
    ),
    "GRU on slow trends of 100 steps": Network(
        build=stack(lambda: layers.GRU(32, **_each_step), lambda: layers.GRU(32)), data=trends
    ),
    "simple recurrent stack": Network(
        build=stack(lambda: layers.SimpleRNN(32, **_each_step), lambda: layers.SimpleRNN(32)),
        data=sequences(),
    ),
    "rectified recurrence that starts at the identity": Network(
        build=recurrent(layers.SimpleRNN, activation="relu", recurrent_initializer="identity"),
        data=sequences(low=0.0, high=1.0),
    ),
    "both ways through padding": Network(
        build=stack(
            layers.Masking,
            lambda: layers.Bidirectional(layers.GRU(16, **_each_step)),
            lambda: layers.Bidirectional(layers.LSTM(16)),
        ),
        data=padded,
    ),
    "state that is kept": Network(
        build=stack(lambda: layers.LSTM(32, stateful=True), shape=(12, 8), batch_size=128),
        data=sequences(),
    ),
    "unit interval, no biases, unrolled": Network(
        build=stack(
            lambda: layers.GRU(32, reset_after=False, use_bias=False, unroll=True), shape=(12, 8)
        ),
        data=sequences(low=0.0, high=1.0),
    ),
    "memory of 1000 steps": Network(
        build=recurrent(layers.LSTM, bias_initializer=LONG, unit_forget_bias=False),
        data=sequences(),
    ),
    "gates that begin shut": Network(build=lambda: highway(depth=3)),
    "normalized between recurrent layers": Network(
        build=stack(
            lambda: layers.LSTM(32, recurrent_dropout=0.2, dropout=0.2, **_each_step),
            layers.LayerNormalization,
            lambda: layers.GRU(32, go_backwards=True),
        ),
        data=sequences(),
    ),
}
