"""Healthy networks on images and point clouds, from LeNet to ConvNeXt."""

from __future__ import annotations

import keras

from benchmarks.zoo.blocks import L, Positions, conv, conv_bn, encoder, ops, residual_block, times


def lenet():
    """LeCun 1998 as it is taught: tanh and average pooling."""
    return [
        L.Conv2D(6, 5, activation="tanh"),
        L.AveragePooling2D(2),
        L.Conv2D(16, 5, activation="tanh"),
        L.AveragePooling2D(2),
        L.Flatten(),
        L.Dense(120, "tanh"),
        L.Dense(84, "tanh"),
        L.Dense(10, "softmax"),
    ]


def simple_cnn():
    return [
        L.Conv2D(32, 3, activation="relu"),
        L.MaxPooling2D(2),
        L.Conv2D(64, 3, activation="relu"),
        L.MaxPooling2D(2),
        L.Flatten(),
        L.Dropout(0.5),
        L.Dense(10, "softmax"),
    ]


def rescaled():
    return [L.Rescaling(1 / 255), *simple_cnn()]


def group_normed():
    def block():
        return [L.Conv2D(32, 3, padding="same"), L.GroupNormalization(8), L.ReLU()]

    return [*times(3, block), L.GlobalAveragePooling2D(), L.Dense(10)]


def excited(x):
    """Hu 2018, squeeze and excitation, without normalization."""
    for _ in range(5):
        x = L.Conv2D(32, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        gate = L.Dense(8, "relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
        x = 2 * L.Multiply()([x, L.Dense(32, "sigmoid")(gate)])
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


def inception(x):
    """Szegedy 2015: branches of several depths side by side."""
    for _ in range(4):
        wide = conv(8, 3)(conv(8, 1)(x))
        wider = conv(8, 3)(conv(8, 3)(conv(8, 1)(x)))
        pooled = conv(8, 1)(L.MaxPooling2D(3, strides=1, padding="same")(x))
        x = L.Concatenate()([conv(8, 1)(x), wide, wider, pooled])
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


def resnet(gamma):
    def body(x):
        x = conv_bn(x, 16)
        for filters, strides in ((16, 1), (32, 2), (64, 2)):
            x = residual_block(x, filters, strides, gamma)
        return L.Dense(10)(L.GlobalAveragePooling2D()(x))

    return body


def preactivated(x):
    x = conv(16, activation=None)(x)
    for filters in (16, 16, 32, 32):
        y = L.ReLU()(L.BatchNormalization()(x))
        short = L.Conv2D(filters, 1)(y) if x.shape[-1] != filters else x
        y = L.ReLU()(L.BatchNormalization()(conv(filters, activation=None)(y)))
        x = L.Add()([short, conv(filters, activation=None)(y)])
    return L.Dense(10)(L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization()(x))))


def densenet(x):
    x = conv(16, activation=None)(x)
    for _ in range(5):
        y = conv(12, activation=None)(L.ReLU()(L.BatchNormalization()(x)))
        x = L.Concatenate()([x, y])
    return L.Dense(10)(L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization()(x))))


def separable(x):
    x = conv_bn(x, 16)
    for filters in (32, 32, 64, 64):
        x = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        x = conv_bn(x, filters, size=1)
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


def inverted(x):
    """Inverted residuals with squeeze and excitation."""
    x = conv_bn(x, 16)
    for _ in range(3):
        y = conv_bn(x, 64, size=1)
        y = L.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
        y = L.Activation("silu")(L.BatchNormalization()(y))
        gate = L.Conv2D(4, 1, activation="silu")(L.GlobalAveragePooling2D(keepdims=True)(y))
        y = y * L.Conv2D(64, 1, activation="sigmoid")(gate)
        x = x + L.BatchNormalization()(L.Conv2D(16, 1, use_bias=False)(y))
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


class Scale(L.Layer):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def build(self, shape):
        init = keras.initializers.Constant(self.value)
        self.scale = self.add_weight(shape=(shape[-1],), initializer=init)

    def call(self, x):
        return x * self.scale


def convnext(value):
    """Liu 2022; with 0 as in ReZero."""

    def body(x):
        x = L.LayerNormalization()(L.Conv2D(32, 2, strides=2)(x))
        for _ in range(4):
            y = L.LayerNormalization()(L.DepthwiseConv2D(5, padding="same")(x))
            x = x + Scale(value)(L.Dense(32)(L.Dense(128, "gelu")(y)))
        return L.Dense(10)(L.LayerNormalization()(L.GlobalAveragePooling2D()(x)))

    return body


def patches(x, width=32):
    x = L.Conv2D(width, 4, strides=4)(x)
    return L.Reshape((-1, width))(x)


def vit(x):
    x = Positions()(patches(x))
    for _ in range(3):
        x = encoder(x)
    return L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x)))


def mixer(x):
    x = patches(x)
    for _ in range(3):
        y = L.Permute((2, 1))(L.LayerNormalization()(x))
        x = x + L.Permute((2, 1))(L.Dense(16)(L.Dense(32, "gelu")(y)))
        x = x + L.Dense(32)(L.Dense(64, "gelu")(L.LayerNormalization()(x)))
    return L.Dense(10)(L.GlobalAveragePooling1D()(L.LayerNormalization()(x)))


def unet(x):
    skips = []
    for filters in (8, 16):
        x = conv(filters)(conv(filters)(x))
        skips.append(x)
        x = L.MaxPooling2D(2)(x)
    x = conv(32)(x)
    for filters in (16, 8):
        x = L.Conv2DTranspose(filters, 2, strides=2)(x)
        x = conv(filters)(L.Concatenate()([x, skips.pop()]))
    return L.Conv2D(1, 1, activation="sigmoid")(x)


def point_net(x):
    x = L.Dense(64, "relu")(L.Dense(32, "relu")(x))
    return L.Dense(2)(L.Dense(32, "relu")(ops.max(x, axis=1)))


def deep_set(x):
    x = L.Dense(64, "relu")(L.Dense(32, "relu")(x))
    return L.Dense(2)(L.Dense(32, "relu")(ops.sum(x, axis=1)))
