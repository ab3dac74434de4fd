"""The tables of networks with wrong data, wrong heads and wrong training."""

from __future__ import annotations

import keras

from benchmarks.zoo import data, faults
from benchmarks.zoo import faulty_nets as nets
from benchmarks.zoo.blocks import chain, glorot, mlp
from benchmarks.zoo.faults import ALIKE, BLOWN, DYING, NONFINITE
from benchmarks.zoo.subject import CROSSENTROPY, LOGITS, Subject, adam, sgd

BINARY = keras.losses.BinaryCrossentropy(from_logits=True)

DATA = {
    "0-255 images, CNN": faults.images(nets.cnn(), ("D1",), BLOWN, 16, 255.0, loss=CROSSENTROPY),
    "0-255 images, He": faults.images(nets.cnn("he_normal", head=None), ("D1",), BLOWN, 16, 255.0),
    "0-255 images, tanh": faults.images(
        nets.cnn(activation="tanh"), ("D1", "U1"), BLOWN, 16, 255.0, loss=CROSSENTROPY
    ),
    "0-255 pixels, MLP": Subject(
        build=mlp((64,), 2, 64, 10),
        data=data.with_columns(data.pixels, scale=255.0),
        wanted=("D1",),
        accepted=BLOWN,
    ),
    "columns of 1e4": Subject(
        build=mlp((13,), 2, 32, 3),
        data=data.with_columns(data.wine, scale=1e4, columns=[3, 7]),
        wanted=("D1",),
        accepted=BLOWN,
    ),
    "columns of 1e4, one sigmoid": Subject(
        build=mlp((30,), 2, 32, 1, "tanh", last="sigmoid"),
        data=data.with_columns(data.cancer, shift=1e4, columns=[2]),
        loss="binary_crossentropy",
        wanted=("D1", "U1", "F4"),
        accepted=(*BLOWN, "F3"),
    ),
    "raw cancer table": Subject(
        build=mlp((30,), 2, 32, 1, last="sigmoid"),
        data=data.table("breast_cancer", standard=False, target="float32"),
        loss="binary_crossentropy",
        wanted=("D1",),
        accepted=BLOWN,
    ),
    "a year as it is": Subject(
        build=mlp((10,), 2, 32, 1, "tanh"),
        data=data.with_columns(data.diabetes, scale=10.0, shift=1990.0, columns=[0]),
        loss="mse",
        wanted=("D1", "F4", "U1"),
        accepted=BLOWN,
    ),
    "sequence of 1e3, LSTM": Subject(
        build=chain((64, 1), nets.lstm(glorot)),
        data=data.with_columns(data.waves, scale=1e3),
        wanted=("D1", "U1"),
        accepted=BLOWN,
    ),
    "waves of 1e3, 1-D CNN": Subject(
        build=chain((64, 1), nets.conv_1d_stack(3)),
        data=data.with_columns(data.waves, scale=1e3),
        wanted=("D1",),
        accepted=BLOWN,
    ),
    "NaN in a table": Subject(
        build=mlp((13,), 2, 32, 3), data=data.spoiled(data.wine), wanted=NONFINITE, accepted=ALIKE
    ),
    "NaN in images": Subject(
        build=chain((8, 8, 1), nets.cnn(head=None)),
        data=data.spoiled(data.images(), share=0.001),
        wanted=NONFINITE,
        accepted=ALIKE,
    ),
    "NaN in sequences": Subject(
        build=chain((8, 8), nets.lstm(glorot)),
        data=data.spoiled(data.rows, share=0.003),
        wanted=NONFINITE,
        accepted=ALIKE,
    ),
    "infinity in a table": Subject(
        build=mlp((10,), 2, 32, 1),
        data=data.spoiled(data.diabetes, float("inf")),
        loss="mse",
        wanted=NONFINITE,
        accepted=ALIKE,
    ),
    "NaN in targets": Subject(
        build=mlp((10,), 2, 32, 1),
        data=data.spoiled(data.diabetes, share=0.1, targets=True),
        loss="mse",
        wanted=("N1",),
        accepted=ALIKE,
    ),
}

