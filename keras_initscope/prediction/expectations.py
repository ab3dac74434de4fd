"""Gaussian expectations over maps: each distinct combination of moments is integrated once.

Owns rounding and memory; the mathematics is in `theory`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from keras_initscope.theory import moments
from keras_initscope.theory.nonlinearity import Nonlinearity

Array = NDArray[np.float64]

_EXACT = 32  # distinct rows up to which maps are not coarsened
_MOMENTS = {
    "mean": moments.output_mean,
    "square": moments.second_moment,
    "slope": moments.slope_second_moment,
}


def of_gaussian(name: str, phi: Nonlinearity, variance: Array, mean: Array) -> Array:
    """`E f`, `E f^2` or `E f'^2` (`"mean"`, `"square"`, `"slope"`) over maps."""
    return over_rows(lambda v, m: _one(name, phi, v, m), variance, mean)


def of_pair(
    phi: Nonlinearity, variance: Array, covariance: Array, mean: Array, *, slopes: bool = False
) -> Array:
    """`E f(x) f(y)`, or `E f'(x) f'(y)`, over maps; see `theory.moments.cross_moment`."""
    pair = _slope_pair if slopes else _pair
    return over_rows(lambda v, c, m: pair(phi, v, c, m), variance, covariance, mean)


def over_rows(compute: Callable[..., float], *maps: Array) -> Array:
    """Apply a function of numbers to maps, once for each distinct row; NaN gives NaN.

    Many rows, as near the borders of a deep convolution, are rounded to three digits: well below
    the finite-width noise of any network.
    """
    arrays = np.broadcast_arrays(*maps)
    shape = arrays[0].shape
    flat = np.stack([array.ravel() for array in arrays], axis=1)
    rows, inverse = _distinct(flat, 10)
    if len(rows) > _EXACT:
        coarse, where = _distinct(rows, 3)
        rows, inverse = coarse, where[inverse]
    found = [np.nan if np.isnan(row).any() else compute(*map(float, row)) for row in rows]
    return np.asarray(found, dtype=float)[inverse].reshape(shape)


def _distinct(table: Array, digits: int) -> tuple[Array, NDArray[np.intp]]:
    """Distinct rows to so many digits, relative to the first column."""
    if len(table) == 1:
        return table, np.zeros(1, dtype=np.intp)
    scale = np.abs(table[:, :1])
    size = 10.0 ** np.floor(np.log10(np.where(scale > 0, scale, 1.0)))
    rounded = np.round(table / size, digits) * size
    code = np.zeros(len(table), dtype=np.intp)
    for column in rounded.T:
        values, inverse = np.unique(column, return_inverse=True)
        code = code * len(values) + inverse
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    return table[first], inverse


@lru_cache(maxsize=1 << 14)
def _one(name: str, phi: Nonlinearity, variance: float, mean: float) -> float:
    return float(_MOMENTS[name](phi, max(variance, 0.0), mean))


@lru_cache(maxsize=1 << 14)
def _pair(phi: Nonlinearity, variance: float, covariance: float, mean: float) -> float:
    if variance <= 0:
        return float(phi.f(np.array(mean)) ** 2)
    if covariance == 0:
        return _one("mean", phi, variance, mean) ** 2
    if covariance >= variance and phi.spread is None:
        return _one("square", phi, variance, mean)
    bounded = float(np.clip(covariance, -variance, variance))
    return float(moments.cross_moment(phi, variance, bounded, mean))


@lru_cache(maxsize=1 << 14)
def _slope_pair(phi: Nonlinearity, variance: float, covariance: float, mean: float) -> float:
    if variance <= 0 or (covariance >= variance and phi.slope_spread is None):
        return _one("slope", phi, max(variance, 0.0), mean)
    bounded = float(np.clip(covariance, -variance, variance))
    return float(moments.slope_cross_moment(phi, variance, bounded, mean))
