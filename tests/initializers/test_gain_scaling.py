"""Variances that suit an activation, a critical point or a number of residual branches."""

import keras
import numpy as np
import pytest
from initializers.reading import numbers

import keras_initscope as initscope
from keras_initscope.initializers import (
    Critical,
    CriticalBias,
    Fixup,
    GainScaling,
    Kumar,
    ResidualScaling,
)

SHAPE = (300, 200)


FANS = {"fan_in": 300, "fan_out": 200, "fan_avg": 250, "fan_geo_avg": np.sqrt(300 * 200)}
GAINS = {"fan_in": "forward", "fan_out": "backward", "fan_avg": "average",
         "fan_geo_avg": "geometric"}  # fmt: skip
KURTOSIS = {"truncated_normal": 2.37, "untruncated_normal": 3.0, "uniform": 1.8}


@pytest.mark.parametrize("distribution", KURTOSIS)
@pytest.mark.parametrize("mode", FANS)
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", None])
def test_gain_scaling_has_the_squared_gain_over_the_fan(activation, mode, distribution):
    values = numbers(GainScaling(activation, mode, distribution, seed=1)(SHAPE))
    expected = initscope.gain(activation, GAINS[mode]) ** 2 / FANS[mode]
    error = np.sqrt((KURTOSIS[distribution] - 1) / values.size)
    assert np.mean(values**2) / expected == pytest.approx(1, abs=4 * error)


def test_for_relu_it_is_he_and_for_no_activation_it_is_lecun():
    for activation, keras_own in (("relu", "HeNormal"), (None, "LecunNormal")):
        theirs = getattr(keras.initializers, keras_own)(seed=2)(SHAPE)
        np.testing.assert_allclose(GainScaling(activation, seed=2)(SHAPE), theirs, rtol=1e-6)


@pytest.mark.parametrize("activation", [keras.layers.LeakyReLU(0.3), keras.activations.gelu])
def test_layers_and_functions_are_taken_and_saved(activation):
    original = GainScaling(activation, seed=3)
    config = keras.saving.serialize_keras_object(original)
    copy = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(copy(SHAPE), original(SHAPE))


def test_what_theory_alone_knows_cannot_be_saved_and_says_so():
    initializer = GainScaling(initscope.layers.RReLU().nonlinearity)
    with pytest.raises(ValueError, match=r"cannot be saved\. Expected the name"):
        initializer.get_config()


@pytest.mark.parametrize("mode", ["fan", "FAN_IN"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ValueError, match="Expected `mode` to be one of"):
        GainScaling("relu", mode)


def test_kumar_is_exact_for_the_sigmoid():
    assert Kumar("sigmoid").scale == pytest.approx(12.8, rel=1e-12)
    assert Kumar("tanh").scale == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("activation", "why"), [("relu", "kink"), ("hard_shrink", "f'")])
def test_kumar_refuses_what_its_premise_does_not_cover(activation, why):
    with pytest.raises(ValueError, match=why):
        Kumar(activation)


@pytest.mark.parametrize("bias_variance", [0.0, 0.05, None])
def test_critical_weights_have_chi_one_at_the_fixed_point(bias_variance):
    weight = Critical("tanh", bias_variance).scale
    bias = CriticalBias("tanh", bias_variance).stddev ** 2
    found = initscope.criticality("tanh", bias_variance=bias, weight_variance=weight)
    assert found.chi_1 == pytest.approx(1, abs=1e-6)


def test_where_nothing_is_critical_both_say_what_helps():
    for kind in (Critical, CriticalBias):
        with pytest.raises(ValueError, match="no critical weight variance"):
            kind("relu", bias_variance=0.1)


def test_residual_branches_share_one_unit_of_growth():
    """50 branches of a linear network: (1 + 1/L)^L instead of 2^L, in expectation."""
    rng, branches, width = np.random.default_rng(0), 50, 64
    initializer = ResidualScaling(branches, seed=keras.random.SeedGenerator(0))
    found = []
    for _ in range(20):
        x = rng.normal(size=(32, width))
        for _ in range(branches):
            x = x + x @ numbers(initializer((width, width)))
        found.append(np.mean(x**2))
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx((1 + 1 / branches) ** branches, abs=4 * error)


@pytest.mark.parametrize(("layers", "power"), [(2, 1), (3, 1 / 2), (5, 1 / 4)])
def test_fixup_divides_by_the_depth_to_the_power_of_the_paper(layers, power):
    assert Fixup(16, layers).scale == pytest.approx(2 * 16**-power)
    with pytest.raises(ValueError, match="the last one: use 'zeros'"):
        Fixup(16, 1)
