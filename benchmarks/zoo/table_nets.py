"""Healthy networks on tables: dense, residual, gated, and their heads and losses."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.zoo import data
from benchmarks.zoo.blocks import L, ops, times
from benchmarks.zoo.subject import LOGITS

normal = keras.initializers.RandomNormal
scaled = keras.initializers.VarianceScaling


def quickstart():
    return [L.Dense(128, "relu"), L.Dropout(0.2), L.Dense(10, "softmax")]


def critical_tanh():
    """Schoenholz 2017: on the critical line at a bias variance of 0.05."""
    return [
        L.Dense(128, "tanh", kernel_initializer=scaled(1.76), bias_initializer=normal(0, 0.05**0.5))
        for _ in range(30)
    ] + [L.Dense(10)]


def zero_head():
    return [*(L.Dense(64, "relu") for _ in range(4)), L.Dense(10, kernel_initializer="zeros")]


class Pruned(keras.constraints.Constraint):
    """Holds at zero what is zero at the beginning: 90 % of a kernel."""

    def __init__(self, seed):
        self.seed = seed

    def __call__(self, w):
        keep = keras.random.uniform(w.shape, seed=self.seed) < 0.1
        return w * ops.cast(keep, w.dtype)


def pruned():
    def dense(units, seed, activation):
        def initial(shape, dtype=None):
            return Pruned(seed)(scaled(20.0, distribution="normal")(shape, dtype))

        return L.Dense(
            units, activation, kernel_initializer=initial, kernel_constraint=Pruned(seed)
        )

    return [dense(256, 1, "relu"), dense(256, 2, "relu"), L.Dense(10)]


def batch_normed():
    hidden = times(4, lambda: [L.Dense(64), L.BatchNormalization(), L.ReLU()])
    return [*hidden, L.Dense(10)]


def selu():
    def block():
        return [L.Dense(64, "selu", kernel_initializer="lecun_normal"), L.AlphaDropout(0.05)]

    return [*times(8, block), L.Dense(10)]


def parametric():
    hidden = times(4, lambda: [L.Dense(64, kernel_initializer="he_normal"), L.PReLU()])
    return [*hidden, L.Dense(10)]


def noisy():
    return [
        L.GaussianNoise(0.3),
        L.Dense(256, "relu"),
        L.Dropout(0.5),
        L.Dense(256, "relu"),
        L.Dropout(0.5),
        L.Dense(10),
    ]


def spectral():
    return [*(L.SpectralNormalization(L.Dense(64, "relu")) for _ in range(3)), L.Dense(10)]


class WeightNormalized(L.Layer):
    """Salimans 2016: direction and length of each unit's weights apart."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.v = self.add_weight(shape=(shape[-1], self.units), initializer=normal(0, 0.05))
        self.g = self.add_weight(shape=(self.units,), initializer="ones")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")

    def call(self, x):
        return ops.relu(ops.matmul(x, self.v * self.g / ops.norm(self.v, axis=0)) + self.b)


def maxout(x):
    for _ in range(3):
        x = ops.max(L.Reshape((64, 3))(L.Dense(192)(x)), axis=-1)
    return L.Dense(10)(x)


def highway(x):
    x = L.Dense(64, "relu")(x)
    for _ in range(10):
        bias = keras.initializers.Constant(-2.0)
        gate = L.Dense(64, "sigmoid", bias_initializer=bias)(x)
        x = gate * L.Dense(64, "relu")(x) + (1 - gate) * x
    return L.Dense(10)(x)


def gated_residual(x):
    """A tabular residual net with LayerNorm and GLU."""
    x = L.Dense(64)(x)
    for _ in range(4):
        y = L.Dense(128)(L.LayerNormalization()(x))
        y = y[:, :64] * ops.sigmoid(y[:, 64:])
        x = x + L.Dropout(0.1)(L.Dense(64)(y))
    return L.Dense(3)(L.LayerNormalization()(x))


