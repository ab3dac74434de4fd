"""The table of networks that begin wrong: weights, activations and structure."""

from __future__ import annotations

import keras

from benchmarks.zoo import data
from benchmarks.zoo import faulty_nets as nets
from benchmarks.zoo.blocks import L, chain, glorot, graph, mlp, ops
from benchmarks.zoo.faulty_nets import constant, normal, uniform
from benchmarks.zoo.subject import CROSSENTROPY, Subject

losses = keras.losses
BINARY = losses.BinaryCrossentropy(from_logits=True)
VANISHING = ("F1", "F3", "B1")
COLLAPSED = ("F3", "B1", "F1")
EXPLODING = ("F2", "B2")
BLOWN = (*EXPLODING, "U1", "N1", "W3", "D3", "U2", "D1")
SYMMETRIC = ("U3",)
ALIKE = ("F1", "F2", "F3", "B1", "B2", "B3", "D3", "U1", "U2")


def _digits(make, wanted, accepted=(), **options):
    build = chain((64,), make)
    return Subject(build=build, data=data.digits, wanted=wanted, accepted=accepted, **options)


def _deep(depth, units, activation, init, wanted, accepted=(), fused=True, **options):
    build = mlp((64,), depth, units, 10, activation, init, fused=fused)
    return Subject(build=build, data=data.digits, wanted=wanted, accepted=accepted, **options)


def _images(make, wanted, accepted=(), size=8, high=1.0, **options):
    build, draw = chain((size, size, 1), make), data.images(size, high=high)
    return Subject(build=build, data=draw, wanted=wanted, accepted=accepted, **options)


def _cancer(make, wanted, accepted=(), **options):
    options = {"data": data.cancer} | options
    return Subject(build=chain((30,), make), wanted=wanted, accepted=accepted, **options)


def _rows(make, wanted, accepted=(), **options):
    return Subject(
        build=chain((8, 8), make), data=data.rows, wanted=wanted, accepted=accepted, **options
    )


