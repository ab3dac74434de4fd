"""Any elementwise NumPy function as a row: its kinks found, its slope by differences.

Owns the search for what the quadrature must know of a function that nobody has described.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_initscope.theory.gaussian import REACH, Array, Function
from keras_initscope.theory.kinks import RANGE, evaluated, find_kinks
from keras_initscope.theory.moments import moment, power
from keras_initscope.theory.nonlinearity import Nonlinearity

_TESTED = np.array([0.01, 1.0, 100.0])  # the variances at which the error is stated
_LONG_REACH = 32.0  # for functions that grow like exp, as in the row of `exponential`
_WORST = 1e-2  # an error beyond this is no knowledge
_STEP = np.array([1, 2, 3, 4, -1, -2, -3, -4.0])
_DIFFERENCE = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])  # central, of order 8 (Fornberg, 1988)


def from_callable(
    function: Function, name: str | None = None, *, derivative: Function | None = None
) -> Nonlinearity:
    """The row of an elementwise function.

    Intervals of the line are halved until a polynomial through 12 points meets the function in
    between; what is still rough on a scale of 1e-3 (.04 in single precision) is a kink. The panels
    are then refined until the second moments of function and derivative at variances .01, 1 and
    100 agree with those on panels that end at every interval, with steps half as long; the
    difference, or 300 times the function's own rounding, is the stated error.

    A function is only known where it was looked at: at points at most .03 apart. What is narrower,
    such as a spike of width 1e-6, is invisible, and the stated error does not count it.

    Args:
        function: Vectorized over one-dimensional arrays, elementwise, deterministic.
        name: What to call it; the function's own name if `None`.
        derivative: Its derivative; differences of order 8 if `None`.

    Returns:
        The row; its `error` is the relative error of its second moments. About 1e-12 for a function
        in double precision, 1e-4 for one in single precision.

    Raises:
        ValueError: If the function is not elementwise, random, not finite or too rough.

    Example:

    ```python
    bump = from_callable(lambda x: np.maximum(x, 0) * np.exp(-np.abs(x - 1)), "bump")
    assert np.allclose(bump.kinks, [0.0, 1.0], atol=1e-10)
    assert bump.error < 1e-10
    ```
    """
    label = name or str(getattr(function, "__name__", type(function).__name__))
    epsilon = _checked(function, label)
    kinks, edges = find_kinks(function, label, epsilon)
    row = Nonlinearity(
        name=label,
        f=lambda x: evaluated(function, x),
        df=derivative or differences(function, kinks, epsilon),
        kinks=kinks,
        error=300 * epsilon,  # what both steps of a difference may share
    )
    exact = replace(
        row,
        df=derivative or differences(function, kinks, epsilon, refinement=2.0),
        kinks=tuple(sorted({*kinks, *edges})),
        reach=_LONG_REACH,
    )
    return _refined(row, exact, max(1e-10, 2000 * epsilon))


def _checked(function: Function, name: str) -> float:
    """Relative rounding error of the values, once they are elementwise, repeatable and finite."""
    x = np.linspace(-4, 4, 33)
    with np.errstate(all="ignore"):
        y = np.asarray(function(x))
    if y.shape != x.shape or not np.issubdtype(y.dtype, np.floating):
        raise ValueError(
            f"{name} is not elementwise. Received for an input of shape {x.shape} and dtype "
            f"float64: shape {y.shape} and dtype {y.dtype}. Expected the same shape and floats."
        )
    epsilon = float(np.finfo(y.dtype).eps)
    if not np.isfinite(y).all():
        raise ValueError(
            f"{name} is not finite at x = {x[~np.isfinite(y)][:3]} ... Expected a function that is "
            "finite on the whole line."
        )
    if not np.array_equal(y, function(x)):
        raise ValueError(
            f"{name} is random: two calls differ. Expected a deterministic function; describe a "
            "random slope by a Nonlinearity with a spread."
        )
    if not np.allclose(y[::-3], function(x[::-3]), rtol=16 * epsilon, atol=16 * epsilon):
        raise ValueError(
            f"{name} is not elementwise: its values depend on each other. Expected a function "
            "of one number, such as relu; softmax and normalization are none."
        )
    return epsilon


def differences(
    function: Function, kinks: Sequence[float], epsilon: float, refinement: float = 1.0
) -> Function:
    """Derivative by central differences of order 8 that do not reach across a kink."""
    corners = np.array([-np.inf, *kinks, np.inf])
    usual = 0.6 * epsilon ** (1 / 9) / refinement  # where rounding and truncation are alike
    nearest = epsilon**0.4 / refinement  # closer to a kink the slope is taken at this distance

    def df(x: Array) -> Array:
        after = np.clip(np.searchsorted(corners, x), 1, len(corners) - 1)
        before = corners[after - 1]
        x = np.minimum(np.maximum(x, before + nearest), corners[after] - nearest)
        distance = np.minimum(x - before, corners[after] - x)
        step = np.minimum(usual * np.maximum(1, np.abs(x) / RANGE), distance / 4.5)
        y = evaluated(function, x[..., None] + step[..., None] * _STEP)
        with np.errstate(invalid="ignore"):  # beyond overflow there is no slope
            return np.asarray((y[..., :4] - y[..., 4:]) @ _DIFFERENCE / step)

    return df


def _refined(row: Nonlinearity, exact: Nonlinearity, tolerance: float) -> Nonlinearity:
    """The row with the widest panels that agree with the exact one, or the best there are."""
    right = _second_moments(exact)
    tried = []
    for kinks, width, reach in (
        (row.kinks, 4.0, REACH),
        (row.kinks, 0.5, REACH),
        (row.kinks, 4.0, _LONG_REACH),
        (exact.kinks, 0.5, _LONG_REACH),
    ):
        candidate = replace(row, kinks=kinks, width=width, reach=reach)
        error = max(_difference(_second_moments(candidate), right), row.error)
        tried.append(replace(candidate, error=error))
        if error <= tolerance:
            return tried[-1]
    best = min(tried, key=lambda candidate: candidate.error)
    if best.error > _WORST:
        raise ValueError(
            f"The second moments of {row.name} and its derivative are certain to "
            f"{best.error:.1g} only. Expected {_WORST:g} or better. Give its derivative, or "
            "describe it by a Nonlinearity."
        )
    return best


def _second_moments(row: Nonlinearity) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = moment(row, lambda x: row.df(x) ** 2, _TESTED)
        return np.stack([moment(row, power(row), _TESTED), slopes])


def _difference(values: Array, right: Array) -> float:
    """Largest relative difference, where the right values are finite and not negligible."""
    right = np.where(np.isfinite(right), right, 0.0)
    with np.errstate(invalid="ignore"):
        apart = np.where(right > 0, np.abs(values - right), 0.0)
    negligible = 1e-6 * right.max(axis=1, keepdims=True) + 1e-12 * right.max() + 1e-300
    return float(np.max(apart / (right + negligible)))
