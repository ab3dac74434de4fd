"""The numbers that presets of symptoms claim are those of theory, and their claims can fail."""

from math import acos, exp, log, pi, sqrt

import keras
import numpy as np
import pytest
from scipy.stats import norm, poisson

from keras_initscope import presets
from keras_initscope.presets import (
    covariate_shift,
    deep_relu,
    glorot_2010,
    rectifiers_2015,
    residual_growth,
    saturation,
    sigmoid_product,
    sparse_relu,
    zigzag,
)
from keras_initscope.presets.sources import MNIST1D

_Z = np.linspace(-12, 12, 400_001)
_WEIGHTS = norm.pdf(_Z)


def _mean(values):
    return float(np.average(values, weights=_WEIGHTS))


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("variance", [0.5, 4.0, 576.0])
def test_saturation_is_that_of_a_gaussian(variance):
    h = _sigmoid(sqrt(variance) * _Z)
    assert saturation.share_outside(variance) == pytest.approx(
        _mean(np.abs(h - 0.5) > 0.49), rel=1e-3, abs=1e-9
    )
    assert saturation.slope(variance) == pytest.approx(_mean(4 * h * (1 - h)), rel=1e-4)
    assert saturation.slope(1e6) == pytest.approx(4 * norm.pdf(0) / 1e3, rel=1e-3)


def test_the_second_layer_follows_from_the_first():
    deviation = 2.0
    _, second = saturation.variances(deviation)
    square = _mean(_sigmoid(deviation * _Z) ** 2)
    assert second == pytest.approx(512 * deviation**2 / 64 * square, rel=1e-6)


def test_the_product_of_uniforms_is_a_gamma_variable():
    """Which is below x when a Poisson process of rate 1 has come to 50 by then."""
    x = 18 * log(10)
    assert sigmoid_product.share_above(1e-18) == pytest.approx(poisson.sf(49, x), rel=1e-9)
    assert sigmoid_product.share_above(sigmoid_product.quantile(0.5)) == pytest.approx(0.5)
    assert sigmoid_product.quantile(0.3, 1) == pytest.approx(0.3)
    logs = sigmoid_product._logarithms(20_000, 0)[1]
    assert np.mean(logs) == pytest.approx(-2, abs=4 * sqrt(2 / 20_000))


def test_of_two_uniforms_the_product_is_below_p_with_probability_p_less_p_log_p():
    p = exp(-2.0)
    assert 1 - sigmoid_product.share_above(p, 2) == pytest.approx(p - p * log(p))


def test_the_backward_ratios_of_glorot_2010_are_those_of_theory():
    for start, ratio in glorot_2010._BACKWARD.items():
        assert glorot_2010.gradients(start)[0] == pytest.approx(ratio, rel=5e-4)
    q = 1 / 3
    last = glorot_2010.gradients("standard")
    slope = _mean(np.cosh(sqrt(q) * _Z) ** -4)
    assert last[0] / last[1] == pytest.approx(slope / 3, rel=1e-6)


def test_batch_normalization_multiplies_the_gradient_as_claimed():
    for activation, factor in covariate_shift._GROWTH.items():
        assert covariate_shift.growth(activation) == pytest.approx(factor, rel=1e-4)
    assert covariate_shift.growth("relu") == pytest.approx(0.5 / (0.5 - 0.5 / pi))


def test_kappa_is_as_claimed():
    for phi, value in zigzag.ACTIVATIONS.values():
        assert zigzag.kappa(phi) == pytest.approx(value, rel=5e-3)
    share = 1 / (2 * pi) / (0.5 - 0.5 / pi)
    assert zigzag.kappa(zigzag.ACTIVATIONS["relu"][0]) == pytest.approx(1 + 100 * share)


def test_kappa_is_measured_along_and_across_the_mean():
    moment = 0.5 * np.eye(100) + 0.2
    assert zigzag._kappa(moment) == pytest.approx((0.5 + 100 * 0.2) / 0.5)
    path = zigzag._descent(moment)
    along, across = path[1].mean() / path[0].mean(), np.ptp(path[1]) / np.ptp(path[0])
    assert along == pytest.approx(-across)  # the best learning rate


def test_residual_sums_grow_as_claimed():
    growth = {name: each.growth(10) for name, each in residual_growth.SUMS.items()}
    assert list(growth.values()) == pytest.approx([1024, 1, 2.5937], rel=1e-4)


