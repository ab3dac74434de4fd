"""Healthy networks on sequences: recurrent, convolutional, with attention."""

from __future__ import annotations

import keras

from benchmarks.zoo.blocks import L, Positions, encoder, ops, times


def recurrent(layer, depth=1, units=48, out=10, **options):
    def make():
        below = [layer(units, return_sequences=True, **options) for _ in range(depth - 1)]
        return [*below, layer(units, **options), L.Dense(out)]

    return make


def words(*make):
    return lambda: [L.Embedding(100, 32), *(each() for each in make), L.Dense(1, "sigmoid")]


def bidirectional():
    return [
        L.Embedding(100, 32, mask_zero=True),
        L.Bidirectional(L.LSTM(24, return_sequences=True)),
        L.Bidirectional(L.LSTM(24)),
        L.Dense(2),
    ]


def each_step():
    return [
        L.Embedding(20, 32),
        L.GRU(48, return_sequences=True),
        L.TimeDistributed(L.Dense(32, "relu")),
        L.Dense(20),
    ]


def kim(x):
    """Kim 2014: convolutions over words of three widths."""
    x = L.Embedding(100, 32)(x)
    pooled = [L.GlobalMaxPooling1D()(L.Conv1D(32, k, activation="relu")(x)) for k in (3, 4, 5)]
    return L.Dense(1, "sigmoid")(L.Dropout(0.3)(L.Concatenate()(pooled)))


def attention_pooling(x):
    x = L.Dense(32, "relu")(L.Embedding(100, 32)(x))
    weights = L.Softmax(axis=1)(L.Dense(1)(L.Dense(16, "tanh")(x)))
    return L.Dense(2)(ops.sum(weights * x, axis=1))


def wavenet(x):
    x, skips = L.Conv1D(16, 1)(x), []
    for dilation in (1, 2, 4, 8):
        y = L.Conv1D(16, 2, padding="causal", dilation_rate=dilation, activation="tanh")(x)
        gate = L.Conv1D(16, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(x)
        y = L.Conv1D(16, 1)(y * gate)
        skips.append(y)
        x = x + y
    return L.Dense(4)(L.GlobalAveragePooling1D()(L.ReLU()(L.Add()(skips))))


def conv_1d():
    hidden = times(3, lambda: [L.Conv1D(32, 5, activation="relu"), L.MaxPooling1D(2)])
    return [*hidden, L.GlobalAveragePooling1D(), L.Dense(4)]


def transformer(pre, blocks=3, norm=L.LayerNormalization):
    def body(x):
        x = Positions()(L.Embedding(100, 32)(x))
        for _ in range(blocks):
            x = encoder(x, pre=pre, norm=norm)
        x = norm()(x) if pre else x
        return L.Dense(2)(L.GlobalAveragePooling1D()(x))

    return body


def language_model(x):
    """Causal, and the embedding is the head's kernel too."""
    table = L.ReversibleEmbedding(20, 32, tie_weights=True)
    x = Positions()(table(x))
    for _ in range(2):
        x = encoder(x, causal=True)
    return table(L.LayerNormalization()(x), reverse=True)


def llama(x):
    """RMSNorm and gated feed-forward parts."""
    x = L.Embedding(20, 32)(x)
    for _ in range(2):
        y = L.RMSNormalization()(x)
        x = x + L.GroupQueryAttention(8, 4, 2)(y, y, use_causal_mask=True)
        y = L.RMSNormalization()(x)
        gated = L.Dense(64, "silu", use_bias=False)(y) * L.Dense(64, use_bias=False)(y)
        x = x + L.Dense(32, use_bias=False)(gated)
    return L.Dense(20)(L.RMSNormalization()(x))


def translator():
    source, target = keras.Input((8,), dtype="int32"), keras.Input((8,), dtype="int32")
    _, state = L.GRU(48, return_state=True)(L.Embedding(20, 16)(source))
    y = L.GRU(48, return_sequences=True)(L.Embedding(20, 16)(target), initial_state=state)
    return keras.Model([source, target], L.Dense(20)(y))


def reader(x):
    """Columns of a line of writing to labels, for CTC."""
    x = L.Conv1D(32, 3, padding="same", activation="relu")(x)
    return L.Dense(11)(L.Bidirectional(L.LSTM(32, return_sequences=True))(x))


def film():
    return [L.ConvLSTM2D(8, 3, padding="same"), L.GlobalAveragePooling2D(), L.Dense(10)]