def fixup(x, blocks=10):
    """Zhang 2019, without normalization: the last layer of each branch begins at zero."""
    x = L.Dense(64, "relu", kernel_initializer="he_normal")(x)
    for _ in range(blocks):
        first = scaled(2 / blocks)
        y = L.Dense(64, "relu", kernel_initializer=first)(x)
        x = L.ReLU()(x + L.Dense(64, kernel_initializer="zeros")(y))
    return L.Dense(10, kernel_initializer="zeros")(x)


def dense_skips(x):
    for _ in range(5):
        x = L.Concatenate()([x, L.Dense(32, "relu")(x)])
    return L.Dense(10)(x)


def unlike_branches(x):
    """A deep branch, a shallow one, and a bypass."""
    deep = x
    for _ in range(12):
        deep = L.Dense(64, "relu", kernel_initializer="he_normal")(deep)
    shallow = L.Dense(16, "tanh")(x)
    return L.Dense(10)(L.Concatenate()([deep, shallow, x]))


def cross(x):
    """Wang 2017, deep and cross."""
    low, deep = x, L.Dense(64, "relu")(L.Dense(64, "relu")(x))
    for _ in range(3):
        low = x * L.Dense(x.shape[-1])(low) + low
    return L.Dense(1, "sigmoid")(L.Concatenate()([low, deep]))


def cosine_head(x):
    """Embeddings of unit length and a scaled cosine to each class."""
    x = L.UnitNormalization()(L.Dense(32)(L.Dense(64, "relu")(x)))
    head = L.Dense(10, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(axis=0))
    return 16.0 * head(x)


def temperature(x):
    return L.Softmax()(L.Dense(10)(L.Dense(64, "relu")(x)) / 4.0)


def two_outputs():
    inputs = keras.Input((64,))
    x = L.Dense(64, "relu")(inputs)
    return keras.Model(inputs, [L.Dense(10, name="digit")(x), L.Dense(1, name="size")(x)])


def siamese():
    tower = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu"), L.Dense(32)])
    a, b = keras.Input((64,)), keras.Input((64,))
    return keras.Model([a, b], L.Dense(1, "sigmoid")(ops.abs(tower(a) - tower(b))))


def factorization():
    user, item = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")
    a, b = L.Embedding(30, 8)(user), L.Embedding(30, 8)(item)
    return keras.Model([user, item], L.Flatten()(L.Dot(2)([a, b])))


def siren():
    """Sitzmann 2020: sines, and a first layer that asks for high frequencies."""
    uniform = keras.initializers.RandomUniform
    limit = (6 / 64) ** 0.5

    def hidden(first):
        init = uniform(-15, 15) if first else uniform(-limit, limit)
        return L.Dense(64, ops.sin, kernel_initializer=init)

    return [hidden(True), hidden(False), hidden(False), L.Dense(1)]


def subclassed():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [L.Dense(64, activation="relu") for _ in range(3)]
            self.head = L.Dense(10)

        def call(self, x):
            for layer in self.hidden:
                x = layer(x)
            return self.head(x)

    return Net()


def pretrained():
    """What has been trained on one half of the digits, and begins on all of them."""
    model = keras.Sequential([keras.Input((64,)), L.Dense(128, "relu"), L.Dense(64, "relu")])
    head = keras.Sequential([keras.Input((64,)), model, L.Dense(10)])
    head.compile("adam", LOGITS)
    x, y = data.digits(np.random.default_rng(0), 640)
    head.fit(x[y < 5], y[y < 5], epochs=8, verbose=0)
    return keras.Sequential([keras.Input((64,)), model, L.Dense(10)])


def frozen_base():
    base = keras.Sequential([keras.Input((64,)), L.Dense(256, "relu"), L.Dense(256, "relu")])
    base.trainable = False
    return keras.Sequential([keras.Input((64,)), base, L.Dense(10)])


def preprocessed(adapt_to):
    def make():
        normalize = L.Normalization()
        normalize.adapt(adapt_to)
        return [normalize, L.Dense(32, "relu"), L.Dense(3)]

    return make
