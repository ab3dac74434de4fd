"""The table of networks that begin wrong: weights, activations and structure."""

from __future__ import annotations

import keras

from benchmarks.zoo import data, faults
from benchmarks.zoo import faulty_nets as nets
from benchmarks.zoo.blocks import L, chain, glorot, graph, ops
from benchmarks.zoo.faults import ALIKE, BLOWN, EXPLODING, SYMMETRIC, VANISHING, ZEROS
from benchmarks.zoo.faulty_nets import constant, normal, uniform
from benchmarks.zoo.subject import CROSSENTROPY, Subject

scaled = keras.initializers.VarianceScaling


WEIGHTS = {
    "zeros, ReLU": faults.digits(nets.all_of("zeros", 2, 64, 10, "relu"), ZEROS, ALIKE),
    "zeros, tanh": faults.digits(nets.all_of("zeros", 3, 32, 10, "tanh"), ZEROS, ALIKE),
    "zeros, sigmoid": faults.digits(nets.all_of("zeros", 2, 32, 10, "sigmoid"), ZEROS, ALIKE),
    "zeros, CNN": faults.images(nets.cnn("zeros"), ZEROS, ALIKE, loss=CROSSENTROPY),
    "zeros, LSTM": faults.rows(nets.lstm("zeros"), ZEROS, ALIKE),
    "zeros in the hidden layers": faults.deep(2, 64, "relu", "zeros", ZEROS, ALIKE),
    "ones, ReLU": faults.digits(nets.all_of("ones", 2, 64, 10, "relu"), SYMMETRIC, BLOWN + ALIKE),
    "ones, sigmoid": faults.digits(
        nets.all_of("ones", 2, 32, 10, "sigmoid"), SYMMETRIC, BLOWN + ALIKE
    ),
    "ones, CNN": faults.images(
        nets.cnn("ones"), SYMMETRIC, (*BLOWN, *ALIKE, "D5"), loss=CROSSENTROPY
    ),
    "ones, LSTM": faults.rows(nets.lstm("ones"), SYMMETRIC, BLOWN + ALIKE),
    "constant 0.01, tanh": faults.digits(
        nets.all_of(constant(0.01), 3, 64, 10, "tanh"), SYMMETRIC, ALIKE
    ),
    "constant 0.5, sigmoid": faults.digits(
        nets.all_of(constant(0.5), 2, 64, 10, "sigmoid"), SYMMETRIC, BLOWN + ALIKE
    ),
    "constant 0.05, GRU": faults.rows(nets.lstm(constant(0.05), L.GRU), SYMMETRIC, ALIKE),
    "constant filters": faults.images(nets.twin_filters, SYMMETRIC, ALIKE),
    "constant hidden layers, drawn head": faults.deep(
        3, 64, "relu", constant(0.05), SYMMETRIC, ALIKE
    ),
    "copied units": faults.digits(nets.twins, SYMMETRIC, ALIKE),
    "N(0, .01), tanh, 10 layers": faults.deep(10, 64, "tanh", normal(0, 0.01), VANISHING),
    "N(0, .01), ReLU, 8 layers": faults.deep(
        8, 128, "relu", normal(0, 0.01), VANISHING, fused=False
    ),
    "N(0, .01), convolutions": faults.images(nets.conv_stack(8, normal(0, 0.01)), VANISHING),
    "N(0, .01), 1-D convolutions": Subject(
        build=chain((64, 1), nets.conv_1d_stack(8, normal(0, 0.01))),
        data=data.waves,
        wanted=VANISHING,
    ),
    "N(0, .01), subclassed": Subject(
        build=nets.subclassed(8, normal(0, 0.01), ops.tanh), data=data.digits, wanted=VANISHING
    ),
    "N(0, .01), one branch of two": Subject(
        build=graph((64,), nets.one_branch(normal(0, 0.01))), data=data.digits, wanted=VANISHING
    ),
    "N(0, 1), one branch of two": Subject(
        build=graph((64,), nets.one_branch(normal(0, 1))), data=data.digits, wanted=EXPLODING
    ),
    "U(-.05, .05), ReLU, 12 layers": faults.deep(12, 64, "relu", uniform(-0.05, 0.05), VANISHING),
    "U(-.05, .05), tanh, 12 layers": faults.deep(
        12, 100, "tanh", uniform(-0.05, 0.05), VANISHING, fused=False
    ),
    "U(-.05, .05), convolutions": faults.images(
        nets.conv_stack(12, uniform(-0.05, 0.05), fused=False), VANISHING
    ),
    "N(0, 1), tanh": faults.deep(5, 100, "tanh", normal(0, 1), ("U1", "F2", "B2"), BLOWN),
    "N(0, 1), sigmoid, 8 wide layers": faults.deep(
        8, 512, "sigmoid", normal(0, 1), ("B2", "U1", "F2"), BLOWN
    ),
    "N(0, 1), ReLU": faults.deep(5, 100, "relu", normal(0, 1), EXPLODING, BLOWN),
    "N(0, 1), ReLU, separate": faults.deep(
        5, 64, "relu", normal(0, 1), EXPLODING, BLOWN, fused=False
    ),
    "N(0, 1), convolutions": faults.images(nets.conv_stack(6, normal(0, 1)), EXPLODING, BLOWN),
    "N(0, 3), LSTM": faults.rows(nets.lstm(normal(0, 3.0)), ("U1", "F2", "B2"), BLOWN),
    "U(0, 1), ReLU": faults.deep(
        3, 64, "relu", uniform(0, 1), ("F5", "F2", "F3"), (*ALIKE, *BLOWN), fused=False
    ),
    "U(0, 1), sigmoid": faults.deep(
        3, 64, "sigmoid", uniform(0, 1), ("F5", "F3", "U1"), (*ALIKE, *BLOWN)
    ),
    "biases of 50, GELU": faults.digits(nets.lifted, ("F4",), ALIKE),
    "gain 10, tanh": faults.deep(4, 64, "tanh", scaled(100.0), ("U1", "B2"), BLOWN, fused=False),
    "exponential, fused": faults.deep(5, 64, "exponential", glorot, (*EXPLODING, "N1"), BLOWN),
    "exponential, 4 wide layers": faults.deep(
        4, 128, "exponential", "he_normal", (*EXPLODING, "N1"), BLOWN, fused=False
    ),
    "exponential, keras.ops": Subject(
        build=graph((64,), nets.exponential),
        data=data.digits,
        wanted=(*EXPLODING, "N1"),
        accepted=BLOWN,
    ),
    "sigmoid with He uniform, 8 layers": faults.deep(8, 64, "sigmoid", "he_uniform", VANISHING),
    "sigmoid with He uniform, 12 layers": faults.deep(
        12, 64, "sigmoid", "he_uniform", VANISHING, fused=False
    ),
    "sigmoid with He uniform, convolutions": faults.images(
        nets.conv_stack(8, "he_uniform", "sigmoid"), VANISHING
    ),
    "sigmoid, subclassed": Subject(
        build=nets.subclassed(10, "he_uniform", ops.sigmoid), data=data.digits, wanted=VANISHING
    ),
    "softmax in the hidden layers": faults.digits(nets.hidden_softmax, VANISHING),
    "ReLU with Xavier, 30 layers": faults.deep(30, 100, "relu", glorot, VANISHING),
    "ReLU with Xavier, 30 layers, separate": faults.deep(
        30, 64, "relu", "glorot_normal", VANISHING, fused=False
    ),
    "ReLU with Xavier, 24 1-D convolutions": Subject(
        build=chain((64, 1), nets.conv_1d_stack(24)), data=data.waves, wanted=VANISHING
    ),
    "VGG16 in narrow at Keras' defaults": faults.images(nets.small_vgg, VANISHING, size=32),
    "ordered tanh, 40 layers": faults.deep(40, 64, "tanh", scaled(0.5), VANISHING),
    "chaotic tanh, 40 layers": faults.deep(40, 64, "tanh", scaled(6.0), ("B2",), ("U1",)),
    "residual without normalization, 30 blocks": Subject(
        build=graph((64,), nets.residual(30)), data=data.digits, wanted=EXPLODING, accepted=BLOWN
    ),
    "BatchNorm without shortcuts, 50 layers": faults.digits(
        nets.normed_stack(50), ("B2",), ("F3",)
    ),
    "depthwise at Keras' defaults": faults.images(nets.depthwise(), VANISHING),
    "depthwise with He": faults.images(nets.depthwise("he_normal"), VANISHING),
    "depthwise, tanh": faults.images(nets.depthwise(activation="tanh"), VANISHING),
    "separable stack": faults.images(nets.separable_stack, VANISHING),
    "dead layer": faults.digits(nets.dead_layer, ("U2", "B3"), ALIKE),
    "dead layer, separate": faults.digits(lambda: nets.dead_layer(False), ("U2", "B3"), ALIKE),
    "dead filters": faults.images(nets.dead_filters, ("U2", "B3"), ALIKE),
    "rounding": faults.digits(nets.cut_off, ("B3",)),
    "stop_gradient": Subject(build=graph((64,), nets.stopped), data=data.digits, wanted=("B3",)),
    "root of negatives": Subject(
        build=graph((64,), nets.root_of), data=data.digits, wanted=("N1",)
    ),
    "close to the end of float16": faults.digits(
        nets.close_to_overflow, ("N2", "F2", "B2", "N1"), BLOWN, policy="mixed_float16"
    ),
    "beyond float16": faults.digits(
        nets.overflowing, ("N1", "F2", "B2"), BLOWN, policy="mixed_float16"
    ),
}
