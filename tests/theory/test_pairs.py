"""Products under two correlated Gaussians against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from keras_initscope.theory.gaussian import expectation
from keras_initscope.theory.nonlinearities import TABLE, nonlinearity
from keras_initscope.theory.pairs import homogeneous_pair_expectation, pair_expectation

CORRELATIONS = np.array(
    [-1, -1 + 1e-9, -0.9, -0.3, 0, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-12, 1]
)
VARIANCES = [0.01, 1.0, 100.0]


@pytest.mark.parametrize("variance", VARIANCES)
def test_relu_has_the_arc_cosine_kernel(variance):  # Cho & Saul, 2009
    angle = np.arccos(CORRELATIONS)
    exact = variance * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    found = pair_expectation(lambda x: np.maximum(x, 0), CORRELATIONS, 0, variance, kinks=[0.0])
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-14 * variance)


def test_a_step_has_the_arc_cosine_kernel_of_order_zero():
    exact = (np.pi - np.arccos(CORRELATIONS)) / (2 * np.pi)
    found = pair_expectation(lambda x: np.heaviside(x, 0.5), CORRELATIONS, kinks=[0.0])
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize("slope", [-0.7, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("variance", [1e-6, 2.3])
def test_the_closed_form_of_straight_halves_agrees_with_quadrature(slope, variance):
    phi = nonlinearity("leaky_relu", negative_slope=slope)
    for order, function in enumerate([phi.df, phi.f]):
        closed = homogeneous_pair_expectation(function, order, CORRELATIONS, variance)
        found = pair_expectation(function, CORRELATIONS, 0, variance, kinks=phi.kinks)
        np.testing.assert_allclose(closed, found, rtol=0, atol=1e-14 * variance**order)


@pytest.mark.parametrize("variance", VARIANCES)
def test_erf_has_the_arc_sine_kernel(variance):  # Williams, 1997
    exact = 2 / np.pi * np.arcsin(2 * variance * CORRELATIONS / (1 + 2 * variance))
    found = pair_expectation(erf, CORRELATIONS, 0, variance)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-14)


@pytest.mark.parametrize("mean", [0.0, 0.4, -3.0])
@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0])
def test_sine_with_a_mean_is_a_difference_of_exponentials(mean, variance):
    apart = np.exp(-variance * (1 - CORRELATIONS))
    together = np.cos(2 * mean) * np.exp(-variance * (1 + CORRELATIONS))
    found = pair_expectation(np.sin, CORRELATIONS, mean, variance, width=6.0)
    np.testing.assert_allclose(found, (apart - together) / 2, rtol=0, atol=1e-14)


def _by_conditioning(phi, correlation, mean, variance):
    """E f(x) E[f(y) | x], with y given x Gaussian: another order of integration."""

    def integrand(x):
        given_x = mean + correlation * (x - mean)
        inner = expectation(phi.f, given_x, variance * (1 - correlation**2), kinks=phi.kinks)
        return phi.f(x) * inner

    return expectation(integrand, mean, variance, kinks=phi.kinks)


@pytest.mark.parametrize("name", sorted(set(TABLE) - {"threshold", "exponential"}))
@pytest.mark.parametrize("correlation", [-0.7, 0.35])
def test_every_row_agrees_with_conditioning_at_a_mean(name, correlation):
    phi = nonlinearity(name)
    found = pair_expectation(phi.f, correlation, 0.4, 1.0, kinks=phi.kinks, width=phi.width)
    assert found == pytest.approx(_by_conditioning(phi, correlation, 0.4, 1.0), rel=1e-11)


def test_shapes_broadcast():
    found = pair_expectation(np.tanh, [0.1, 0.5], np.zeros((3, 1)), 1.0)
    assert found.shape == (3, 2)
    assert np.all(found[0] == found[2])


def test_a_point_mass_gives_the_square_of_the_value_at_its_mean():
    assert pair_expectation(np.cos, 1.0, 0.7, 0.0) == pytest.approx(np.cos(0.7) ** 2, rel=1e-14)


def test_a_correlation_beyond_one_is_refused():
    with pytest.raises(ValueError, match=r"lies in \[-1, 1\].*1\.5"):
        pair_expectation(np.cos, 1.5)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 1), st.floats(0.01, 20))
def test_an_odd_function_gives_an_odd_kernel(correlation, variance):
    plus, minus = pair_expectation(np.tanh, [correlation, -correlation], 0.0, variance)
    assert plus == pytest.approx(-minus, abs=1e-14)


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.floats(0.01, 20))
def test_the_ends_are_the_square_and_the_second_moment(mean, variance):
    phi = nonlinearity("hard_silu")
    apart, same = pair_expectation(phi.f, [0.0, 1.0], mean, variance, kinks=phi.kinks)
    first = expectation(phi.f, mean, variance, kinks=phi.kinks)
    second = expectation(lambda x: phi.f(x) ** 2, mean, variance, kinks=phi.kinks)
    assert apart == pytest.approx(first**2, rel=1e-12, abs=1e-15)
    assert same == pytest.approx(second, rel=1e-13)
