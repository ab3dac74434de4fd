"""Moments against closed forms and against the published tables of a normal network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from keras_initscope.theory.moments import (
    cross_moment,
    moment,
    output_mean,
    second_moment,
    slope_cross_moment,
    slope_second_moment,
)
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity

Q = np.array([1e-6, 0.01, 0.5, 1.0, 7.0, 100.0])


def test_gelu_has_its_closed_form():
    # E x^2 Phi(x)^2, by Stein's identity twice.
    square = 0.25 + np.arcsin(Q / (1 + Q)) / (2 * np.pi)
    exact = Q * square + Q**2 / (np.pi * (1 + Q) * np.sqrt(1 + 2 * Q))
    np.testing.assert_allclose(second_moment(nonlinearity("gelu"), Q), exact, rtol=1e-12)


def test_erf_has_its_closed_forms():
    phi, mean = nonlinearity("erf"), 0.3
    slope = 4 / np.pi / np.sqrt(1 + 4 * Q)
    np.testing.assert_allclose(slope_second_moment(phi, Q), slope, rtol=1e-12)
    first = 2 * ndtr(mean * np.sqrt(2) / np.sqrt(1 + 2 * Q)) - 1
    np.testing.assert_allclose(output_mean(phi, Q, mean), first, rtol=1e-12)


def test_sine_has_its_closed_forms():
    phi, mean = nonlinearity("sin"), 0.3
    decay = np.cos(2 * mean) * np.exp(-2 * Q)
    np.testing.assert_allclose(output_mean(phi, Q, mean), np.sin(mean) * np.exp(-Q / 2), atol=1e-13)
    np.testing.assert_allclose(second_moment(phi, Q, mean), (1 - decay) / 2, rtol=1e-12)
    np.testing.assert_allclose(slope_second_moment(phi, Q, mean), (1 + decay) / 2, rtol=1e-12)


def test_exponential_has_its_closed_forms():
    phi = nonlinearity("exponential")
    np.testing.assert_allclose(output_mean(phi, Q), np.exp(Q / 2), rtol=1e-11)
    np.testing.assert_allclose(second_moment(phi, Q), np.exp(2 * Q), rtol=1e-11)
    assert second_moment(phi, 400.0) == np.inf


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.01, 0.2, 1.0])
def test_leaky_relu_has_its_closed_forms(slope):
    phi = nonlinearity("leaky_relu", negative_slope=slope)
    np.testing.assert_allclose(second_moment(phi, Q), Q * (1 + slope**2) / 2, rtol=1e-12)
    np.testing.assert_allclose(slope_second_moment(phi, Q), (1 + slope**2) / 2, rtol=1e-12)
    np.testing.assert_allclose(
        output_mean(phi, Q), (1 - slope) * np.sqrt(Q / (2 * np.pi)), atol=1e-14
    )


def test_random_slopes_count_with_their_square_but_two_draws_with_their_mean():
    lower, upper = 0.1, 0.7
    phi = nonlinearity("rrelu", lower=lower, upper=upper)
    square = (lower**2 + lower * upper + upper**2) / 3
    np.testing.assert_allclose(second_moment(phi, Q), Q * (1 + square) / 2, rtol=1e-12)
    np.testing.assert_allclose(slope_second_moment(phi, Q), (1 + square) / 2, rtol=1e-12)
    mean = nonlinearity("leaky_relu", negative_slope=(lower + upper) / 2)
    assert cross_moment(phi, 1.0, 1.0) == pytest.approx(float(second_moment(mean)), rel=1e-13)


def test_learnt_slopes_are_shared_by_two_examples():
    slopes = np.array([0.1, 0.3, 0.9])
    phi = nonlinearity("prelu", negative_slope=slopes.mean(), variance=slopes.var())
    each = [nonlinearity("leaky_relu", negative_slope=slope) for slope in slopes]
    for function in (cross_moment, slope_cross_moment):
        for mean in (0.0, 0.4):
            exact = np.mean([function(row, 1.3, 0.5, mean) for row in each])
            assert function(phi, 1.3, 0.5, mean) == pytest.approx(exact, rel=1e-12)


def test_maps_of_a_convolution_broadcast():
    phi = nonlinearity("relu")
    variance = np.array([[1.0, 2.0, 1.0], [2.0, 3.0, 2.0]])
    crossed = cross_moment(phi, variance, 0.5 * variance, np.zeros((4, 1, 1)))
    assert crossed.shape == (4, 2, 3)
    np.testing.assert_allclose(crossed / variance, crossed[0, 0, 0], rtol=1e-13)


def test_a_product_of_two_examples_has_the_slope_of_its_own_cross_moment():
    # Price's theorem: d/dcov E f(x)f(y) = E f'(x)f'(y).
    for name in ("tanh", "relu", "gelu", "hard_tanh"):
        phi, step = nonlinearity(name), 1e-4
        ends = cross_moment(phi, 1.3, np.array([0.6 - step, 0.6 + step]), 0.2)
        slope = slope_cross_moment(phi, 1.3, 0.6, 0.2)
        assert np.diff(ends)[0] / (2 * step) == pytest.approx(float(slope), rel=1e-7)


def test_a_covariance_that_rounding_pushed_over_the_variance_is_taken_for_it():
    phi = nonlinearity("tanh")
    same = cross_moment(phi, 0.3, 0.3 * (1 + 1e-12))
    assert same == pytest.approx(float(second_moment(phi, 0.3)), rel=1e-13)
    with pytest.raises(ValueError, match="cannot exceed the variance"):
        cross_moment(phi, 0.3, 0.31)


def test_a_point_mass_has_no_variance():
    phi = nonlinearity("sigmoid")
    assert cross_moment(phi, 0.0, 0.0) == pytest.approx(0.25, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "kappa"),
    [
        ("relu", 47.7),
        ("elu", 5.16),
        ("gelu", 24.0),
        ("silu", 14.6),
        ("sigmoid", 577.0),
        ("tanh", 1.0),
        ("selu", 1.0),
    ],
)
def test_the_conditioning_of_off_centre_activations(name, kappa):
    # 1 + n mu^2 / Var at n = 100: how much steeper the loss is along the mean.
    phi = nonlinearity(name)
    mean = float(output_mean(phi))
    found = 1 + 100 * mean**2 / (float(second_moment(phi)) - mean**2)
    assert found == pytest.approx(kappa, rel=4e-3)


@pytest.mark.parametrize(("name", "growth"), [("relu", 1.4669), ("tanh", 1.1778), ("selu", 1.0716)])
def test_the_backward_growth_of_batch_normalization(name, growth):
    # E f'^2 / Var f a layer (Yang et al., 2019).
    phi = nonlinearity(name)
    variance = float(second_moment(phi) - output_mean(phi) ** 2)
    assert float(slope_second_moment(phi)) / variance == pytest.approx(growth, abs=5e-5)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["tanh", "gelu", "relu6", "softplus"]), st.floats(0.05, 8), st.floats(-2, 2))
def test_a_shift_of_the_input_is_a_mean(name, variance, shift):
    phi = nonlinearity(name)
    shifted = Nonlinearity(
        name="shifted",
        f=lambda x: phi.f(x + shift),
        df=lambda x: phi.df(x + shift),
        kinks=tuple(kink - shift for kink in phi.kinks),
    )
    for function in (output_mean, second_moment, slope_second_moment):
        here, there = float(function(shifted, variance)), float(function(phi, variance, shift))
        assert here == pytest.approx(there, rel=1e-11, abs=1e-14)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["silu", "elu", "hard_tanh"]), st.floats(0.05, 8), st.floats(0.1, 10))
def test_a_scale_of_the_input_is_a_variance(name, variance, scale):
    phi = nonlinearity(name)
    found = moment(phi, lambda x: phi.f(x) ** 2, scale**2 * variance)
    scaled = Nonlinearity(
        name="scaled",
        f=lambda x: phi.f(scale * x),
        df=lambda x: scale * phi.df(scale * x),
        kinks=tuple(kink / scale for kink in phi.kinks) + tuple(np.arange(-8, 9) / scale),
    )
    assert float(second_moment(scaled, variance)) == pytest.approx(float(found), rel=1e-11)
