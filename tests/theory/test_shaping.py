"""DKS and TAT: published numbers, and the conditions that define them, checked from outside."""

import numpy as np
import pytest

from keras_initscope.theory.composition import Residual, maximal
from keras_initscope.theory.meanfield import correlation_map, correlation_slope, variance_slope
from keras_initscope.theory.moments import moment, output_mean, second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.rectifiers import dks_leaky_relu, tat_leaky_relu
from keras_initscope.theory.shaping import dks, tat
from keras_initscope.theory.transformed import transformed

SMOOTH = ["tanh", "erf", "sigmoid", "softplus", "gelu", "silu", "mish", "elu", "softsign"]
RESNET = (Residual(branch=2, shortcut_share=0.8),) * 6


def test_tat_of_the_leaky_relu_is_that_of_the_paper():
    slope, by = tat_leaky_relu(50)
    assert slope == pytest.approx(0.430522949, abs=1e-9)
    assert by.output_scale == pytest.approx(1.298947786, abs=1e-9)


def test_dks_of_the_tanh_is_that_of_the_paper():
    by = dks(nonlinearity("tanh"), 50)
    assert by.input_scale == pytest.approx(0.1284404787, abs=1e-8)
    assert by.input_shift == pytest.approx(0.5707795475, abs=1e-8)
    assert by.output_shift == pytest.approx(-0.5098072417, abs=1e-8)
    assert by.output_scale == pytest.approx(10.6044476247, rel=1e-8)


@pytest.mark.parametrize("depth", [3, 50, 400])
def test_a_chain_of_leaky_relus_reaches_the_correlation(depth):
    slope, by = tat_leaky_relu(depth, 0.9)
    made = transformed(nonlinearity("leaky_relu", negative_slope=slope), by)
    assert second_moment(made) == pytest.approx(1, abs=1e-12)
    c = 0.0
    for _ in range(depth):
        c = float(correlation_map(made, c, 1.0, 1.0))
    if slope:
        assert c == pytest.approx(0.9, abs=1e-9)
    else:
        assert c < 0.9


def test_a_network_too_shallow_for_the_correlation_keeps_the_relu():
    slope, by = tat_leaky_relu(2)
    assert slope == 0
    assert by.output_scale == pytest.approx(np.sqrt(2))
    slope, by = dks_leaky_relu(1, slope=3.0)
    assert slope == 0
    made = transformed(nonlinearity("relu"), by)
    assert second_moment(made) == pytest.approx(1)
    assert slope_second_moment(made) == pytest.approx(1.4669422, abs=1e-7)  # the most of a ReLU


@pytest.mark.parametrize("network", [50, RESNET], ids=["chain", "resnet"])
@pytest.mark.parametrize("name", SMOOTH)
def test_dks_meets_its_four_conditions(name, network):
    phi = nonlinearity(name)
    made = transformed(phi, dks(phi, network, slope=1.5))
    assert second_moment(made) == pytest.approx(1, abs=1e-9)
    assert output_mean(made) == pytest.approx(0, abs=1e-9)
    assert variance_slope(made, 1.0, 1.0) == pytest.approx(1, abs=1e-8)
    psi = float(slope_second_moment(made))
    assert maximal(network, lambda x: psi * x, 1.0) == pytest.approx(1.5, abs=1e-7)


@pytest.mark.parametrize("network", [20, 50, RESNET], ids=["20", "50", "resnet"])
def test_dks_of_the_leaky_relu_meets_them_too(network):
    below, by = dks_leaky_relu(network, slope=1.5)
    made = transformed(nonlinearity("leaky_relu", negative_slope=below), by)
    assert 0 < below < 1
    assert (by.input_scale, by.input_shift) == (1, 0)
    assert second_moment(made) == pytest.approx(1, abs=1e-9)
    assert output_mean(made) == pytest.approx(0, abs=1e-9)
    assert variance_slope(made, 1.0, 1.0) == pytest.approx(1, abs=1e-8)
    psi = float(slope_second_moment(made))
    assert maximal(network, lambda x: psi * x, 1.0) == pytest.approx(1.5, abs=1e-7)


@pytest.mark.parametrize("name", SMOOTH)
def test_tat_meets_its_four_conditions(name):
    phi, depth = nonlinearity(name), 50
    made = transformed(phi, tat(phi, depth, curvature=0.3))
    assert second_moment(made) == pytest.approx(1, abs=1e-9)
    assert slope_second_moment(made) == pytest.approx(1, abs=1e-9)
    assert variance_slope(made, 1.0, 1.0) == pytest.approx(1, abs=1e-8)
    # C''(1), from the slope of the correlation map beside 1 and at 1.
    step = 1e-3
    near, nearer = (
        (1 - float(correlation_slope(made, 1 - h, 1.0, 1.0))) / h for h in (step, step / 2)
    )
    assert depth * (2 * nearer - near) == pytest.approx(0.3, rel=2e-3)


def test_the_curvature_of_elu_is_its_closed_form():
    """f'' = exp(u) below zero and 0 above, so that E f''^2 = E exp(2u) 1(u < 0)."""
    elu = nonlinearity("elu")
    by = tat(elu, 50)
    power = moment(
        elu, lambda u: np.where(u < 0, np.exp(2 * u), 0.0), by.input_scale**2, by.input_shift
    )
    found = 50 * by.output_scale**2 * by.input_scale**4 * float(power)
    assert found == pytest.approx(0.3, rel=1e-5)


def test_a_deep_chain_of_either_keeps_variance_gradient_and_differences():
    """200 layers of tanh at unit weight variance, where plain tanh loses all of them."""
    tanh = nonlinearity("tanh")
    made = transformed(tanh, dks(tanh, 200))
    q, c = 1.1, 0.3
    for _ in range(200):
        c = float(correlation_map(made, c, q, 1.0))
        q = float(second_moment(made, q))
    assert 0.9 < q < 1.3
    assert c < 0.5
    assert slope_second_moment(made) ** 200 == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize("solve", [dks, tat])
def test_rectifiers_and_hopeless_functions_are_refused(solve):
    with pytest.raises(ValueError, match="a leaky ReLU of theory"):
        solve(nonlinearity("relu"), 50)
    with pytest.raises(ValueError, match="hard_tanh"):
        solve(nonlinearity("hard_tanh"), 50)


def test_targets_that_no_network_has_are_refused():
    with pytest.raises(ValueError, match="above 1"):
        dks(nonlinearity("tanh"), 50, slope=1.0)
    with pytest.raises(ValueError, match="must be positive"):
        tat(nonlinearity("tanh"), 50, curvature=0.0)
    for correlation in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            tat_leaky_relu(50, correlation)
