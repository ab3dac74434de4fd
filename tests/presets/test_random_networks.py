"""Many networks at once are many Keras networks, and drawn from the right distribution."""

from functools import partial
from itertools import pairwise

import keras
import numpy as np
import pytest

from keras_initscope.initializers import HeAverageUniform, Kumar
from keras_initscope.presets import random_networks as module
from keras_initscope.presets.random_networks import random_layers

WIDTHS = (7, 5, 6)


def _drawn(draws, seed):
    """What `random_layers` draws, in its order: inputs, kernels, output gradients."""
    generator = keras.random.SeedGenerator(seed)
    make = HeAverageUniform(generator, input_axes=(1,), output_axes=(2,))
    inputs = keras.random.normal((draws, module.EXAMPLES, WIDTHS[0]), seed=generator)
    kernels = [make((draws, *fans)) for fans in pairwise(WIDTHS)]
    gradient = keras.random.normal((draws, module.EXAMPLES, WIDTHS[-1]), seed=generator)
    return [np.asarray(array) for array in (inputs, *kernels, gradient)]


def _keras_network(activation, kernels):
    layers = [keras.layers.Dense(k.shape[1], activation, use_bias=False) for k in kernels]
    model = keras.Sequential([keras.Input((WIDTHS[0],)), *layers])
    model.set_weights(kernels)
    return model


def _numerical_gradient(model, x, cotangent, step=1e-3):
    """Central differences of sum(model(x) * cotangent), one input at a time."""

    def value(inputs):
        return np.sum(np.asarray(model(inputs), dtype="float64") * cotangent)

    gradient = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        gradient[place] = (value(x + shift) - value(x - shift)) / (2 * step)
    return gradient


def test_signal_and_gradient_are_those_of_keras_networks():
    draws, seed = 2, 3
    layers = random_layers(HeAverageUniform, "tanh", WIDTHS, draws, seed)
    inputs, first, second, cotangent = _drawn(draws, seed)
    hidden, outputs, gradients = [], [], []
    for draw in range(draws):
        model = _keras_network("tanh", [first[draw], second[draw]])
        hidden.append(np.asarray(model.layers[0](inputs[draw])))
        outputs.append(np.asarray(model(inputs[draw])))
        gradients.append(_numerical_gradient(model, inputs[draw], cotangent[draw]))
    assert layers[0].signal == pytest.approx(np.mean(np.square(hidden)), rel=1e-5)
    assert layers[1].signal == pytest.approx(np.mean(np.square(outputs)), rel=1e-5)
    assert layers[0].gradient == pytest.approx(np.mean(np.square(gradients)), rel=1e-2)
    slope = 1 - np.square(outputs)
    delta = np.mean(np.square(cotangent * slope))
    assert layers[1].delta == pytest.approx(delta, rel=1e-4)
    assert layers[1].largest_weight == pytest.approx(np.abs(second).max())
    assert layers[1].weight_variance == pytest.approx(np.mean(second**2), rel=1e-5)


def test_the_draws_do_not_count_as_fans():
    draws, fan_in, fan_out = 400, 20, 30
    expected = {HeAverageUniform: 4 / (fan_in + fan_out), partial(Kumar, "sigmoid"): 12.8 / fan_in}
    for make, variance in expected.items():
        (layer,) = random_layers(make, "sigmoid", (fan_in, fan_out), draws, 0)
        assert (layer.fan_in, layer.fan_out) == (fan_in, fan_out)
        four_errors = 4 * (2 / (draws * fan_in * fan_out)) ** 0.5
        assert layer.weight_variance == pytest.approx(variance, rel=four_errors)


def test_a_network_of_one_linear_layer_keeps_what_theory_says():
    """E y^2 = fan_in v, E g^2 = fan_out v."""
    draws, fan_in, fan_out, v = 500, 30, 60, 0.02

    def normal(seed, **_):
        return keras.initializers.RandomNormal(stddev=v**0.5, seed=seed)

    (layer,) = random_layers(normal, "linear", (fan_in, fan_out), draws, 1)
    four_errors = 4 * (2 * 3 / (draws * module.EXAMPLES * fan_in)) ** 0.5
    assert layer.signal == pytest.approx(fan_in * v, rel=four_errors)
    assert layer.gradient == pytest.approx(fan_out * v, rel=four_errors)


def test_the_seed_fixes_the_draws():
    first, again, other = (
        random_layers(HeAverageUniform, "relu", WIDTHS, 2, seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
