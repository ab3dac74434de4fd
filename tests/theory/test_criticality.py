"""The critical line and the record that describes a network on it or beside it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initscope.theory.criticality import criticality
from keras_initscope.theory.fixedpoints import Case
from keras_initscope.theory.lines import critical_line, critical_variances, most_stable_point
from keras_initscope.theory.meanfield import chi_1, variance_map
from keras_initscope.theory.nonlinearities import nonlinearity

GATED = ["gelu", "silu", "mish"]


def test_the_line_of_erf_has_its_closed_form():
    q = np.array([0.01, 1.0, 30.0])
    weight = np.pi / 4 * np.sqrt(1 + 4 * q)
    bias = q - weight * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
    line = critical_line(nonlinearity("erf"), q)
    np.testing.assert_allclose(line.weight_variance, weight, rtol=1e-12)
    np.testing.assert_allclose(line.bias_variance, bias, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(line.variance_slope, 1 / (1 + 2 * q), rtol=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["tanh", "gelu", "elu", "hard_silu", "sin"]), st.floats(0.01, 50))
def test_every_point_of_the_line_is_fixed_and_critical(name, q):
    phi, line = nonlinearity(name), critical_line(nonlinearity(name), q)
    assert chi_1(phi, q, line.weight_variance) == pytest.approx(1, rel=1e-12)
    at_q = variance_map(phi, q, line.weight_variance, line.bias_variance)
    assert at_q == pytest.approx(q, rel=1e-11)


def test_gelu_at_q_10():
    line = critical_line(nonlinearity("gelu"), 10.0)
    assert line.weight_variance == pytest.approx(1.956, abs=5e-4)
    assert line.bias_variance == pytest.approx(0.323, abs=5e-4)
    assert line.variance_slope == pytest.approx(0.982, abs=5e-4)


def test_sigmoid_is_critical_without_bias_only_near_103():
    found = criticality(nonlinearity("sigmoid"))
    assert found.critical_weight_variance == pytest.approx(103.0, abs=0.05)
    assert found.bias_variance == 0.0
    assert found.case is Case.STABLE
    assert critical_variances(nonlinearity("sigmoid"), 0.0) == [found.q]


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "squareplus", "sparse_plus"])
@pytest.mark.parametrize("bias", [None, 0.0, 0.2])
def test_no_critical_point(name, bias):
    found = criticality(nonlinearity(name), bias)
    assert found.case is Case.NO_CRITICAL_POINT
    assert np.isnan(found.critical_weight_variance)
    assert "normalization" in found.advice


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("bias", [None, 0.0, 0.01, 0.05])
def test_the_gated_ones_are_unstable_at_their_usual_critical_points(name, bias):
    found = criticality(nonlinearity(name), bias)
    assert found.case is Case.UNSTABLE
    assert not found.is_stable
    assert np.isnan(found.trainable_depth)
    assert "the stable critical point" in found.advice
    assert "warning, unstable" in str(found)


@pytest.mark.parametrize("name", GATED)
def test_the_advice_of_the_gated_ones_is_stable(name):
    point = most_stable_point(nonlinearity(name))
    found = criticality(nonlinearity(name), float(point.bias_variance))
    assert found.case is Case.STABLE
    assert found.critical_weight_variance == pytest.approx(float(point.weight_variance), rel=1e-9)


def test_the_advice_is_never_a_negative_bias_variance():
    gelu = nonlinearity("gelu")
    lowered = replace(gelu, name="lowered", f=lambda x: gelu.f(x) - 0.5)
    flattest = critical_line(lowered, 0.1)
    assert abs(flattest.variance_slope) < most_stable_point(lowered).variance_slope
    assert flattest.bias_variance < 0 <= most_stable_point(lowered).bias_variance


def test_tanh_without_bias_is_marginal():
    found = criticality(nonlinearity("tanh"), 0.0)
    assert (found.case, found.q) == (Case.MARGINAL, 0.0)
    assert found.critical_weight_variance == pytest.approx(1.0, rel=1e-12)
    assert found.is_stable


def test_tanh_at_the_bias_of_schoenholz_2017():
    found = criticality(nonlinearity("tanh"), 0.05)
    assert found.critical_weight_variance == pytest.approx(1.76, abs=2e-3)
    assert found.chi_1 == pytest.approx(1.0, abs=1e-9)
    assert (found.c, found.xi_c, found.trainable_depth) == (1.0, np.inf, np.inf)


def test_beside_the_line_signal_survives_six_correlation_lengths():
    ordered = criticality(nonlinearity("tanh"), 0.05, 1.4)
    assert ordered.chi_1 < 1
    assert ordered.xi_c == pytest.approx(-1 / np.log(ordered.chi_1), rel=1e-12)
    assert ordered.trainable_depth == pytest.approx(6 * ordered.xi_c, rel=1e-12)
    assert "vanish" in ordered.advice
    chaotic = criticality(nonlinearity("tanh"), 0.05, 4.0)
    assert chaotic.chi_1 > 1 > chaotic.c
    assert "explode" in chaotic.advice
    assert "1.761" in chaotic.advice


@pytest.mark.parametrize(
    ("name", "weight"), [("relu", 2.0), ("leaky_relu", 2 / 1.04), ("linear", 1.0)]
)
def test_scale_invariant_ones_have_a_critical_point_and_no_line(name, weight):
    found = criticality(nonlinearity(name))
    assert found.case is Case.SCALE_INVARIANT
    assert found.critical_weight_variance == pytest.approx(weight, rel=1e-12)
    with_bias = criticality(nonlinearity(name), 0.1)
    assert with_bias.case is Case.NO_CRITICAL_POINT
    assert "one point" in with_bias.advice


def test_a_jump_is_called_discontinuous():
    found = criticality(nonlinearity("hard_shrink"))
    assert found.case is Case.DISCONTINUOUS
    assert "soft_shrink" in found.advice


def test_divergence_has_no_numbers():
    found = criticality(nonlinearity("gelu"), 0.0, 3.0)
    assert (found.case, found.q) == (Case.DIVERGENT, np.inf)
    assert np.isnan([found.chi_1, found.c, found.xi_c, found.trainable_depth]).all()
    assert "nan" not in str(found)


def test_the_start_decides_where_two_fates_exist():
    silu = nonlinearity("silu")
    assert criticality(silu, 0.05, 2.8, start=0.3).case is Case.STABLE
    assert criticality(silu, 0.05, 2.8, start=1.0).case is Case.DIVERGENT


def test_random_slopes_make_an_example_unlike_itself_and_learnt_ones_do_not():
    drawn = criticality(nonlinearity("rrelu"))
    learnt = criticality(nonlinearity("prelu", negative_slope=11 / 48, variance=(5 / 24) ** 2 / 12))
    assert drawn.critical_weight_variance == pytest.approx(learnt.critical_weight_variance)
    assert 0.9 < drawn.c < 1.0
    assert drawn.xi_c < np.inf
    assert (learnt.c, learnt.xi_c) == (1.0, np.inf)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, "1"])
def test_what_is_no_variance_is_refused(bad):
    with pytest.raises(ValueError, match=r"finite and not negative.*bias_variance="):
        criticality(nonlinearity("tanh"), bad)


def test_critical_points_of_large_variances_are_found():
    found = criticality(nonlinearity("gelu"), 30.0)
    assert 1e4 < found.q < 1e6
    assert found.chi_1 == pytest.approx(1)
    assert "none up to q* = 1e+06" in criticality(nonlinearity("softplus"), 0.0).advice


def test_the_record_reads():
    lines = str(criticality(nonlinearity("gelu"))).splitlines()
    assert lines[0] == "gelu: warning, unstable"
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["weight", "variance"],
        ["critical", "2.1937"],
        ["bias", "variance"],
    ]
    assert lines[-1].startswith("A deviation from q* grows e-fold in 15.4 layers")


def test_a_fixed_point_that_is_left_on_one_side_is_no_growth_by_a_factor():
    """soft_shrink at q* = 1: its variance map touches the diagonal from above."""
    phi = nonlinearity("soft_shrink")
    found = criticality(phi)
    assert found.variance_slope == pytest.approx(1.0, abs=1e-12)
    for q in (0.9, 1.1):
        assert variance_map(phi, q, found.weight_variance, found.bias_variance) > q
    assert "1-fold" not in str(found)
    assert "slope at q* is 1 and the variance leaves q* upwards" in found.advice


def test_a_scale_far_above_the_signal_leaves_the_variance_where_it_is():
    """relu6 at q* = 1 is cut at six standard deviations."""
    found = criticality(nonlinearity("relu6"))
    assert (found.case, found.q) == (Case.MARGINAL, pytest.approx(1.0))
    assert "stays close to where the input puts it" in found.advice
    assert "1 / L" not in found.advice


def test_infinite_depths_are_put_into_words():
    lines = {line.split()[0]: line for line in str(criticality(nonlinearity("relu"))).splitlines()}
    assert lines["xi_c"].endswith("no limit in depth")
    assert lines["dV"].endswith("a small deviation stays")
    assert "inf layers" not in "".join(lines.values())