def test_cosines_are_those_of_the_closed_form():
    c, found = 0.0, []
    for _ in range(50):
        c = (sqrt(1 - c * c) + c * (pi - acos(c))) / pi
        found.append(c)
    theory = deep_relu.cosines(deep_relu.NETWORKS[deep_relu.RELU])
    np.testing.assert_allclose(theory, found, atol=1e-9)
    for layer, value in deep_relu._COSINES.items():
        assert found[layer - 1] == pytest.approx(value, abs=1e-8)


def test_a_layer_of_the_sparse_presets_has_the_preactivations_it_claims():
    layer = sparse_relu._layer(-1.0, 0).layers[0]
    x = sparse_relu._inputs(0)
    z = x @ np.asarray(layer.kernel) + np.asarray(layer.bias)
    assert z.mean() == pytest.approx(-1, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)
    both = sparse_relu._layer(-1.0, 0, head=True)
    assert np.asarray(both(x)).var() == pytest.approx(1, rel=0.5)


def test_each_rectifier_has_the_slope_of_its_name():
    below = {
        name: float(np.asarray(make(0)(np.array([[-1.0]], "float32")))[0, 0])
        for name, make in rectifiers_2015.ACTIVATIONS.items()
    }
    expected = (0, exp(-1) - 1, -0.01, -1 / 5.5, -0.25, -11 / 48, -0.5)
    assert list(below.values()) == pytest.approx(expected, rel=1e-5)


def test_the_rectifiers_have_a_row_each(tmp_path, monkeypatch):
    monkeypatch.setattr(rectifiers_2015, "findings", lambda *data: "-")
    monkeypatch.setattr(rectifiers_2015, "DEPTH", 1)
    result = presets.run("elu-2015", tmp_path, seed=1, steps=60, seeds=1)
    assert [row["activation"] for row in result.rows] == ["relu", "elu"]
    assert all(0 < row["train"] < 1 and row["offset"] > 0 for row in result.rows)
    assert [path.name for path in result.files] == ["table.csv", "rectifiers.png"]


def test_the_accuracies_of_the_rectifiers_are_means_over_the_last_third(monkeypatch):
    """Of 150 steps they are looked at after 100 and after 150, the last one."""
    shares = iter([0.25, 0.5, 0.75, 1.0])
    monkeypatch.setattr(rectifiers_2015, "accuracy", lambda *what: next(shares))
    monkeypatch.setattr(rectifiers_2015, "DEPTH", 1)
    trained = rectifiers_2015._trained("relu", MNIST1D, 0, 150)
    assert (trained.train, trained.test) == (0.5, 0.75)
    assert len(trained.losses) == 6, "one for 25 steps"
    assert next(shares, None) is None


def test_normalization_stands_between_a_layer_and_its_activation():
    kinds = [
        [type(layer) for layer in covariate_shift._network("relu", (4, 5), 0, normalized=n).layers]
        for n in (False, True)
    ]
    dense, normalization, activation = (
        keras.layers.Dense,
        keras.layers.BatchNormalization,
        keras.layers.Activation,
    )
    assert kinds == [[dense, activation], [dense, normalization, activation]]


@pytest.mark.parametrize(
    ("name", "column", "key", "networks", "values", "shift"),
    [
        ("residual-growth", "growth", "sum", residual_growth.SUMS, (1024.0, 1.0, 2.594), 1),
        ("xavier-relu", "signal_slope", "initializer", deep_relu.INITIALIZERS, (-1.0, 0.0), 1),
        (
            "zigzag",
            "kappa",
            "activation",
            zigzag.ACTIVATIONS,
            [value for _, value in zigzag.ACTIVATIONS.values()],
            2,  # ReLU and the leaky one with a slope of .01 are too close to be told apart
        ),
    ],
)
def test_claims_hold_for_their_own_network_alone(name, column, key, networks, values, shift):
    claims = presets.get(name).expects[: len(values)]
    moved = [*values[shift:], *values[:shift]]
    for numbers, met in ((values, True), (moved, False)):
        rows = [{key: each, column: value} for each, value in zip(networks, numbers, strict=True)]
        assert {claim.check(rows).met for claim in claims} == {met}
