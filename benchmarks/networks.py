"""Networks whose signal is both predicted and measured: builder, width, weighted layers."""

import keras

L = keras.layers


def dense(activation, units=128, init="he_normal"):
    return lambda: L.Dense(units, activation=activation, kernel_initializer=init)


def conv(filters=32, size=3, activation="relu", **options):
    return lambda: L.Conv2D(
        filters, size, activation=activation, kernel_initializer="he_normal", **options
    )


def chain(shape, *makers):
    return lambda: keras.Sequential([keras.Input(shape), *(make() for make in makers)])


def residual(norm=None, width=128, blocks=4):
    def build():
        inputs = keras.Input((width,))
        x = L.Dense(width)(inputs)
        for _ in range(blocks):
            y = L.ReLU()(x if norm is None else norm()(x))
            x = L.Add()([x, L.Dense(width, kernel_initializer="he_normal")(y)])
        return keras.Model(inputs, x)

    return build


def concatenated():
    inputs = keras.Input((64,))
    x = L.Dense(128, "relu")(inputs)
    y = L.Dense(192, "tanh", kernel_initializer="he_normal")(x)
    x = L.Concatenate()([L.Dense(64, "relu")(x), y])
    return keras.Model(inputs, L.Dense(64)(x))


def gated():
    inputs = keras.Input((8, 8, 16))
    x = L.Conv2D(64, 3, activation="relu")(inputs)
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Conv2D(64, 1, activation="relu")(gate)
    gate = L.Conv2D(64, 1, activation="sigmoid")(gate)
    return keras.Model(inputs, L.Conv2D(32, 1)(L.Multiply()([x, gate])))


def tokens(vocabulary, steps):
    return lambda rng, batch: rng.integers(0, vocabulary, (batch, steps))


def transformer(causal=False):
    def build():
        inputs = keras.Input((16, 64))
        x = L.Dense(64)(inputs)
        y = L.MultiHeadAttention(4, 16)(x, x, use_causal_mask=causal)
        x = L.LayerNormalization()(L.Add()([x, y]))
        x = L.Add()([x, L.Dense(64)(L.Dense(128, "relu")(x))])
        y = L.MultiHeadAttention(8, 16, value_dim=8)(x, x)
        return keras.Model(inputs, L.GlobalAveragePooling1D()(y))

    return build


def two_ways():
    inputs = keras.Input((10, 32))
    x = L.Bidirectional(L.LSTM(64, return_sequences=True))(inputs)
    x = L.TimeDistributed(L.Dense(32, "relu"))(x)
    x = L.Bidirectional(L.GRU(32), merge_mode="sum")(x)
    return keras.Model(inputs, L.Dense(32)(x))


def recurrent(kind, layers=2):
    below = [lambda: kind(64, return_sequences=True)] * (layers - 1)
    return chain((10, 32), *below, lambda: kind(64), dense(None, 32))