HEADS = {
    "softmax of one unit": faults.cancer(
        nets.with_head("softmax", 1), ("D4",), ("B3", "D3"), loss="binary_crossentropy"
    ),
    "softmax of one unit, separate": faults.cancer(
        nets.with_head("softmax", 1, separate=True),
        ("D4",),
        ("B3", "D3"),
        loss="binary_crossentropy",
    ),
    "softmax of one unit for a number": Subject(
        build=chain((10,), nets.with_head("softmax", 1)),
        data=data.diabetes,
        loss="mse",
        wanted=("D4",),
        accepted=("B3", "D3"),
    ),
    "ReLU as probabilities": faults.digits(
        nets.with_head("relu"), ("D5",), ("U2", "D3"), loss=CROSSENTROPY
    ),
    "ReLU as probabilities, separate": faults.digits(
        nets.with_head("relu", separate=True), ("D5",), ("U2", "D3"), loss=CROSSENTROPY
    ),
    "ReLU as probability of one unit": faults.cancer(
        nets.with_head("relu", 1), ("D5",), ("U2", "D3", "B3"), loss="binary_crossentropy"
    ),
    "ReLU as logits": faults.digits(nets.with_head("relu"), ("D5",), ("U2",)),
    "ReLU before a softmax": faults.digits(
        nets.two_activations, ("D5",), ("U2",), loss=CROSSENTROPY
    ),
    "tanh as probability": faults.cancer(
        nets.with_head("tanh", 1), ("D5",), ("D3",), loss="binary_crossentropy"
    ),
    "no activation, loss takes probabilities": faults.digits(
        nets.with_head(None), ("D5",), ("D3",), loss=CROSSENTROPY
    ),
    "no activation, binary": faults.cancer(
        nets.with_head(None, 1), ("D5",), ("D3",), loss="binary_crossentropy"
    ),
    "softmax twice": faults.digits(nets.with_head("softmax"), ("D5",), loss=LOGITS),
    "sigmoid twice": faults.cancer(nets.with_head("sigmoid", 1), ("D5",), loss=BINARY),
    "softmax twice, separate": faults.digits(
        nets.with_head("softmax", separate=True), ("D5",), loss=LOGITS
    ),
}

_MLP = mlp((64,), 2, 64, 10)
RATES = {
    f"{name}, rate {rate:g}": Subject(
        build=build,
        data=draw,
        optimizer=make(rate),
        wanted=("W2",) if rate < 1 else ("W3", "U1", "U2", "N1", "D3"),
        accepted=() if rate < 1 else DYING,
    )
    for name, build, draw, make in (
        ("Adam, MLP", _MLP, data.digits, adam),
        ("SGD, MLP", _MLP, data.digits, sgd),
        ("Adam, CNN", chain((8, 8, 1), nets.cnn(head=None)), data.images(), adam),
        ("SGD, CNN", chain((8, 8, 1), nets.cnn(head=None)), data.images(), sgd),
        ("Adam, LSTM", chain((8, 8), nets.lstm(glorot)), data.rows, adam),
        ("SGD, tanh", mlp((64,), 3, 64, 10, "tanh"), data.digits, sgd),
    )
    for rate in (1e-8, 10.0)
}
TRAINING = RATES | {
    "dying ReLU, SGD rate 1 with momentum": Subject(
        build=mlp((64,), 3, 64, 10),
        data=data.digits,
        optimizer=sgd(1.0, 0.9),
        wanted=("U2", "W3", "N1", "D3"),
        accepted=DYING,
        shows="fit",
    ),
    "raw targets, SGD": Subject(
        build=mlp((10,), 2, 64, 1),
        data=data.table("diabetes", target="float32"),
        loss="mse",
        optimizer=sgd(0.01),
        wanted=("U2", "W3", "N1", "D3"),
        accepted=DYING,
        shows="fit",
    ),
    "weight decay of 10": Subject(
        build=mlp((64,), 2, 64, 10),
        data=data.digits,
        optimizer=lambda: keras.optimizers.SGD(0.05, weight_decay=10.0),
        wanted=("D3", "F1", "F3", "B1"),
        accepted=DYING,
        shows="fit",
    ),
    "softmax of one unit in training": faults.cancer(
        nets.with_head("softmax", 1),
        ("D4",),
        ("B3", "D3", "U2"),
        loss="binary_crossentropy",
        shows="fit",
    ),
}
