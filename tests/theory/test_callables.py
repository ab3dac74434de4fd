"""Functions that nobody has described: what is found of them, and what is refused."""

import numpy as np
import pytest

from keras_initscope.theory.callables import from_callable
from keras_initscope.theory.kinks import find_kinks
from keras_initscope.theory.moments import second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import TABLE, nonlinearity

NAMES = sorted(set(TABLE) - {"threshold", "rrelu"})


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_found_again_from_its_function_alone(name):
    known = nonlinearity(name)
    found = from_callable(known.f, name)
    for moment in (second_moment, slope_second_moment):
        for variance in (0.01, 1.0, 100.0):
            exact = float(moment(known, variance))
            assert float(moment(found, variance)) == pytest.approx(exact, rel=1e-10, abs=1e-15)
    assert found.error < 1e-10
    assert found.is_scale_invariant == known.is_scale_invariant
    assert found.is_continuous == known.is_continuous
    assert found.is_differentiable_at(0.0) == known.is_differentiable_at(0.0)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_told_and_kept(name):
    known = nonlinearity(name)
    found = from_callable(lambda x: known.f(x.astype(np.float32)).astype(np.float32), name)
    assert 1e-6 < found.error < 1e-3
    for moment in (second_moment, slope_second_moment):
        assert float(moment(found)) == pytest.approx(float(moment(known)), rel=found.error)


def test_a_given_derivative_is_used():
    found = from_callable(np.tanh, derivative=lambda x: 1 - np.tanh(x) ** 2)
    exact = float(slope_second_moment(nonlinearity("tanh")))
    assert float(slope_second_moment(found)) == pytest.approx(exact, rel=1e-14)


def test_kinks_anywhere_are_found():
    corners = [-40.1, -1.0, 0.0, 1 / 3, 6.0, 77.7]
    found, _ = find_kinks(lambda x: sum(np.abs(x - corner) for corner in corners))
    np.testing.assert_allclose(found, corners, atol=1e-9)


def test_jumps_are_found_to_the_last_digit():
    found, _ = find_kinks(lambda x: np.where(x > np.pi, 1.0, np.cos(x)))
    np.testing.assert_allclose(found, [np.pi], atol=1e-12)


def test_a_smooth_function_has_no_kinks():
    assert find_kinks(np.tanh)[0] == ()
    assert find_kinks(lambda x: np.sin(10 * x))[0] == ()


def test_a_fast_sine_is_resolved_by_narrow_panels():
    found = from_callable(lambda x: np.sin(10 * x), "fast")
    assert found.width < 1
    exact = (1 - np.exp(-2 * 100 * 4.0)) / 2
    assert float(second_moment(found, 4.0)) == pytest.approx(exact, rel=1e-9)


def test_an_exponential_gets_a_long_reach():
    found = from_callable(lambda x: np.exp(x))
    assert float(second_moment(found, 25.0)) == pytest.approx(np.exp(50.0), rel=1e-10)


def test_a_singular_derivative_is_certain_to_the_error_that_is_stated():
    found = from_callable(lambda x: np.abs(x) ** 1.5, "power")
    assert 1e-9 < found.error < 1e-4
    exact = 1.5**2 * np.sqrt(2 / np.pi)  # E |z|
    assert float(slope_second_moment(found)) == pytest.approx(exact, rel=found.error)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.exp(x) / np.exp(x).sum(), "its values depend on each other"),
        (lambda x: x[::2], r"not elementwise.*shape \(17,\)"),
        (lambda x: x > 0, "dtype bool"),
        (lambda x: x + np.random.default_rng().normal(size=x.shape), "is random"),
        (lambda x: np.sqrt(x), "not finite at x"),
        (lambda x: np.sqrt(np.abs(x)), "certain to"),
        (lambda x: np.round(x * 8) / 8, "too rough"),
    ],
    ids=["softmax", "strided", "boolean", "random", "sqrt", "infinite slope", "quantized"],
)
def test_what_cannot_be_integrated_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        from_callable(function, "it")


def test_a_function_is_looked_at_as_densely_as_is_said():
    """At points at most .03 apart; a narrower spike between them is invisible."""
    seen = []

    def watched(x):
        seen.append(x.ravel())
        return np.tanh(x)

    from_callable(watched)
    points = np.unique(np.concatenate(seen))
    assert np.diff(points[np.abs(points) < 120]).max() <= 0.03
