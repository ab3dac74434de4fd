"""Building blocks that several networks share."""

from __future__ import annotations

import keras

L = keras.layers
ops = keras.ops
glorot = "glorot_uniform"


def times(count, make):
    """The layers that `make` gives, made anew so many times."""
    return [layer for _ in range(count) for layer in make()]


def chain(shape, make, dtype=None):
    """A sequential model of the layers that `make` gives."""
    return lambda: keras.Sequential([keras.Input(shape, dtype=dtype), *make()])


def graph(shape, body, dtype=None):
    """A functional model of one input; `body` leads from input to output."""

    def build():
        inputs = keras.Input(shape, dtype=dtype)
        return keras.Model(inputs, body(inputs))

    return build


def mlp(shape, depth, units, out, activation="relu", init=glorot, last=None, fused=True):
    """Dense layers of one width; fused or separate activations."""

    def make():
        layers = []
        for _ in range(depth):
            dense = L.Dense(units, activation if fused else None, kernel_initializer=init)
            layers += [dense] if fused else [dense, L.Activation(activation)]
        return [*layers, L.Dense(out, last)]

    return chain(shape, make)


def conv(filters, size=3, activation="relu", **options):
    return L.Conv2D(filters, size, padding="same", activation=activation, **options)


def conv_bn(x, filters, strides=1, size=3):
    x = L.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
    return L.ReLU()(L.BatchNormalization()(x))


def residual_block(x, filters, strides=1, gamma="ones"):
    """He 2015: two convolutions with BatchNorm, and a shortcut."""
    y = conv_bn(x, filters, strides)
    y = L.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = L.BatchNormalization(gamma_initializer=gamma)(y)
    if strides > 1 or x.shape[-1] != filters:
        x = L.BatchNormalization()(L.Conv2D(filters, 1, strides, use_bias=False)(x))
    return L.ReLU()(L.Add()([x, y]))


def encoder(x, heads=4, pre=True, causal=False, activation="gelu", norm=L.LayerNormalization):
    """A transformer block."""
    width = x.shape[-1]
    attention = L.MultiHeadAttention(heads, width // heads)
    y = norm()(x) if pre else x
    y = attention(y, y, use_causal_mask=causal)
    x = x + y if pre else norm()(x + y)
    y = norm()(x) if pre else x
    y = L.Dense(width)(L.Dense(4 * width, activation)(y))
    return x + y if pre else norm()(x + y)


class Positions(L.Layer):
    """Adds a learned vector to each place."""

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal", name="table")

    def call(self, x):
        return x + self.table
