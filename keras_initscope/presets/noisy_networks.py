"""Noise on the inputs of units, layers and networks: what comes of it, measured and in theory.

Owns four experiments: a unit that tells two states apart, the mean of units with correlated
weights, deep networks before training, and networks trained on the digits, of which there is no
theory. Claims nothing.

Noise is what an output scatters by while the signal stays: half the mean squared difference of two
runs on the same signal under noise of its own. So in theory it is the second moment less the cross
moment, as signal theory has them for any two inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.initializers import Critical, GainScaling, Kumar
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Trial, drawn_batches
from keras_initscope.presets.side_by_side import (
    Shape,
    Weights,
    accuracies,
    draw_weights,
    model_of_many,
    model_of_one,
)
from keras_initscope.theory.moments import cross_moment, output_mean, second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

DEPTH, WIDTH, EXAMPLES = 10, 512, 64
#: The noise's part of the power of the inputs of a deep network.
NOISE = 0.1
BIAS_VARIANCE = 0.05
#: Preactivations of either sign that a unit tells apart, under noise N(0, 1).
STATE = 2.0
STATE_INPUTS, STATE_EXAMPLES = 16, 20_000
#: Over how many units of a layer is averaged, and what they read.
COUNTS, UNIT_INPUTS, UNIT_EXAMPLES = (10, 100, 1000), 512, 1000
#: Power of the noise over that of the images, which trained networks are tested with.
STRENGTHS = (0.0, 1.0, 4.0)
#: Name of a trained network to its activation, and to the factor of weights of unit gain.
TRAINED = {
    "relu": ("relu", 1),
    "elu": ("elu", 1),
    "tanh": ("tanh", 1),
    "tanh, sw = 3": ("tanh", 3),
}
#: Networks trained at once, images a step, and copies of the test images, with noise of their own.
_NETWORKS, _BATCH, _COPIES = 5, 64, 4

Array = NDArray[np.float64]


class Deep(NamedTuple):
    """A deep network before training.

    Args:
        activation: Of all its layers.
        kernels: Takes `seed`, gives their initializer, which scales by fan-in.
        bias_variance: Of their biases.
    """

    activation: str
    kernels: Callable[..., Any]
    bias_variance: float = 0.0


def _normal(weight_variance: float) -> Callable[..., Any]:
    scaling = keras.initializers.VarianceScaling
    return partial(scaling, weight_variance, "fan_in", "untruncated_normal")


DEEP: Mapping[str, Deep] = {
    "linear": Deep("linear", partial(GainScaling, "linear")),
    "relu": Deep("relu", partial(GainScaling, "relu")),
    "elu": Deep("elu", partial(GainScaling, "elu")),
    "sigmoid": Deep("sigmoid", partial(Kumar, "sigmoid")),
    "tanh, sw = 1": Deep("tanh", _normal(1.0), BIAS_VARIANCE),
    "tanh, critical": Deep("tanh", partial(Critical, "tanh", BIAS_VARIANCE), BIAS_VARIANCE),
    "tanh, sw = 3": Deep("tanh", _normal(9.0), BIAS_VARIANCE),
}


def deep_theory(case: Deep, depth: int = DEPTH) -> Array:
    """`(depth, 2)`: noise over the power of the activations, and over their variance."""
    phi, scale = nonlinearity(case.activation), case.kernels().scale
    state, found = np.array([1.0, 1 - NOISE, 0.0]), []
    for _ in range(depth):
        q, same, other = scale * state + case.bias_variance
        power = float(second_moment(phi, q))
        same, other = cross_moment(phi, q, [same, other])
        state = np.array([power, same, other])
        found.append((1 - same / power, (power - same) / (power - other)))
    return np.array(found)


def deep_network(case: Deep, seed: int) -> keras.Sequential:
    """In double precision, since noise dies by many decades in the ordered phase."""
    generator = keras.random.SeedGenerator(seed)
    biases = keras.initializers.RandomNormal(stddev=sqrt(case.bias_variance), seed=generator)
    model = keras.Sequential([keras.Input((WIDTH,), dtype="float64")])
    for _ in range(DEPTH):
        model.add(
            keras.layers.Dense(
                WIDTH,
                case.activation,
                kernel_initializer=case.kernels(seed=generator),
                bias_initializer=biases,
                dtype="float64",
            )
        )
    return model


def deep_measured(case: Deep, seed: int) -> Array:
    """The same as `deep_theory`, of one network drawn from a seed."""
    signal, *noises = np.random.default_rng(seed).normal(size=(3, EXAMPLES, WIDTH))
    seen: Any = np.concatenate([sqrt(1 - NOISE) * signal + sqrt(NOISE) * n for n in noises])
    found = []
    for layer in deep_network(case, seed).layers:
        seen = layer(seen)
        values = keras.ops.convert_to_numpy(seen)
        once, again = np.split(values, 2)
        spread = np.mean((once - again) ** 2) / 2
        variance = np.mean([np.var(each, axis=0, ddof=1).mean() for each in (once, again)])
        found.append((spread / np.mean(values**2), spread / variance))
    return np.array(found)


def states_theory(activation: str) -> float:
    """Noise over signal of a unit's output, over that of its preactivation."""
    phi, at = nonlinearity(activation), np.array([STATE, -STATE])
    mean = output_mean(phi, 1.0, at)
    noise = np.mean(second_moment(phi, 1.0, at) - mean**2)
    return float(noise / np.var(mean) * STATE**2)


