"""Expectations under a Gaussian against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, ndtr

from keras_initscope.theory.gaussian import expectation, panel_rule

VARIANCES = np.array([1e-8, 1e-3, 0.1, 1.0, 4.0, 100.0, 1e4])


@pytest.mark.parametrize("order", [0, 2, 4, 6, 8])
def test_powers_have_the_moments_of_a_gaussian(order):
    double_factorial = np.prod(np.arange(1, order, 2))
    found = expectation(lambda x: x**order, variance=VARIANCES)
    np.testing.assert_allclose(found, double_factorial * VARIANCES ** (order / 2), rtol=1e-13)


def test_squared_relu_is_half_the_variance():
    found = expectation(lambda x: np.maximum(x, 0) ** 2, variance=VARIANCES, kinks=[0.0])
    np.testing.assert_allclose(found, VARIANCES / 2, rtol=1e-13)


def test_squared_erf_is_an_arc_sine():
    exact = 2 / np.pi * np.arcsin(2 * VARIANCES / (1 + 2 * VARIANCES))
    np.testing.assert_allclose(
        expectation(lambda x: erf(x) ** 2, variance=VARIANCES), exact, rtol=1e-12
    )


def test_a_shifted_relu_has_its_closed_form():
    mean, deviation = np.array([[-2.0], [0.0], [0.5]]), np.array([0.1, 1.0, 3.0])
    ratio = mean / deviation
    density = np.exp(-(ratio**2) / 2) / np.sqrt(2 * np.pi)
    exact = mean * ndtr(ratio) + deviation * density
    found = expectation(lambda x: np.maximum(x, 0), mean, deviation**2, kinks=[0.0])
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-16)


def test_a_kink_that_is_named_is_integrated_exactly_and_one_that_is_not_is_not():
    exact = 2 * ndtr(-0.3)
    named = expectation(lambda x: np.abs(x) > 0.3, kinks=[-0.3, 0.3])
    unnamed = expectation(lambda x: np.abs(x) > 0.3)
    assert abs(named - exact) < 1e-14
    assert abs(unnamed - exact) > 1e-4


def test_a_wide_sine_needs_narrow_panels():
    exact = (1 - np.exp(-2e4)) / 2
    assert abs(expectation(lambda x: np.sin(x) ** 2, variance=1e4, width=6.0) - exact) < 1e-13
    assert abs(expectation(lambda x: np.sin(x) ** 2, variance=1e4) - exact) > 1e-4


def test_an_exponential_needs_a_long_reach():
    exact = np.exp(81.0 / 2)
    assert expectation(np.exp, variance=81.0, reach=32.0) == pytest.approx(exact, rel=1e-12)
    assert expectation(np.exp, variance=81.0) < 0.9999 * exact


def test_a_point_mass_gives_the_value_at_its_mean():
    assert expectation(np.cos, mean=0.7, variance=0.0, kinks=[0.7]) == pytest.approx(np.cos(0.7))


def test_shapes_broadcast_and_equal_entries_are_equal():
    found = expectation(np.cos, np.zeros((4, 1)), np.array([1.0, 2.0, 1.0]))
    assert found.shape == (4, 3)
    assert np.all(found[:, 0] == found[0, 2])
    assert expectation(np.cos, variance=np.zeros((0, 3))).shape == (0, 3)


def test_many_distinct_variances_agree_with_one_at_a_time():
    variances = np.geomspace(0.01, 50, 1200)
    together = expectation(np.tanh, 0.3, variances)
    alone = [float(expectation(np.tanh, 0.3, v)) for v in variances[::97]]
    np.testing.assert_allclose(together[::97], alone, rtol=0, atol=1e-14)


def test_a_negative_variance_is_refused():
    with pytest.raises(ValueError, match=r"cannot be negative.*-1"):
        expectation(np.cos, variance=-1.0)


@given(st.lists(st.floats(-15, 15), max_size=4), st.integers(1, 4))
def test_weights_add_up_to_one_wherever_panels_are_split(breaks, parts):
    _, weights = panel_rule(np.array([breaks]), parts)
    assert abs(weights.sum() - 1) < 1e-14
