"""The maps from layer to layer against closed forms and the networks of the articles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initscope.theory.fixedpoints import variance_fixed_point
from keras_initscope.theory.meanfield import (
    chi_1,
    correlation_map,
    correlation_slope,
    depth_scale,
    variance_map,
    variance_slope,
)
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import TABLE, nonlinearity

ROWS = sorted(set(TABLE) - {"threshold", "exponential"})


def test_erf_has_closed_forms():
    phi, q, weight, bias = nonlinearity("erf"), np.array([0.1, 1.0, 5.0]), 1.7, 0.2
    value = weight * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) + bias
    slope = weight * 4 / np.pi / ((1 + 2 * q) * np.sqrt(1 + 4 * q))
    np.testing.assert_allclose(variance_map(phi, q, weight, bias), value, rtol=1e-13)
    np.testing.assert_allclose(variance_slope(phi, q, weight), slope, rtol=1e-12)
    c = np.array([[-0.5], [0.9]])
    crossed = weight * 2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + bias
    np.testing.assert_allclose(
        correlation_map(phi, c, q, weight, bias), crossed / value, atol=1e-13
    )


@pytest.mark.parametrize("name", ROWS)
def test_steins_slope_is_the_slope_of_the_variance_map(name):
    phi, q, step = nonlinearity(name), 1.3, 1e-4
    below, above = variance_map(phi, np.array([q - step, q + step]), 1.5, 0.1)
    assert (above - below) / (2 * step) == pytest.approx(
        float(variance_slope(phi, q, 1.5)), rel=1e-7, abs=1e-9
    )


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid", "hard_tanh", "relu"])
def test_the_slope_of_the_correlation_map(name):
    phi, step = nonlinearity(name), 1e-4
    below, above = correlation_map(phi, np.array([0.3 - step, 0.3 + step]), 0.8, 1.5, 0.1)
    slope = float(correlation_slope(phi, 0.3, 0.8, 1.5, 0.1))
    assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid", "hard_tanh", "relu"])
def test_chi_1_is_the_slope_of_the_correlation_map_at_one(name):
    phi, weight, bias = nonlinearity(name), 1.5, 0.1
    q = 0.8
    scale = q / float(variance_map(phi, q, weight, bias))
    slope = float(correlation_slope(phi, 1.0, q, weight, bias))
    assert slope == pytest.approx(float(chi_1(phi, q, weight)) * scale, rel=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ROWS), st.floats(0.05, 5), st.floats(0.1, 4), st.floats(0, 1))
def test_one_example_is_always_like_itself(name, q, weight, bias):
    phi = nonlinearity(name)
    if phi.spread or float(variance_map(phi, q, weight, bias)) < 1e-9:
        return
    assert correlation_map(phi, 1.0, q, weight, bias) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 1))
def test_the_maps_of_relu_know_no_scale(q, scale, slope):
    phi = nonlinearity("leaky_relu", negative_slope=slope)
    one, other = variance_map(phi, np.array([q, scale * q]), 1.3)
    assert other == pytest.approx(scale * one, rel=1e-12)
    assert variance_slope(phi, q, 1.3) == pytest.approx(one / q, rel=1e-12)
    first, second = correlation_map(phi, 0.4, np.array([q, scale * q]), 1.3)
    assert first == pytest.approx(second, rel=1e-12)


def test_correlations_collapse_under_relu_with_he_weights():
    c, found = 0.0, {}
    for depth in range(1, 51):
        c = float(correlation_map(nonlinearity("relu"), c, 1.0, 2.0))
        found[depth] = c
    assert found[1] == pytest.approx(1 / np.pi, abs=1e-14)
    assert found[5] == pytest.approx(0.73594635, abs=1e-8)
    assert found[10] == pytest.approx(0.87153552, abs=1e-8)
    assert found[50] == pytest.approx(0.98786194, abs=1e-8)


def _signal(q, weight_variance, layers):
    """Second moments of the activations of a tanh network."""
    moments = []
    for _ in range(layers):
        moments.append(float(second_moment(nonlinearity("tanh"), q)))
        q = weight_variance * moments[-1]
    return moments


def test_small_weights_kill_the_signal():  # 100 -> 5 x 50 tanh, W = .01 N(0, 1)
    expected = [9.8055e-3, 4.9023e-5, 2.4511e-7, 1.2256e-9, 6.1278e-12]
    np.testing.assert_allclose(_signal(100 * 1e-4, 50 * 1e-4, 5), expected, rtol=5e-5)


def test_weights_of_unit_gain_lose_it_slowly():  # the same, W = N(0, 1 / fan_in)
    expected = [0.3943, 0.2365, 0.1667, 0.1279, 0.1034]
    np.testing.assert_allclose(_signal(1.0, 1.0, 5), expected, atol=5e-5)


@pytest.mark.parametrize(
    ("weight_variance", "factor"), [(1.0, 0.0557), (2.0, 0.1010), (12.8, 0.3538), (12.96, 0.3562)]
)
def test_gradients_of_a_sigmoid_network(weight_variance, factor):  # Xavier, He, Kumar, 3.6^2
    phi = nonlinearity("sigmoid")
    point = variance_fixed_point(phi, weight_variance)
    assert float(chi_1(phi, point.q, weight_variance)) == pytest.approx(factor, abs=5e-5)


def test_the_depth_scale_is_that_of_the_e_fold():
    assert depth_scale(np.exp(-1 / 7)) == pytest.approx(7, rel=1e-12)
    assert depth_scale(np.exp(1 / 7)) == pytest.approx(7, rel=1e-12)
    assert depth_scale(1.0) == np.inf
    assert depth_scale(0.0) == 0.0
