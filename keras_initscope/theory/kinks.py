"""Where a function that nobody has described is not smooth.

Owns the search for kinks by polynomials that should fit and do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_initscope.theory.gaussian import Array, Function

RANGE = 120.0
"""Kinks are looked for between -120 and 120: 12 standard deviations at a variance of 100."""

_FIRST = np.linspace(-RANGE, RANGE + 0.3141592653589793, 487)  # no kink of a round number on it
_MOST_ROUGH = 2048  # rough intervals; more of them mean noise


def find_kinks(
    function: Function, name: str = "function", epsilon: float = float(np.finfo(float).eps)
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The points where a function is not smooth, and intervals on which it is a polynomial.

    Args:
        function: Vectorized over one-dimensional arrays.
        name: What to call it in an error.
        epsilon: Relative rounding error of its values.

    Returns:
        Kinks, and the ends of the intervals, both increasing.

    Raises:
        ValueError: If the function is rough nearly everywhere.

    Example:

    ```python
    kinks, _ = find_kinks(lambda x: np.clip(x, -1, 1))
    assert np.allclose(kinks, [-1, 1], atol=1e-12)
    ```
    """
    kinks: list[Array] = []
    edges = [_FIRST]
    half = (_FIRST[1] - _FIRST[0]) / 2
    left = np.concatenate([_FIRST[:-1], _FIRST[:-1] + half])  # a kink hides at an interval's end
    right = left + 2 * half
    rough = _is_rough(function, left, right, epsilon)
    while rough.any():
        left, right = left[rough], right[rough]
        _check_number(name, left, right)
        middle, quarter = (left + right) / 2, (right - left) / 4
        edges.append(middle)
        parts = np.stack([left, middle, left + quarter])
        rough = np.stack([_is_rough(function, at, at + 2 * quarter, epsilon) for at in parts])
        rough[2] &= ~rough[:2].any(axis=0)
        smallest = quarter < 2 * epsilon * (1 + np.abs(middle))
        settled = smallest | (~rough.any(axis=0) & (4 * quarter < epsilon**0.2))
        kinks.append(middle[settled])
        rough &= ~settled
        left, right = parts, parts + 2 * quarter
    return _merged(np.concatenate([[], *kinks]), epsilon), tuple(np.concatenate(edges).tolist())


def _check_number(name: str, left: Array, right: Array) -> None:
    if len(left) > _MOST_ROUGH:
        raise ValueError(
            f"{name} is too rough to integrate: not smooth on {len(left)} intervals of width "
            f"{right[0] - left[0]:.2g}. Expected a function that is smooth but for some kinks."
        )


def _merged(kinks: Array, epsilon: float) -> tuple[float, ...]:
    """The kinks without those that were found twice, rounded so that 0 is 0."""
    found = np.unique(np.round(kinks, int(-np.log10(epsilon)) - 3) + 0.0)
    apart = np.diff(found, prepend=-np.inf) > epsilon**0.4
    return tuple(found[apart].tolist())


def _is_rough(function: Function, left: Array, right: Array, epsilon: float) -> NDArray[np.bool_]:
    """Whether the polynomial through 12 Chebyshev points misses the function in between."""
    x = left[:, None] + (right - left)[:, None] * _POINTS
    y = evaluated(function, x)
    finite = np.isfinite(y).all(axis=1)  # what overflows cannot be known, and weighs nothing
    y[~finite] = 0.0
    missed = np.abs(y[:, 12:] - y[:, :12] @ _BETWEEN).max(axis=1)
    scale = np.abs(y).max(axis=1) + np.abs(x).max(axis=1)
    return np.asarray(finite & (missed > 100 * epsilon * scale))


def _interpolation() -> tuple[Array, Array]:
    """Twelve Chebyshev points in (0, 1), then the points between, and the matrix to them."""
    angles = np.pi * (np.arange(12) + 0.5) / 12
    points, between = -np.cos(angles), -np.cos((angles[1:] + angles[:-1]) / 2)
    basis = np.polynomial.chebyshev.chebvander
    matrix = np.linalg.solve(basis(points, 11).T, basis(between, 11).T)
    return np.asarray((np.concatenate([points, between]) + 1) / 2), np.asarray(matrix)


_POINTS, _BETWEEN = _interpolation()


def evaluated(function: Function, x: Array) -> Array:
    """The function on an array of any shape, in double precision."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(function(x.ravel()), dtype=float).reshape(x.shape)