NETWORKS = {
    "tanh": (chain((128,), *[dense("tanh")] * 6), 128, 6),
    "relu": (chain((128,), *[dense("relu")] * 6), 128, 6),
    "selu": (chain((128,), *[dense("selu", init="lecun_normal")] * 6), 128, 6),
    "gelu": (chain((128,), *[dense("gelu")] * 6), 128, 6),
    "dropout": (chain((128,), *[dense("relu"), lambda: L.Dropout(0.3)] * 3), 128, 3),
    "layer-norm": (chain((128,), *[dense("relu"), L.LayerNormalization] * 3), 128, 3),
    "batch-norm": (chain((128,), *[dense(None), L.BatchNormalization, L.ReLU] * 3), 128, 3),
    "alpha-dropout": (
        chain(
            (128,),
            dense("selu", init="lecun_normal"),
            lambda: L.AlphaDropout(0.2),
            dense("selu", init="lecun_normal"),
            lambda: L.GaussianDropout(0.2),
            lambda: L.GaussianNoise(0.5),
            dense("silu"),
        ),
        128,
        3,
    ),
    "residual": (residual(), 128, 5),
    "residual-layer-norm": (residual(L.LayerNormalization), 128, 5),
    "concatenation": (concatenated, 64, 3),
    "gate": (gated, 32, 4),
    "softmax": (chain((64,), dense("relu", 64), dense("softmax", 10)), 64, 2),
    "convolution": (
        chain(
            (16, 16, 8),
            conv(padding="same"),
            conv(padding="same", strides=2),
            conv(padding="same", dilation_rate=2, activation="tanh"),
            conv(groups=4),
            L.Flatten,
            dense(None, 32),
        ),
        32,
        5,
    ),
    "max-pooling": (
        chain(
            (16, 16, 8),
            conv(padding="same"),
            lambda: L.MaxPooling2D(2),
            conv(padding="same", activation=None),
            lambda: L.MaxPooling2D(3, 2, padding="same"),
            L.ReLU,
            conv(),
        ),
        32,
        3,
    ),
    "padded-max-pooling": (
        chain(
            (15, 15, 8), conv(), lambda: L.ZeroPadding2D(1), lambda: L.MaxPooling2D(3, 2), conv()
        ),
        32,
        2,
    ),
    "average-pooling": (
        chain(
            (16, 16, 8),
            conv(padding="same"),
            lambda: L.AveragePooling2D(2),
            conv(padding="same"),
            lambda: L.AveragePooling2D(3, 2, padding="same"),
            conv(32, 1),
            L.GlobalAveragePooling2D,
            dense(None, 32),
        ),
        32,
        4,
    ),
    "global-max-pooling": (
        chain((8, 8, 8), conv(activation="tanh"), L.GlobalMaxPooling2D, dense(None, 32)),
        32,
        2,
    ),
    "depthwise": (
        chain(
            (12, 12, 64),
            lambda: L.DepthwiseConv2D(
                3, padding="same", depthwise_initializer="he_normal", depth_multiplier=2
            ),
            L.ReLU,
            lambda: L.SeparableConv2D(64, 3, activation="relu"),
        ),
        64,
        3,
    ),
    "transposed": (
        chain(
            (6, 6, 32),
            lambda: L.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            lambda: L.Conv2DTranspose(32, 4, strides=3, activation="relu"),
            lambda: L.Conv2DTranspose(32, 2, padding="same"),
        ),
        32,
        3,
    ),
    "upsampling": (
        chain(
            (6, 6, 16),
            conv(padding="same"),
            lambda: L.UpSampling2D(2, interpolation="bilinear"),
            conv(),
            lambda: L.ZeroPadding2D(2),
            lambda: L.Cropping2D(1),
            conv(),
        ),
        32,
        3,
    ),
    "other-norms": (
        chain(
            (8, 8, 8),
            conv(),
            lambda: L.GroupNormalization(8),
            conv(),
            L.RMSNormalization,
            conv(),
            L.UnitNormalization,
        ),
        32,
        3,
    ),
    "attention": (transformer(), 64, 6),
    "causal-attention": (transformer(causal=True), 64, 6),
    "embedding": (
        chain(
            (12,),
            lambda: L.Embedding(50, 64),
            dense("relu", 64),
            L.GlobalAveragePooling1D,
            dense(None, 32),
        ),
        64,
        3,
        {"sample": tokens(50, 12)},
    ),
    "simple-rnn": (recurrent(L.SimpleRNN), 64, 4),
    "lstm": (recurrent(L.LSTM), 64, 4),
    "gru": (recurrent(L.GRU), 64, 4),
    "simple-rnn-4": (recurrent(L.SimpleRNN, 4), 64, 8),
    "lstm-4": (recurrent(L.LSTM, 4), 64, 8),
    "gru-4": (recurrent(L.GRU, 4), 64, 8),
    "bidirectional": (two_ways, 32, 6),
}