WEIGHTS = {
    "zeros, ReLU": _digits(nets.all_of("zeros", 2, 64, 10, "relu"), ("B3", "U3", "U2"), ALIKE),
    "zeros, tanh": _digits(nets.all_of("zeros", 3, 32, 10, "tanh"), ("B3", "U3"), ALIKE),
    "zeros, sigmoid": _digits(nets.all_of("zeros", 2, 32, 10, "sigmoid"), ("B3", "U3"), ALIKE),
    "zeros, CNN": _images(nets.cnn("zeros"), ("B3", "U3", "U2"), ALIKE, loss=CROSSENTROPY),
    "zeros, LSTM": _rows(nets.lstm("zeros"), ("B3", "U3"), ALIKE),
    "zeros in the hidden layers": _deep(2, 64, "relu", "zeros", ("B3", "U3", "U2"), ALIKE),
    "ones, ReLU": _digits(nets.all_of("ones", 2, 64, 10, "relu"), SYMMETRIC, BLOWN + ALIKE),
    "ones, sigmoid": _digits(nets.all_of("ones", 2, 32, 10, "sigmoid"), SYMMETRIC, BLOWN + ALIKE),
    "ones, CNN": _images(nets.cnn("ones"), SYMMETRIC, (*BLOWN, *ALIKE, "D5"), loss=CROSSENTROPY),
    "ones, LSTM": _rows(nets.lstm("ones"), SYMMETRIC, BLOWN + ALIKE),
    "constant 0.01, tanh": _digits(
        nets.all_of(constant(0.01), 3, 64, 10, "tanh"), SYMMETRIC, ALIKE
    ),
    "constant 0.5, sigmoid": _digits(
        nets.all_of(constant(0.5), 2, 64, 10, "sigmoid"), SYMMETRIC, BLOWN + ALIKE
    ),
    "constant 0.05, GRU": _rows(nets.lstm(constant(0.05), L.GRU), SYMMETRIC, ALIKE),
    "constant filters": _images(nets.twin_filters, SYMMETRIC, ALIKE),
    "constant hidden layers, drawn head": _deep(3, 64, "relu", constant(0.05), SYMMETRIC, ALIKE),
    "copied units": _digits(nets.twins, SYMMETRIC, ALIKE),
    "N(0, .01), tanh, 10 layers": _deep(10, 64, "tanh", normal(0, 0.01), VANISHING),
    "N(0, .01), ReLU, 8 layers": _deep(8, 128, "relu", normal(0, 0.01), VANISHING, fused=False),
    "N(0, .01), convolutions": _images(nets.conv_stack(8, normal(0, 0.01)), VANISHING),
    "N(0, .01), 1-D convolutions": Subject(
        build=chain((64, 1), nets.conv_1d_stack(8, normal(0, 0.01))),
        data=data.waves,
        wanted=VANISHING,
    ),
    "N(0, .01), subclassed": Subject(
        build=nets.subclassed(8, normal(0, 0.01), ops.tanh), data=data.digits, wanted=VANISHING
    ),
    "U(-.05, .05), ReLU, 12 layers": _deep(12, 64, "relu", uniform(-0.05, 0.05), VANISHING),
    "U(-.05, .05), tanh, 12 layers": _deep(
        12, 100, "tanh", uniform(-0.05, 0.05), VANISHING, fused=False
    ),
    "U(-.05, .05), convolutions": _images(
        nets.conv_stack(12, uniform(-0.05, 0.05), fused=False), VANISHING
    ),
    "N(0, 1), tanh": _deep(5, 100, "tanh", normal(0, 1), ("U1", "F2", "B2"), BLOWN),
    "N(0, 1), sigmoid, 8 wide layers": _deep(
        8, 512, "sigmoid", normal(0, 1), ("B2", "U1", "F2"), BLOWN
    ),
    "N(0, 1), ReLU": _deep(5, 100, "relu", normal(0, 1), EXPLODING, BLOWN),
    "N(0, 1), ReLU, separate": _deep(5, 64, "relu", normal(0, 1), EXPLODING, BLOWN, fused=False),
    "N(0, 1), convolutions": _images(nets.conv_stack(6, normal(0, 1)), EXPLODING, BLOWN),
    "N(0, 1), LSTM": _rows(nets.lstm(normal(0, 3.0)), ("U1", "F2", "B2"), BLOWN),
    "gain 10, tanh": _deep(
        4, 64, "tanh", keras.initializers.VarianceScaling(100.0), ("U1", "B2"), BLOWN, fused=False
    ),
    "exponential, fused": _deep(5, 64, "exponential", glorot, (*EXPLODING, "N1"), BLOWN),
    "exponential, 4 wide layers": _deep(
        4, 128, "exponential", "he_normal", (*EXPLODING, "N1"), BLOWN, fused=False
    ),
    "exponential, keras.ops": Subject(
        build=graph((64,), nets.exponential),
        data=data.digits,
        wanted=(*EXPLODING, "N1"),
        accepted=BLOWN,
    ),
    "sigmoid with He uniform, 8 layers": _deep(8, 64, "sigmoid", "he_uniform", COLLAPSED),
    "sigmoid with He uniform, 12 layers": _deep(
        12, 64, "sigmoid", "he_uniform", COLLAPSED, fused=False
    ),
    "sigmoid with He uniform, convolutions": _images(
        nets.conv_stack(8, "he_uniform", "sigmoid"), COLLAPSED
    ),
    "sigmoid, subclassed": Subject(
        build=nets.subclassed(10, "he_uniform", ops.sigmoid), data=data.digits, wanted=COLLAPSED
    ),
    "softmax in the hidden layers": _digits(nets.hidden_softmax, VANISHING),
    "ReLU with Xavier, 30 layers": _deep(30, 100, "relu", glorot, VANISHING),
    "ReLU with Xavier, 30 layers, separate": _deep(
        30, 64, "relu", "glorot_normal", VANISHING, fused=False
    ),
    "ReLU with Xavier, 24 1-D convolutions": Subject(
        build=chain((64, 1), nets.conv_1d_stack(24)), data=data.waves, wanted=VANISHING
    ),
    "VGG16 in narrow at Keras' defaults": _images(nets.small_vgg, VANISHING, size=32),
    "ordered tanh, 40 layers": _deep(
        40, 64, "tanh", keras.initializers.VarianceScaling(0.5), VANISHING
    ),
    "chaotic tanh, 40 layers": _deep(
        40, 64, "tanh", keras.initializers.VarianceScaling(6.0), ("B2",), ("U1",)
    ),
    "residual without normalization, 30 blocks": Subject(
        build=graph((64,), nets.residual(30)), data=data.digits, wanted=EXPLODING, accepted=BLOWN
    ),
    "BatchNorm without shortcuts, 50 layers": _digits(nets.normed_stack(50), ("B2",), ("F3",)),
    "depthwise at Keras' defaults": _images(nets.depthwise(), VANISHING),
    "depthwise with He": _images(nets.depthwise("he_normal"), VANISHING),
    "depthwise, tanh": _images(nets.depthwise(activation="tanh"), VANISHING),
    "separable stack": _images(nets.separable_stack, VANISHING),
    "dead layer": _digits(nets.dead_layer, ("U2", "B3"), ALIKE),
    "dead layer, separate": _digits(lambda: nets.dead_layer(False), ("U2", "B3"), ALIKE),
    "dead filters": _images(nets.dead_filters, ("U2", "B3"), ALIKE),
    "rounding": _digits(nets.cut_off, ("B3",)),
    "stop_gradient": Subject(build=graph((64,), nets.stopped), data=data.digits, wanted=("B3",)),
    "root of negatives": Subject(
        build=graph((64,), nets.root_of), data=data.digits, wanted=("N1",)
    ),
    "beyond float16": _digits(nets.overflowing, ("N1", "F2", "B2"), BLOWN, policy="mixed_float16"),
}
