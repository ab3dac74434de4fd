"""Fixed points: what theory says of each network, by name and by number."""

import numpy as np
import pytest

from keras_initscope.theory.fixedpoints import (
    Case,
    correlation_fixed_point,
    variance_fixed_point,
    variance_fixed_points,
)
from keras_initscope.theory.meanfield import chi_1, correlation_map, variance_map
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity


@pytest.mark.parametrize(
    ("name", "weight", "bias", "case"),
    [
        ("tanh", 1.76, 0.05, Case.STABLE),
        ("tanh", 1.0, 0.0, Case.MARGINAL),
        ("softsign", 1.0, 0.0, Case.MARGINAL),
        ("elu", 1.0, 0.0, Case.MARGINAL),
        ("tanh", 0.5, 0.0, Case.STABLE),
        ("relu", 2.0, 0.0, Case.SCALE_INVARIANT),
        ("leaky_relu", 2 / 1.04, 0.0, Case.SCALE_INVARIANT),
        ("relu", 2.0, 0.1, Case.DIVERGENT),
        ("relu", 2.1, 0.0, Case.DIVERGENT),
        ("relu", 1.0, 0.3, Case.STABLE),
        ("gelu", 4.0, 0.0, Case.DIVERGENT),
        ("gelu", 1.5, 0.1, Case.STABLE),
        ("softplus", 1.0, 0.0, Case.STABLE),
        ("softplus", 2.5, 0.0, Case.DIVERGENT),
        ("sigmoid", 103.0, 0.0, Case.STABLE),
        ("sin", 3.0, 0.0, Case.STABLE),
    ],
)
def test_cases_by_name(name, weight, bias, case):
    assert variance_fixed_point(nonlinearity(name), weight, bias).case is case


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_unit_forward_gain_is_unstable_for_the_gated_ones(name):
    phi = nonlinearity(name)
    point = variance_fixed_point(phi, 1 / float(second_moment(phi)))
    assert point.case is Case.UNSTABLE
    assert point.q == 1.0
    assert point.slope > 1.05


def test_silu_settles_or_diverges_with_the_start():
    phi = nonlinearity("silu")
    settled, turning = variance_fixed_points(phi, 2.8, 0.05)
    assert settled.q == pytest.approx(0.274976, abs=1e-6)
    assert (settled.case, turning.case) == (Case.STABLE, Case.UNSTABLE)
    below, above = 0.999 * turning.q, 1.001 * turning.q
    assert variance_fixed_point(phi, 2.8, 0.05, start=below).q == settled.q
    assert variance_fixed_point(phi, 2.8, 0.05, start=above).case is Case.DIVERGENT


def test_silu_without_a_fixed_point_diverges_from_anywhere():
    phi, q = nonlinearity("silu"), np.geomspace(1e-6, 1e4, 2000)
    assert np.all(variance_map(phi, q, 3.0, 0.05) > q)
    assert variance_fixed_points(phi, 3.0, 0.05) == ()


@pytest.mark.parametrize(
    ("name", "weight", "bias", "start"),
    [("tanh", 2.0, 0.1, 5.0), ("sigmoid", 12.8, 0.0, 1.0), ("gelu", 1.5, 0.1, 3.0)],
)
def test_the_fixed_point_is_where_iteration_ends(name, weight, bias, start):
    phi, q = nonlinearity(name), start
    for _ in range(200):
        q = float(variance_map(phi, q, weight, bias))
    assert variance_fixed_point(phi, weight, bias, start).q == pytest.approx(q, rel=1e-9)


def test_a_signal_coming_down_stops_at_the_first_fixed_point():
    phi = nonlinearity("sin")
    zero, upper = variance_fixed_points(phi, 3.0)
    assert (zero.q, zero.case, upper.case) == (0.0, Case.UNSTABLE, Case.STABLE)
    assert variance_fixed_point(phi, 3.0, start=5.0).q == upper.q


def test_a_straight_map_has_the_fixed_point_of_a_geometric_series():
    point = variance_fixed_point(nonlinearity("relu"), 1.2, 0.3)
    assert point.q == pytest.approx(0.3 / (1 - 0.6), rel=1e-12)
    assert point.slope == pytest.approx(0.6, rel=1e-12)


def test_a_tiny_bias_settles_far_below_the_grid():
    point = variance_fixed_point(nonlinearity("tanh"), 0.5, 1e-14)
    assert point.q == pytest.approx(2e-14, rel=0.6)


def test_all_fixed_points_of_a_scale_invariant_one_are_refused():
    with pytest.raises(ValueError, match="relu is scale-invariant"):
        variance_fixed_points(nonlinearity("relu"), 2.0)


def test_ordered_networks_make_all_examples_one():
    assert correlation_fixed_point(nonlinearity("tanh"), 0.36488, 1.4, 0.05) == 1.0


@pytest.mark.parametrize(("weight", "bias"), [(4.0, 0.05), (2.0, 0.05), (1.9, 0.01), (20.0, 0.3)])
def test_chaotic_networks_make_all_examples_alike_in_part(weight, bias):
    phi = nonlinearity("tanh")
    q = variance_fixed_point(phi, weight, bias).q
    assert float(chi_1(phi, q, weight)) > 1
    found = correlation_fixed_point(phi, q, weight, bias)
    assert 0 < found < 1
    assert correlation_map(phi, found, q, weight, bias) == pytest.approx(found, abs=1e-10)
    assert correlation_map(phi, found + 1e-3, q, weight, bias) < found + 1e-3


def test_an_odd_one_without_bias_makes_them_orthogonal():
    q = variance_fixed_point(nonlinearity("tanh"), 3.0).q
    assert correlation_fixed_point(nonlinearity("tanh"), q, 3.0) == 0.0


def test_curve_length_grows_as_in_poole_2016():  # weights of deviation 2, biases of deviation .3
    phi = nonlinearity("tanh")
    q = variance_fixed_point(phi, 4.0, 0.09).q
    assert float(np.sqrt(chi_1(phi, q, 4.0))) == pytest.approx(1.152, abs=1e-3)
