"""Expectations of products under two correlated Gaussians: what two examples have in common.

Owns the two-dimensional quadrature; knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_initscope.theory.gaussian import (
    REACH,
    Array,
    Function,
    deviation_of,
    feature_edges,
    over_distinct,
    panel_rule,
    parts_of,
)

_UNIT = 2.0  # 16 nodes resolve a Gaussian on two standard deviations to 1e-16
_PART = 0.75  # of the reach; P(|z| > 9) = 2e-19 does for a product
_LAYERS = np.array([-9.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 9.0])


def pair_expectation(
    function: Function,
    correlation: ArrayLike,
    mean: ArrayLike = 0.0,
    variance: ArrayLike = 1.0,
    *,
    kinks: Sequence[float] = (),
    width: float = np.inf,
    reach: float = REACH,
) -> Array:
    """Expectation of the product of a function at two correlated Gaussian variables.

    `E f(x) f(y)` with `x` and `y` both `N(mean, variance)` and correlated. The sum and the
    difference of the two are independent; the difference is integrated first, on panels that end
    where `x` or `y` meets a kink, then the sum, on panels graded towards the kinks on the scale of
    the difference. Agrees with the arc-cosine kernel (Cho & Saul, 2009) and the arc-sine kernel
    (Williams, 1997) to about 1e-15 at every correlation.

    Args:
        function: Vectorized.
        correlation: Correlation coefficients in [-1, 1], any shape.
        mean: Means, broadcast against `correlation`.
        variance: Variances, broadcast against `correlation`.
        kinks: The points where the function or one of its derivatives jumps.
        width: Widest panel that 16 nodes resolve, in units of `x`.
        reach: Standard deviations to integrate over on each side.

    Returns:
        Expectations, in the broadcast shape of the arguments.

    Raises:
        ValueError: If a correlation lies outside [-1, 1] or a variance is negative.

    Example:

    ```python
    overlap = pair_expectation(np.sign, 0.5, kinks=[0.0])
    assert np.allclose(overlap, 2 / np.pi * np.arcsin(0.5), rtol=1e-14)
    ```
    """
    values = np.asarray(correlation, dtype=float)
    if np.any(np.abs(values) > 1):
        raise ValueError(
            f"A correlation lies in [-1, 1]. Received: correlation={correlation!r}. "
            "Clip a covariance that rounding has pushed over the variance."
        )

    def rows(correlations: Array, means: Array, deviations: Array) -> Array:
        return np.array(
            [
                _one(function, *row, kinks=kinks, width=width, reach=reach)
                for row in zip(correlations, means, deviations, strict=True)
            ]
        )

    return over_distinct(rows, values, mean, deviation_of(variance))


def homogeneous_pair_expectation(
    function: Function, order: int, correlation: ArrayLike, variance: ArrayLike = 1.0
) -> Array:
    """The same in closed form, for a function that is homogeneous on either side of zero.

    For `f(a x) = a^order f(x)`, `a > 0`, at mean 0, by the arc-cosine kernels (Cho & Saul, 2009).

    Args:
        function: Vectorized, such as a leaky rectifier (order 1) or its derivative (order 0).
        order: 0 or 1.
        correlation: Correlation coefficients in [-1, 1], any shape.
        variance: Variances, broadcast against `correlation`.

    Returns:
        Expectations, in the broadcast shape of the arguments.

    Example:

    ```python
    found = homogeneous_pair_expectation(np.abs, 1, 0.0, 4.0)
    assert np.allclose(found, 4.0 * 2 / np.pi)
    ```
    """
    c = np.asarray(correlation, dtype=float)
    negative, positive = function(np.array([-1.0, 1.0]))

    def kernel(c: Array) -> Array:
        angle = np.pi - np.arccos(c)
        return angle if order == 0 else np.sqrt((1 - c) * (1 + c)) + angle * c

    same, opposite = positive**2 + negative**2, 2 * positive * negative
    moment = (same * kernel(c) + opposite * kernel(-c)) / (2 * np.pi)
    return np.asarray(moment * np.asarray(variance, dtype=float) ** order)


def _one(
    function: Function,
    correlation: float,
    mean: float,
    deviation: float,
    *,
    kinks: Sequence[float],
    width: float,
    reach: float,
) -> float:
    """One expectation. `x = m + s (A u + B v)`, `y = m +- s (A u - B v)`, `A >= B >= 0`."""
    sign = 1.0 if correlation >= 0 else -1.0
    a, b = np.sqrt((1 + abs(correlation)) / 2), np.sqrt((1 - abs(correlation)) / 2)
    scale = deviation if deviation > 0 else np.inf
    edges = (feature_edges(kinks, deviation) - mean) / scale
    corners = (np.array([*kinks, 0.0] if deviation > 1 else kinks, dtype=float) - mean) / scale
    parts = parts_of(deviation * _UNIT, width)
    breaks = _sum_breaks(corners, edges, sign, b) / a
    reach = _PART * reach
    u, outer = panel_rule(breaks[None], parts, reach, _UNIT)
    v, inner = panel_rule(_difference_breaks(edges, sign, a * u[0], b), parts, reach, _UNIT)
    common, rest = a * u[0][:, None], b * v
    with np.errstate(over="ignore"):  # exp of a wide Gaussian: infinity is the answer
        product = function(mean + deviation * (common + rest))
        product = product * function(mean + deviation * sign * (common - rest))
    return float(outer[0] @ np.sum(inner * product, axis=-1))


def _sum_breaks(corners: Array, edges: Array, sign: float, b: float) -> Array:
    """Where the inner integral is not smooth: at the kinks, around them, and where two meet."""
    around = np.add.outer(corners, b * _LAYERS).ravel()
    meeting = np.add.outer(corners, sign * corners).ravel() / 2
    return np.unique(np.concatenate([edges, sign * edges, around, sign * around, meeting]))


def _difference_breaks(edges: Array, sign: float, common: Array, b: float) -> Array:
    """Where `x` or `y` meets a kink, for each value of the sum; nowhere once both are equal."""
    if b == 0:
        return np.zeros((len(common), 0))
    column = common[:, None]
    return np.concatenate([edges - column, column - sign * edges], axis=1) / b
