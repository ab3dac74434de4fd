"""The critical line of a nonlinearity. Owns the line and the search for points on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from keras_initscope.theory.fixedpoints import NEXT_TO_ZERO
from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.meanfield import MARGINAL, variance_slope
from keras_initscope.theory.moments import second_moment, slope_second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity

#: Up to this `q*` critical points are looked for.
LARGEST_VARIANCE = 1e6
_GRID = np.geomspace(1e-6, LARGEST_VARIANCE, 301)
_USUAL = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])  # variances one would choose
_ROUNDING = 1e-12
_LARGEST_WEIGHT = 1e9  # a nonlinearity that needs more is flat there


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalLine:
    """The critical line of a nonlinearity, at the variances asked for.

    Args:
        q: Pre-activation variances `q*`.
        weight_variance: Critical weight variance times fan-in at each.
        bias_variance: Bias variance that makes `q*` a fixed point; negative where none can.
        variance_slope: Slope of the variance map at each; the point is stable below 1.
    """

    q: Array
    weight_variance: Array
    bias_variance: Array
    variance_slope: Array


def critical_line(phi: Nonlinearity, q: ArrayLike) -> CriticalLine:
    """The critical line, explicit in the variance.

    `chi_1 = 1` and `V(q) = q` give `weight_variance = 1 / E f'^2` and
    `bias_variance = q - E f^2 / E f'^2`, with expectations over `N(0, q)`.

    Args:
        phi: The nonlinearity.
        q: Pre-activation variances, positive, any shape.

    Returns:
        The line at these variances.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    line = critical_line(nonlinearity("gelu"), 10.0)
    assert abs(line.weight_variance - 1.956) < 1e-3
    assert abs(line.bias_variance - 0.323) < 1e-3
    ```
    """
    q = np.asarray(q, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat nonlinearity has no such point
        weight = 1 / slope_second_moment(phi, q)
        bias = q - weight * second_moment(phi, q)
        slope = variance_slope(phi, q, weight)
    return CriticalLine(q=q, weight_variance=weight, bias_variance=bias, variance_slope=slope)


def critical_variances(phi: Nonlinearity, bias_variance: float | None) -> list[float]:
    """The variances `q*` of the critical points at a bias variance, from 0 to 1e6.

    Args:
        phi: The nonlinearity, with a scale of its own.
        bias_variance: Bias variance. `None` takes the point of unit variance, `q* = 1`, or where
            that needs a negative bias variance the points without bias.

    Returns:
        Variances, in increasing order; empty where there is no critical point.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert critical_variances(nonlinearity("tanh"), None) == [1.0]
    assert critical_variances(nonlinearity("tanh"), 0.0) == [0.0]
    assert critical_variances(nonlinearity("softplus"), 0.0) == []
    ```
    """
    if bias_variance is None and critical_line(phi, 1.0).bias_variance >= -_ROUNDING:
        return [1.0]
    wanted = bias_variance or 0.0

    def excess(q: float) -> float:
        return float(critical_line(phi, q).bias_variance) - wanted

    at_zero = critical_line(phi, NEXT_TO_ZERO)
    meets = abs(at_zero.bias_variance - wanted) < _ROUNDING**1.5
    roots = [0.0] if meets and at_zero.weight_variance < _LARGEST_WEIGHT else []
    excesses = critical_line(phi, _GRID).bias_variance - wanted
    known = np.flatnonzero(np.abs(excesses) > _ROUNDING * _GRID)
    for left, right in pairwise(known):
        if excesses[left] * excesses[right] < 0:
            roots.append(brentq(excess, _GRID[left], _GRID[right], xtol=1e-24, rtol=1e-13))
    return roots


def most_stable_point(phi: Nonlinearity) -> CriticalLine | None:
    """The critical point of usual variance at which the variance map is flattest.

    Args:
        phi: The nonlinearity.

    Returns:
        The point, or `None` where no critical point of variance 0.1 to 100 is stable.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    point = most_stable_point(nonlinearity("gelu"))
    assert point.variance_slope < 0.99
    assert most_stable_point(nonlinearity("softplus")) is None
    ```
    """
    line = critical_line(phi, _USUAL)
    slope = np.abs(line.variance_slope)
    possible = (line.bias_variance >= 0) & (slope < 1 - MARGINAL)
    if not possible.any():
        return None
    return critical_line(phi, _USUAL[np.argmin(np.where(possible, slope, np.inf))])
