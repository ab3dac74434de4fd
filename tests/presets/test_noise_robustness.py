"""Noise on the inputs: theory against closed forms, what is measured against theory, the claims."""

from functools import partial
from math import asin, erf, exp, pi, sqrt

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import noise_robustness as module
from keras_initscope.presets import noisy_networks as networks

PRESET = "noise-robustness"


def _relu_map(c):
    """Of the correlation, by the arc-cosine kernel (Cho & Saul, 2009)."""
    return (sqrt(1 - c * c) + c * (pi - np.arccos(c))) / pi


def test_relu_lets_noise_in_as_the_arc_cosine_kernel_says():
    same, other = 1 - networks.NOISE, 0.0
    for power, share in networks.deep_theory(networks.DEEP["relu"], 30):
        same, other = _relu_map(same), _relu_map(other)
        assert power == pytest.approx(1 - same, rel=1e-9)
        assert share == pytest.approx((1 - same) / (1 - other), rel=1e-9)


def test_units_of_the_error_function_let_it_in_as_the_arc_sine_kernel_says():
    """E erf(x) erf(y) = 2/pi asin(2 k / (1 + 2 q)) (Williams, 1997); here in chaos."""
    scale = keras.initializers.VarianceScaling
    case = networks.Deep("erf", partial(scale, 9.0, "fan_in", "untruncated_normal"), 0.05)
    state = np.array([1.0, 1 - networks.NOISE, 0.0])
    for power, share in networks.deep_theory(case, 8):
        q, *crossed = 9.0 * state + 0.05
        state = np.array([2 / pi * asin(2 * each / (1 + 2 * q)) for each in (q, *crossed)])
        assert power == pytest.approx(1 - state[1] / state[0], rel=1e-9)
        assert share == pytest.approx((state[0] - state[1]) / (state[0] - state[2]), rel=1e-9)


def test_linear_layers_leave_noise_and_signal_as_they_are():
    np.testing.assert_allclose(networks.deep_theory(networks.DEEP["linear"]), networks.NOISE)


@pytest.mark.parametrize("name", networks.DEEP)
def test_the_share_of_the_noise_never_falls(name):
    """The correlation map is convex on [0, 1]."""
    shares = [networks.NOISE, *networks.deep_theory(networks.DEEP[name])[:, 1]]
    # Sigmoid's noise of 5e-6 is a difference of numbers of 1, whose last digit is 2e-16.
    assert np.all(np.diff(shares) >= -1e-9)


def test_noise_grows_beyond_the_edge_of_chaos_and_dies_before_it():
    noise = {name: networks.deep_theory(case)[:, 0] for name, case in networks.DEEP.items()}
    assert np.all(np.diff(noise["tanh, sw = 3"]) > 0)
    assert np.all(np.diff(noise["tanh, sw = 1"]) < 0)
    # At the fixed point it dies by chi_1 = .3538.
    assert noise["sigmoid"][-1] / noise["sigmoid"][-2] == pytest.approx(0.3538, rel=1e-3)


@pytest.mark.parametrize("name", networks.DEEP)
def test_what_the_claims_say_of_theory_is_so(name):
    theory = networks.deep_theory(networks.DEEP[name])
    assert module.SHARES[name] == pytest.approx(tuple(theory[[0, -1], 1]), rel=5e-4)
    if name in module.ENDS:
        assert module.ENDS[name][0] == pytest.approx(theory[-1, 0], rel=5e-4)


def test_a_rectifier_halves_the_signal_of_two_states_and_passes_the_noise_of_one():
    """Moments of max(0, N(m, 1)), by the normal distribution alone."""
    on, density = (1 + erf(networks.STATE / sqrt(2))) / 2, exp(-2.0) / sqrt(2 * pi)
    mean, square = networks.STATE * on + density, 5 * on + 2 * density
    lower, lower_square = mean - networks.STATE, 5 - square  # x = max(0, x) - max(0, -x)
    variance = (square - mean**2 + lower_square - lower**2) / 2
    expected = variance / ((mean - lower) / 2) ** 2 * networks.STATE**2
    assert networks.states_theory("relu") == pytest.approx(expected, rel=1e-9)
    assert networks.states_theory("linear") == pytest.approx(1, rel=1e-9)


def test_saturation_shields_a_unit_of_two_states_and_elu_does_not():
    found = {name: networks.states_measured(name, 3) for name in module.READERS}
    # Of 10 seeds the standard deviation is .01.
    for name, value in found.items():
        assert value == pytest.approx(networks.states_theory(name), rel=0.05)
    assert found["tanh"] < found["sigmoid"] < found["linear"] < found["elu"] < found["relu"]


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_a_mean_of_units_keeps_the_noise_that_they_share(rho):
    found = np.mean([networks.mean_measured(rho, seed) for seed in range(4)], axis=0)
    expected = [rho + (1 - rho) / count for count in networks.COUNTS]
    # The square of 512 shared weights, and of 1000 examples, scatters by sqrt(2 / 512 + 2 / 1000).
    np.testing.assert_allclose(found, expected, rtol=4 * sqrt((2 / 512 + 2 / 1000) / 4))


def test_a_drawn_network_follows_theory(monkeypatch):
    monkeypatch.setattr(networks, "DEPTH", 3)
    case = networks.DEEP["tanh, sw = 3"]
    found = networks.deep_measured(case, seed=5)
    # One network of 512 units scatters by .015 in the first layer and the tenth.
    np.testing.assert_allclose(found, networks.deep_theory(case, 3), rtol=0.06)


def test_networks_that_are_trained_start_with_weights_of_their_size():
    plain, large = (networks._drawn(name, 2) for name in ("tanh", "tanh, sw = 3"))
    np.testing.assert_allclose(large[1].first[0], 3 * plain[1].first[0], rtol=1e-6)
    assert not np.array_equal(plain[0].first[0], plain[1].first[0])
    trial = networks.trained_network("tanh", steps=7, seed=2)
    np.testing.assert_array_equal(trial.model.get_weights()[0], plain[0].first[0])
    assert (trial.steps, trial.batch) == (7, 64)


def test_the_claims_tell_a_network_that_shields_from_one_that_does_not():
    claims = presets.get(PRESET).expects
    growth = next(claim for claim in claims if claim.claim.startswith("factor"))
    shares = [
        {"what": module._SHARE, "who": name, "at": layer, "measured": value}
        for name, ends in module.SHARES.items()
        for layer, value in zip((1, networks.DEPTH), ends, strict=True)
    ]
    assert growth.check(shares).measured == pytest.approx(0.1594 / 0.1374, rel=1e-3)
    shielded = [dict(row) for row in shares]
    shielded[-1]["measured"] = 0.9 * shielded[-2]["measured"]
    assert not growth.check(shielded).met


@pytest.mark.parametrize(("tanh", "met"), [(0.85, True), (0.865, True), (0.87, False)])
def test_a_tanh_network_that_is_better_than_relu_overturns_the_claim(tanh, met):
    claim = presets.get(PRESET).expects[-2]
    rows = [
        {"what": module._ACCURACY, "who": who, "at": 1.0, "measured": value}
        for who, value in (("relu", 0.862), ("tanh", tanh))
    ]
    assert claim.check(rows).met is met


@pytest.mark.slow
def test_the_claims_hold_with_another_seed():
    result = presets.run(PRESET, seed=1, quick=True)
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
