"""Every row against adaptive quadrature, its own derivative and its known properties."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad_vec

from keras_initscope.theory.moments import output_mean, second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import ALIASES, NOT_ELEMENTWISE, TABLE, nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity

ROWS = [
    *(nonlinearity(name) for name in sorted(set(TABLE) - {"threshold"})),
    nonlinearity("threshold", threshold=0.3, default_value=-0.1),
    nonlinearity("relu", negative_slope=0.1, max_value=3.0, threshold=1.0),
    nonlinearity("elu", alpha=0.3),
    nonlinearity("celu", alpha=0.05),
    nonlinearity("squareplus", b=1e-3),
    nonlinearity("soft_shrink", threshold=2.0),
    nonlinearity("gelu", approximate=True),
    nonlinearity("prelu", negative_slope=0.25, variance=0.04),
    nonlinearity("rrelu", lower=0.0, upper=1.0),
]
INPUTS = [(0.0, 0.01), (0.0, 1.0), (0.7, 1.0), (-0.2, 30.0)]


def adaptively(phi, mean, variance):
    """Mean, second moment and second moment of the slope, by SciPy's adaptive quadrature."""
    deviation = np.sqrt(variance)

    def integrand(z):
        x = np.array([mean + deviation * z])
        spread = phi.spread(x) if phi.spread else np.zeros(1)
        slope_spread = phi.slope_spread(x) if phi.slope_spread else np.zeros(1)
        values = [phi.f(x), phi.f(x) ** 2 + spread, phi.df(x) ** 2 + slope_spread]
        return np.concatenate(values) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    reach = phi.reach
    corners = [(kink - mean) / deviation for kink in phi.kinks]
    ends = np.unique(np.clip([*np.arange(-reach, reach + 1), *corners], -reach, reach))
    pieces = [
        quad_vec(integrand, a, b, epsabs=1e-14, epsrel=1e-12, quadrature="gk15")[0]
        for a, b in pairwise(ends)
    ]
    return np.sum(pieces, axis=0)


@pytest.mark.parametrize("phi", ROWS, ids=lambda phi: phi.name)
@pytest.mark.parametrize(("mean", "variance"), INPUTS)
def test_moments_agree_with_adaptive_quadrature(phi, mean, variance):
    moments = [output_mean, second_moment, slope_second_moment]
    found = [float(moment(phi, variance, mean)) for moment in moments]
    np.testing.assert_allclose(found, adaptively(phi, mean, variance), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("phi", ROWS, ids=lambda phi: phi.name)
def test_the_derivative_is_that_of_the_function(phi):
    x, step = np.linspace(-9.03, 9.07, 2001), 1e-5
    away = np.min(np.abs(x[:, None] - np.array([*phi.kinks, 99.0])), axis=1) > 2 * step
    slope = (phi.f(x + step) - phi.f(x - step)) / (2 * step)
    np.testing.assert_allclose(phi.df(x)[away], slope[away], rtol=1e-7, atol=2e-8)


@pytest.mark.parametrize("phi", ROWS, ids=lambda phi: phi.name)
def test_values_and_slopes_stay_finite_far_out(phi):
    x = np.array([-1e4, -700.0, 700.0, 1e4]) / (20 if phi.name == "exponential" else 1)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite([phi.f(x), phi.df(x)]).all()


def test_a_row_is_made_once_and_named_after_its_unusual_parameters():
    assert nonlinearity("elu", alpha=1.0) is nonlinearity("elu")
    assert nonlinearity("elu", alpha=0.5).name == "elu(alpha=0.5)"
    assert nonlinearity("gelu", approximate=True).name == "gelu(approximate=True)"
    assert all(nonlinearity(alias) is nonlinearity(name) for alias, name in ALIASES.items())


@pytest.mark.parametrize("name", NOT_ELEMENTWISE)
def test_what_is_not_elementwise_says_so(name):
    with pytest.raises(ValueError, match=f"{name} is not elementwise"):
        nonlinearity(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"name='rleu'.*'relu'"):
        nonlinearity("rleu")


def test_parameters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"relu got parameters.*'slope'"):
        nonlinearity("relu", slope=0.1)
    with pytest.raises(ValueError, match=r"threshold has no default.*missing.*`lambda x: keras"):
        nonlinearity("threshold")


def test_scale_invariant_are_the_functions_straight_on_both_sides_of_zero():
    found = {phi.name for phi in ROWS if phi.is_scale_invariant}
    assert found == {
        "linear",
        "relu",
        "leaky_relu",
        "prelu",
        "prelu(negative_slope=0.25, variance=0.04)",
        "rrelu",
        "rrelu(lower=0, upper=1)",
    }


def test_continuous_are_all_but_those_with_a_threshold():
    jumping = {phi.name for phi in ROWS if not phi.is_continuous}
    assert jumping == {
        "hard_shrink",
        "threshold(threshold=0.3, default_value=-0.1)",
        "relu(negative_slope=0.1, max_value=3, threshold=1)",
    }


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("sigmoid", 1 / 4),
        ("hard_sigmoid", 1 / 6),
        ("tanh", 1.0),
        ("lecun_tanh", 1.7159 * 2 / 3),
        ("erf", 2 / np.sqrt(np.pi)),
        ("softplus", 1.0),
        ("squareplus", 1.0),
        ("selu", 1.0507009873554805 * 1.6732632423543772),
        ("hard_silu", 1.5),
        ("leaky_relu", 1.0),
        ("gelu", 1.1289041),
        ("silu", 1.0998393),
        ("mish", 1.0884981),
        ("exponential", np.inf),
    ],
)
def test_the_largest_slope(name, slope):
    assert nonlinearity(name).max_slope == pytest.approx(slope, rel=2e-6)


@pytest.mark.parametrize(
    ("name", "differentiable"),
    [("relu", False), ("elu", True), ("selu", False), ("softsign", True), ("tanh", True)],
)
def test_differentiable_at_zero(name, differentiable):
    assert nonlinearity(name).is_differentiable_at(0.0) is differentiable


def test_a_row_of_ones_own_needs_three_lines():
    square = Nonlinearity(name="square", f=lambda x: x * x, df=lambda x: 2 * x)
    assert float(second_moment(square)) == pytest.approx(3.0, rel=1e-13)
    assert square.max_slope == np.inf
    assert not square.is_scale_invariant
