"""The table of healthy networks on tables of numbers."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.zoo import data
from benchmarks.zoo import table_nets as nets
from benchmarks.zoo.blocks import L, chain, graph, mlp, ops
from benchmarks.zoo.subject import CROSSENTROPY, Subject, adam, sgd

losses, optimizers = keras.losses, keras.optimizers


def _digits(make, **options):
    return Subject(build=chain((64,), make), data=data.digits, **options)


def _body(body, out_data=data.digits, shape=(64,), **options):
    return Subject(build=graph(shape, body), data=out_data, **options)


def _cancer(head=None, **options):
    build = mlp((30,), 2, 32, 1, last=head)
    return Subject(build=build, data=options.pop("data", data.cancer), **options)


_REGRESSION = mlp((10,), 2, 64, 1)


def _diabetes(build=_REGRESSION, **options):
    options = {"data": data.diabetes, "loss": "mse"} | options
    return Subject(build=build, **options)


def pinball(y, p):
    return ops.mean(ops.maximum(0.9 * (y - p), 0.1 * (p - y)))


def mixture(y, p):
    """Likelihood of a normal distribution of which mean and log deviation are given."""
    mean, log_std = p[:, :1], p[:, 1:]
    return ops.mean(log_std + 0.5 * ops.square((y - mean) * ops.exp(-log_std)))


def margin(y, p):
    return ops.mean(ops.square(ops.maximum(0.0, 1.0 - (2 * y - 1) * p)))


TABLES = {
    "quickstart": Subject(
        build=chain((64,), nets.quickstart), data=data.pixels, loss=CROSSENTROPY, epochs=12
    ),
    "linear regression": _diabetes(chain((10,), lambda: [L.Dense(1)]), optimizer=sgd(0.05)),
    "softmax regression": _digits(lambda: [L.Dense(10, "softmax")], loss=CROSSENTROPY),
    "tanh at the critical point, 30 layers": _digits(
        nets.critical_tanh, optimizer=sgd(1e-3, 0.9), epochs=15
    ),
    "tanh with Glorot, 5 layers": Subject(build=mlp((64,), 5, 64, 10, "tanh"), data=data.digits),
    "ReLU with He, 20 layers": Subject(
        build=mlp((64,), 20, 64, 10, init="he_normal"), data=data.digits, epochs=15
    ),
    "linear, orthogonal, 50 layers": Subject(
        build=mlp((64,), 50, 64, 10, None, init="orthogonal"),
        data=data.digits,
        optimizer=sgd(1e-3),
    ),
    "sigmoid, one hidden layer": Subject(
        build=mlp((64,), 1, 32, 10, "sigmoid"), data=data.digits, optimizer=sgd(0.5)
    ),
    "sigmoid, two hidden layers": Subject(
        build=mlp((64,), 2, 64, 10, "sigmoid"), data=data.digits, optimizer=adam(3e-3)
    ),
    "zero-initialized head": _digits(nets.zero_head),
    "zero-initialized regression head": _diabetes(
        chain((10,), lambda: [L.Dense(64, "relu"), L.Dense(1, kernel_initializer="zeros")])
    ),
    "Adagrad, large first steps": Subject(
        build=mlp((13,), 2, 32, 3),
        data=data.wine,
        optimizer=lambda: optimizers.Adagrad(0.1, initial_accumulator_value=1e-8),
    ),
    "RMSprop": Subject(
        build=mlp((64,), 2, 64, 10), data=data.digits, optimizer=lambda: optimizers.RMSprop(1e-3)
    ),
    "Lion": Subject(
        build=mlp((64,), 2, 64, 10), data=data.digits, optimizer=lambda: optimizers.Lion(3e-4)
    ),
    "SGD with momentum, rate 0.1": Subject(
        build=mlp((64,), 2, 64, 10), data=data.digits, optimizer=sgd(0.1, 0.9)
    ),
    "decaying rate": Subject(
        build=mlp((64,), 2, 64, 10),
        data=data.digits,
        optimizer=lambda: optimizers.AdamW(optimizers.schedules.CosineDecay(3e-3, 160)),
    ),
    "warm-up": Subject(
        build=mlp((64,), 2, 64, 10),
        data=data.digits,
        optimizer=lambda: optimizers.Adam(
            optimizers.schedules.CosineDecay(0.0, 140, warmup_target=3e-3, warmup_steps=20)
        ),
    ),
    "tiny": Subject(
        build=mlp((4,), 1, 4, 3, "tanh"), data=data.table("iris"), optimizer=adam(0.02)
    ),
    "wide": Subject(build=mlp((64,), 1, 4096, 10), data=data.digits),
    "bottleneck of two units": Subject(
        build=chain((64,), lambda: [L.Dense(64, "relu"), L.Dense(2), L.Dense(10)]),
        data=data.digits,
        optimizer=adam(3e-3),
    ),
    "pruned to a tenth": _digits(nets.pruned),
    "BatchNorm MLP": _digits(nets.batch_normed),
    "SELU with alpha dropout": _digits(nets.selu),
    "ELU, 10 layers": Subject(
        build=mlp((64,), 10, 64, 10, "elu", init="he_normal"), data=data.digits
    ),
    "GELU": Subject(build=mlp((64,), 4, 64, 10, "gelu"), data=data.digits),
    "Swish, separate": Subject(build=mlp((64,), 4, 64, 10, "silu", fused=False), data=data.digits),
    "Mish": Subject(build=mlp((64,), 3, 64, 10, "mish"), data=data.digits),
    "PReLU": _digits(nets.parametric),
    "leaky ReLU": Subject(build=mlp((64,), 4, 64, 10, "leaky_relu"), data=data.digits),
    "softplus": Subject(build=mlp((64,), 2, 64, 10, "softplus"), data=data.digits),
    "heavy dropout and noise": _digits(nets.noisy, epochs=12),
    "spectral normalization": _digits(nets.spectral),
    "weight normalization": _digits(
        lambda: [nets.WeightNormalized(64), nets.WeightNormalized(64), L.Dense(10)]
    ),
    "maxout": _body(nets.maxout),
    "highway": _body(nets.highway),
    "gated residual": _body(nets.gated_residual, data.wine, (13,)),
    "Fixup": _body(nets.fixup),
    "dense skips": _body(nets.dense_skips),
    "branches of unlike depth": _body(nets.unlike_branches),
    "deep and cross": _body(nets.cross, data.cancer, (30,), loss="binary_crossentropy"),
    "cosine head": _body(nets.cosine_head),
    "softmax with temperature": _body(nets.temperature, loss=CROSSENTROPY, epochs=12),
    "two outputs": Subject(
        build=nets.two_outputs,
        data=data.two_targets,
        loss=[losses.SparseCategoricalCrossentropy(from_logits=True), "mse"],
    ),
    "siamese": Subject(build=nets.siamese, data=data.pairs, loss="binary_crossentropy"),
    "factorization": Subject(
        build=nets.factorization, data=data.ratings, loss="mse", optimizer=adam(0.02), epochs=15
    ),
    "SIREN": Subject(build=chain((2,), nets.siren), data=data.coordinates, loss="mse", epochs=12),
    "subclassed": Subject(build=nets.subclassed, data=data.digits),
    "fine-tuned": Subject(build=nets.pretrained, data=data.digits),
    "frozen random base": Subject(build=nets.frozen_base, data=data.digits),
    "Normalization layer on raw columns": Subject(
        build=chain((13,), nets.preprocessed(data.raw_wine(np.random.default_rng(0), 178)[0])),
        data=data.raw_wine,
        optimizer=adam(0.01),
    ),
    "one sigmoid unit": _cancer("sigmoid", loss="binary_crossentropy"),
    "one logit": _cancer(loss=losses.BinaryCrossentropy(from_logits=True)),
    "focal loss": _cancer("sigmoid", loss=losses.BinaryFocalCrossentropy()),
    "hinge": _cancer(loss=margin),
    "rare positives": Subject(
        build=mlp((16,), 2, 32, 1, last="sigmoid"),
        data=data.rare,
        loss="binary_crossentropy",
        optimizer=adam(3e-3),
    ),
    "Huber": _diabetes(loss="huber"),
    "absolute error": _diabetes(loss="mae"),
    "quantile": _diabetes(loss=pinball),
    "mean and deviation": _diabetes(mlp((10,), 2, 64, 2), loss=mixture),
    "raw targets": _diabetes(
        data=data.table("diabetes", target="float32"), optimizer=adam(0.03), epochs=12
    ),
    "Poisson counts": Subject(
        build=mlp((8,), 2, 32, 1, last="exponential"), data=data.counts, loss="poisson", epochs=12
    ),
    "positive regression with softplus head": Subject(
        build=mlp((8,), 2, 32, 1, last="softplus"), data=data.counts, loss="mse"
    ),
    "many labels": Subject(
        build=mlp((64,), 2, 64, 3, last="sigmoid"),
        data=data.many_labels,
        loss="binary_crossentropy",
    ),
    "one-hot words": Subject(build=mlp((400,), 1, 16, 2), data=data.one_hot, optimizer=adam(0.01)),
    "batches of two": Subject(build=mlp((64,), 2, 64, 10), data=data.digits, batch=2, epochs=12),
    "a column of ones": Subject(
        build=mlp((13,), 2, 32, 3), data=data.with_columns(data.wine, columns=[0], value=1.0)
    ),
    "columns of zeros": Subject(
        build=mlp((64,), 2, 64, 10),
        data=data.with_columns(data.digits, columns=slice(0, 32), value=0.0),
    ),
    "columns in the units of a few": Subject(
        build=mlp((30,), 2, 32, 1, last="sigmoid"),
        data=data.with_columns(data.cancer, scale=5.0, columns=[0, 7]),
        loss="binary_crossentropy",
    ),
    "weight decay": Subject(
        build=chain((64,), lambda: [L.Dense(64, "relu", kernel_regularizer="l2"), L.Dense(10)]),
        data=data.digits,
        epochs=12,
    ),
    "mixed float16": Subject(build=mlp((64,), 3, 64, 10), data=data.digits, policy="mixed_float16"),
    "bfloat16": Subject(build=mlp((64,), 3, 64, 10), data=data.digits, policy="mixed_bfloat16"),
}