def states_measured(activation: str, seed: int) -> float:
    """The same of one unit, whose weights are all alike."""
    weights = keras.initializers.Constant(STATE / STATE_INPUTS)
    unit = keras.layers.Dense(1, activation, kernel_initializer=weights)
    noise = np.random.default_rng(seed).normal(size=(2, STATE_EXAMPLES, STATE_INPUTS))
    x = np.array([1.0, -1.0])[:, None, None] + sqrt(STATE_INPUTS) / STATE * noise
    outputs = keras.ops.convert_to_numpy(unit(x.astype("float32"))).astype("float64")
    signal = np.var(outputs.mean(axis=1))
    return float(outputs.var(axis=1).mean() / signal * STATE**2)


def mean_theory(count: int, correlation: float) -> float:
    """Variance of the mean of some units over that of one, under independent noise."""
    return correlation + (1 - correlation) / count


def mean_measured(correlation: float, seed: int) -> Array:
    """The same for each of `COUNTS`, of linear units whose weights have a part in common."""
    generator = keras.random.SeedGenerator(seed)
    draw = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal", generator)

    def kernels(shape: tuple[int, ...], dtype: Any = None) -> Any:
        own, shared = draw(shape, dtype), draw((shape[0], 1), dtype)
        return sqrt(1 - correlation) * own + sqrt(correlation) * shared

    layer = keras.layers.Dense(COUNTS[-1], kernel_initializer=kernels)
    noise = np.random.default_rng(seed).normal(size=(UNIT_EXAMPLES, UNIT_INPUTS))
    outputs = keras.ops.convert_to_numpy(layer(noise.astype("float32"))).astype("float64")
    means = [outputs.reshape(UNIT_EXAMPLES, -1, count).mean(axis=2) for count in COUNTS]
    return np.array([np.mean(each**2) for each in means]) / np.mean(outputs**2)


def trained_network(name: str, steps: int, seed: int) -> Trial:
    """The first of the networks that `trained_accuracies` trains."""
    model = model_of_one(_drawn(name, seed)[0], TRAINED[name][0], _optimizer())
    return Trial(model, digits(seed), steps, _BATCH)


def trained_accuracies(name: str, steps: int, seed: int) -> list[float]:
    """On the test images under noise of each of `STRENGTHS`, mean over five networks."""
    data = digits(seed)
    order = drawn_batches(len(data.train_x), steps, _BATCH, seed)
    model = model_of_many(_drawn(name, seed), TRAINED[name][0], _optimizer())
    x, y = data.train_x[order], data.train_y[order]
    model.fit(x, y, batch_size=_BATCH, shuffle=False, verbose=0)
    images, classes = np.tile(data.test_x, (_COPIES, 1)), np.tile(data.test_y, _COPIES)
    noise = np.random.default_rng(seed).normal(size=images.shape).astype("float32")
    noisy = [(images + sqrt(strength) * noise).astype("float32") for strength in STRENGTHS]
    tests = [data._replace(test_x=each, test_y=classes) for each in noisy]
    return [float(accuracies(model, test).mean()) for test in tests]


def _optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.05, momentum=0.9)


def _drawn(name: str, seed: int) -> list[Weights]:
    activation, factor = TRAINED[name]
    unit = GainScaling(activation, seed=keras.random.SeedGenerator(seed))
    shape = Shape(inputs=64, depth=2, width=128)
    return [
        draw_weights(shape, lambda fans: factor * np.asarray(unit(fans)), np.zeros)
        for _ in range(_NETWORKS)
    ]
