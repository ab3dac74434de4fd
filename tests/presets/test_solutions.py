"""Distances, lines and names of networks, against closed forms and renamed networks."""

import itertools

import keras
import numpy as np
import pytest

from keras_initscope.presets import solutions as module


def _weights(seed, widths=(3, 7, 5, 2)):
    random = np.random.default_rng(seed)
    shapes = [s for n, m in itertools.pairwise(widths) for s in ((n, m), (m,))]
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def test_outputs_are_those_of_keras():
    layers = [keras.layers.Dense(n, "tanh") for n in (7, 5)]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])
    model.set_weights(_weights(0))
    x = np.random.default_rng(1).normal(size=(9, 3)).astype("float32")
    np.testing.assert_allclose(module.outputs(_weights(0), x), model(x), rtol=1e-4, atol=1e-5)


def test_a_network_under_other_names_is_found_to_be_the_same():
    """Units permuted and turned over in both layers; matching undoes it exactly."""
    first, random = _weights(0), np.random.default_rng(2)
    second = [each.copy() for each in first]
    for k in (0, 2):
        units = second[k].shape[1]
        names, signs = random.permutation(units), random.choice([-1, 1], size=units)
        second[k], second[k + 1] = second[k][:, names] * signs, second[k + 1][names] * signs
        second[k + 2] = second[k + 2][names] * signs[:, None]
    x = random.normal(size=(200, 3)).astype("float32")
    np.testing.assert_allclose(module.outputs(first, x), module.outputs(second, x), atol=1e-6)
    assert module.distance(first, second) > 0.5
    assert module.distance(first, module.matched(first, second, x)) == 0


def test_matching_changes_no_output():
    x = np.random.default_rng(3).normal(size=(50, 3)).astype("float32")
    again = module.matched(_weights(0), _weights(1), x)
    outputs = module.outputs(_weights(1), x)
    np.testing.assert_allclose(module.outputs(again, x), outputs, rtol=1e-5, atol=1e-5)


def test_independent_weights_are_the_root_of_two_apart():
    first, second = (_weights(seed, (200, 100)) for seed in (0, 1))
    assert module.distance(first, second) == pytest.approx(np.sqrt(2), rel=4 / np.sqrt(20_000))
    assert module.distance(first, first) == 0


def test_the_wall_between_two_minima_of_a_double_well():
    """(w^2 - 1)^2 has its minima at 1 and -1 and the height 1 between them."""

    def loss(weights):
        return float((weights[0][0] ** 2 - 1) ** 2)

    losses = module.along([np.array([1.0])], [np.array([-1.0])], loss, 5)
    assert losses == pytest.approx([0, 0.5625, 1, 0.5625, 0])
    assert module.barrier(losses) == pytest.approx(1)
    assert module.barrier([0.0, 0.5, 1.0]) == 0
