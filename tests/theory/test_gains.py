"""Gains and weight variances against closed forms and published numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initscope.theory.gains import gain, kumar_variance
from keras_initscope.theory.nonlinearities import TABLE, nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity

MODES = ["forward", "backward", "average", "geometric"]
GAINED = sorted(set(TABLE) - {"threshold"})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("slope", [0.0, 0.01, 0.25, 1.0])
def test_he_2015_for_leaky_rectifiers(mode, slope):  # eqs. 10, 14 and 15
    found = gain(nonlinearity("leaky_relu", negative_slope=slope), mode)
    assert found == pytest.approx(np.sqrt(2 / (1 + slope**2)), rel=1e-13)


def test_random_slopes_take_the_mean_of_their_squares():
    lower, upper = 1 / 8, 1 / 3
    square = (lower**2 + lower * upper + upper**2) / 3
    assert gain(nonlinearity("rrelu")) == pytest.approx(np.sqrt(2 / (1 + square)), rel=1e-13)


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("erf", (2 / np.pi * np.arcsin(2 / 3)) ** -0.5, (4 / np.pi / np.sqrt(5)) ** -0.5),
        ("sin", ((1 - np.exp(-2)) / 2) ** -0.5, ((1 + np.exp(-2)) / 2) ** -0.5),
        ("exponential", np.exp(-1.0), np.exp(-1.0)),
    ],
)
def test_smooth_ones(name, forward, backward):
    phi = nonlinearity(name)
    assert gain(phi) == pytest.approx(forward, rel=1e-12)
    assert gain(phi, "backward") == pytest.approx(backward, rel=1e-12)


def test_selu_keeps_unit_variance_by_construction():  # Klambauer et al., 2017
    assert gain(nonlinearity("selu")) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", GAINED)
def test_the_compromises_lie_between_forward_and_backward(name):
    forward, backward, average, geometric = (gain(nonlinearity(name), mode) for mode in MODES)
    low, high = sorted([forward, backward])
    assert low * (1 - 1e-12) <= average <= geometric * (1 + 1e-12) <= high * (1 + 2e-12)
    assert geometric == pytest.approx(np.sqrt(forward * backward), rel=1e-12)
    assert average**-2 == pytest.approx((forward**-2 + backward**-2) / 2, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(GAINED), st.floats(0.01, 100), st.sampled_from(MODES), st.sampled_from([-1, 1])
)
def test_scaling_an_activation_divides_its_gain(name, factor, mode, sign):
    phi = nonlinearity(name)
    if phi.spread:
        return
    scaled = Nonlinearity(
        name="scaled",
        f=lambda x: sign * factor * phi.f(x),
        df=lambda x: sign * factor * phi.df(x),
        kinks=phi.kinks,
        width=phi.width,
        reach=phi.reach,
    )
    assert gain(scaled, mode) * factor == pytest.approx(gain(phi, mode), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(GAINED), st.sampled_from(MODES))
def test_mirroring_an_activation_keeps_its_gain(name, mode):
    phi = nonlinearity(name)
    if phi.spread:
        return
    mirrored = Nonlinearity(
        name="mirrored",
        f=lambda x: phi.f(-x),
        df=lambda x: -phi.df(-x),
        kinks=tuple(-kink for kink in phi.kinks),
        width=phi.width,
        reach=phi.reach,
    )
    assert gain(mirrored, mode) == pytest.approx(gain(phi, mode), rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_gain_keeps_the_second_moment_at_its_variance(mode):
    relu, tanh = nonlinearity("relu"), nonlinearity("tanh")
    assert gain(relu, mode, variance=9.0) == pytest.approx(gain(relu, mode), rel=1e-13)
    assert gain(tanh, mode, variance=1e-10) == pytest.approx(1.0, rel=1e-9)
    assert gain(tanh, mode, variance=9.0) > gain(tanh, mode)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"mode='fan_in'.*'geometric'"):
        gain(nonlinearity("relu"), "fan_in")


def test_a_step_has_a_forward_gain_and_no_backward_gain():
    step = Nonlinearity(name="step", f=np.sign, df=np.zeros_like, kinks=(0.0,))
    assert gain(step) == pytest.approx(1.0, rel=1e-14)
    with pytest.raises(ValueError, match="step has no backward gain"):
        gain(step, "backward")


@pytest.mark.parametrize(
    ("name", "variance"),
    [("sigmoid", 12.8), ("tanh", 1.0), ("sin", 1.0), ("erf", np.pi / 4), ("elu", 1.0)],
)
def test_kumar_2017(name, variance):  # the paper rounds the sigmoid's to 3.6^2 = 12.96
    assert kumar_variance(nonlinearity(name), 250) * 250 == pytest.approx(variance, rel=1e-14)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "selu", "rrelu"])
def test_kumar_needs_a_slope_at_zero(name):
    with pytest.raises(ValueError, match="has a kink there"):
        kumar_variance(nonlinearity(name), 100)


@pytest.mark.parametrize("name", ["tanh_shrink", "soft_shrink", "hard_shrink"])
def test_kumar_needs_a_slope_at_zero_that_is_not_zero(name):
    phi = nonlinearity(name)
    with pytest.raises(ValueError, match=r"f'\(0\) = 0"):
        kumar_variance(phi, 100)
