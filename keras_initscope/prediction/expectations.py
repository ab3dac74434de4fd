"""Gaussian expectations over maps: each distinct combination of moments is integrated once.

Owns rounding, and a fast rule for the many pairs of a large map; the mathematics is in `theory`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from keras_initscope.theory import moments
from keras_initscope.theory.gaussian import Function
from keras_initscope.theory.nonlinearity import Nonlinearity

Array = NDArray[np.float64]

_FINE = 32  # distinct rows up to which maps are not coarsened
_EXACT = 6  # pairs up to which they are integrated to 1e-15, at 2 to 30 ms each
_OUTER, _INNER = np.linspace(-6, 6, 41), np.linspace(-7, 7, 281)
_MOMENTS = {
    "mean": moments.output_mean,
    "square": moments.second_moment,
    "slope": moments.slope_second_moment,
}


def of_gaussian(name: str, phi: Nonlinearity, variance: Array, mean: Array) -> Array:
    """`E f`, `E f^2` or `E f'^2` (`"mean"`, `"square"`, `"slope"`) over maps."""

    def compute(v: Array, m: Array) -> Array:
        return np.asarray(_MOMENTS[name](phi, np.maximum(v, 0.0), m))

    return over_table(compute, variance, mean)


def of_pair(
    phi: Nonlinearity, variance: Array, covariance: Array, mean: Array, *, slopes: bool = False
) -> Array:
    """`E f(x) f(y)`, or `E f'(x) f'(y)`, over maps; see `theory.moments.cross_moment`."""

    def compute(v: Array, c: Array, m: Array) -> Array:
        v = np.maximum(v, 0.0)
        return _pairs(phi, v, np.clip(c, -v, v), m, slopes)

    return over_table(compute, variance, covariance, mean)


def over_rows(compute: Callable[..., float], *maps: Array) -> Array:
    """Apply a function of numbers to maps; see `over_table`."""

    def rows(*columns: Array) -> Array:
        return np.array([compute(*map(float, row)) for row in zip(*columns, strict=True)])

    return over_table(rows, *maps)


def over_table(compute: Callable[..., Array], *maps: Array) -> Array:
    """Apply a vectorized function to maps, once for each distinct row; NaN gives NaN.

    Many rows, as near the borders of a deep convolution, are rounded to three digits: well below
    the finite-width noise of any network.
    """
    arrays = np.broadcast_arrays(*maps)
    flat = np.stack([array.ravel() for array in arrays], axis=1)
    rows, inverse = _distinct(flat, 10)
    if len(rows) > _FINE:
        coarse, where = _distinct(rows, 3)
        rows, inverse = coarse, where[inverse]
    found = np.full(len(rows), np.nan)
    known = ~np.isnan(rows).any(axis=1)
    if known.any():
        found[known] = compute(*rows[known].T)
    return found[inverse].reshape(arrays[0].shape)


def _distinct(table: Array, digits: int) -> tuple[Array, NDArray[np.intp]]:
    """Distinct rows to so many digits, relative to the first column."""
    if len(table) == 1:
        return table, np.zeros(1, dtype=np.intp)
    scale = np.abs(table[:, :1])
    size = 10.0 ** np.floor(np.log10(np.where(scale > 0, scale, 1.0)))
    code = np.zeros(len(table), dtype=np.intp)
    for column in (np.round(table / size, digits) * size).T:
        values, inverse = np.unique(column, return_inverse=True)
        code = code * len(values) + inverse
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    return table[first], inverse


def _pairs(phi: Nonlinearity, v: Array, c: Array, m: Array, slopes: bool) -> Array:
    exact = moments.slope_cross_moment if slopes else moments.cross_moment
    shared = (phi.slope_spread if slopes else phi.spread) if phi.shares_spread else None
    function = phi.df if slopes else phi.f
    if phi.is_scale_invariant and not m.any():
        return exact(phi, v, c, m)
    found = np.empty_like(v)
    same = (c >= v) & (phi.spread is None)
    found[same] = moments.moment(phi, lambda x: function(x) ** 2, v[same], m[same])
    apart = (c == 0) & ~same & (shared is None)
    found[apart] = moments.moment(phi, function, v[apart], m[apart]) ** 2
    rest = np.flatnonzero(~same & ~apart)
    if len(rest) > _EXACT and shared is None:
        found[rest] = _quickly(function, v[rest], c[rest], m[rest])
        return found
    for i in rest:
        found[i] = _once(phi, slopes, float(v[i]), float(c[i]), float(m[i]))
    return found


@lru_cache(maxsize=1 << 12)
def _once(phi: Nonlinearity, slopes: bool, v: float, c: float, m: float) -> float:
    exact = moments.slope_cross_moment if slopes else moments.cross_moment
    return float(exact(phi, v, c, m))


def _quickly(function: Function, v: Array, c: Array, m: Array) -> Array:
    """Given what both share they are independent: `E_u (E_e f(m + a u + b e))^2`, to about 1e-3."""
    outer, inner = (_masses(grid) for grid in (_OUTER, _INNER))
    a, b = np.sqrt(np.abs(c))[:, None], np.sqrt(v - np.abs(c))[:, None, None]
    found = np.empty_like(v)
    for i in range(0, len(v), 16):
        rows = slice(i, i + 16)
        around = (m[rows, None] + a[rows] * _OUTER)[..., None]
        mean = function(around + b[rows] * _INNER) @ inner
        other = np.where(c[rows, None] < 0, mean[:, ::-1], mean)
        found[rows] = (mean * other) @ outer
    return found


def _masses(grid: Array) -> Array:
    density = np.exp(-(grid**2) / 2)
    return np.asarray(density / density.sum())
