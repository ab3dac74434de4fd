"""The table of healthy networks on sequences."""

from __future__ import annotations

import keras

from benchmarks.zoo import data
from benchmarks.zoo import sequence_nets as nets
from benchmarks.zoo.blocks import L, chain, graph
from benchmarks.zoo.subject import LOGITS, Subject, adam


def _rows(make, **options):
    return Subject(build=chain((8, 8), make), data=data.rows, epochs=12, **options)


def _words(make, **options):
    build = chain((24,), make, "int32")
    options = {"data": data.sentiment, "loss": "binary_crossentropy"} | options
    return Subject(build=build, optimizer=adam(3e-3), **options)


def _tokens(body, **options):
    build = graph((24,), body, "int32")
    return Subject(build=build, **({"data": data.tokens} | options))


def _next(body, **options):
    build = graph((16,), body, "int32")
    return Subject(build=build, data=data.counting, optimizer=adam(3e-3), **options)


SEQUENCES = {
    "LSTM": _rows(nets.recurrent(L.LSTM)),
    "stacked GRU": _rows(nets.recurrent(L.GRU, 2)),
    "ReLU RNN of identity": _rows(
        nets.recurrent(L.SimpleRNN, activation="relu", recurrent_initializer="identity")
    ),
    "SimpleRNN": _rows(nets.recurrent(L.SimpleRNN)),
    "LSTM forecast": Subject(
        build=chain((32, 1), nets.recurrent(L.LSTM, out=1)),
        data=data.forecast,
        loss="mse",
        epochs=12,
    ),
    "GRU on long waves": Subject(
        build=chain((64, 1), nets.recurrent(L.GRU, out=4)),
        data=data.waves,
        optimizer=adam(5e-3),
        epochs=12,
    ),
    "bidirectional LSTM on words": _words(nets.bidirectional, data=data.tokens, loss=LOGITS),
    "mean of embeddings": _words(nets.words(L.GlobalAveragePooling1D), epochs=12),
    "embeddings and dense": _words(nets.words(L.Flatten, lambda: L.Dense(16, "relu"))),
    "embeddings and LSTM": _words(nets.words(lambda: L.LSTM(24))),
    "CNN on words": _tokens(nets.kim, data=data.sentiment, loss="binary_crossentropy", epochs=12),
    "attention pooling": _tokens(nets.attention_pooling, epochs=12),
    "a label each step": Subject(
        build=chain((16,), nets.each_step, "int32"), data=data.counting, optimizer=adam(3e-3)
    ),
    "WaveNet": Subject(
        build=graph((64, 1), nets.wavenet), data=data.waves, optimizer=adam(5e-3), epochs=12
    ),
    "1-D CNN": Subject(build=chain((64, 1), nets.conv_1d), data=data.waves, optimizer=adam(3e-3)),
    "pre-LN transformer": _tokens(nets.transformer(True)),
    "pre-LN transformer, 12 blocks": _tokens(nets.transformer(True, 12)),
    "post-LN transformer": _tokens(nets.transformer(False, 2)),
    "language model with tied weights": _next(nets.language_model),
    "RMSNorm and SwiGLU": _next(nets.llama),
    "translator": Subject(build=nets.translator, data=data.translation, optimizer=adam(5e-3)),
    "CTC": Subject(
        build=graph((24, 8), nets.reader),
        data=data.written,
        loss=keras.losses.CTC(),
        optimizer=adam(3e-3),
    ),
    "ConvLSTM": Subject(
        build=chain((4, 8, 8, 1), nets.film), data=data.videos, optimizer=adam(5e-3), epochs=12
    ),
}
