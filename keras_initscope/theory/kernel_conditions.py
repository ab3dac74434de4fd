"""What kernel shaping asks of a transformed activation at unit variance, and the search for it.

Owns the local conditions of Martens et al. (2021) and Zhang et al. (2022) as functions of the
transformation, taken on the activation itself at the Gaussian that reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy.optimize import brentq, root

from keras_initscope.theory.composition import Structure, maximal
from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.moments import moment, output_mean, second_moment, slope_second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.transformed import Transformation

_SOLVED = 1e-9
_TINY = 1e-30  # of a variance that has vanished while searching
_STEP = 1e-3  # of differences of fourth order: their error and their rounding are both near 1e-13


def centered(phi: Nonlinearity, scale: float, shift: float) -> Transformation:
    """Output shift and scale that make mean 0 and variance 1."""
    mean, variance = mean_and_variance(phi, scale, shift)
    return Transformation(
        input_scale=scale, input_shift=shift, output_scale=variance**-0.5, output_shift=-mean
    )


def mean_and_variance(phi: Nonlinearity, scale: float, shift: float) -> tuple[float, float]:
    """Of the output at an input from `N(shift, scale^2)`."""
    mean = float(output_mean(phi, scale**2, shift))
    return mean, max(float(second_moment(phi, scale**2, shift)) - mean**2, _TINY)


def variance_slope(phi: Nonlinearity, by: Transformation) -> float:
    """`E f f' z`, with `u = input_scale z + input_shift` as the variable."""

    def product(u: Array) -> Array:
        return (phi.f(u) + by.output_shift) * phi.df(u) * (u - by.input_shift)

    return by.output_scale**2 * float(moment(phi, product, by.input_scale**2, by.input_shift))


def slope(phi: Nonlinearity, by: Transformation) -> float:
    """`E f'^2`, slope of the correlation map at 1."""
    power = float(slope_second_moment(phi, by.input_scale**2, by.input_shift))
    return (by.output_scale * by.input_scale) ** 2 * power


def curvature(phi: Nonlinearity, by: Transformation) -> float:
    """`E f''^2`, curvature of the correlation map at 1, by differences of the derivative."""

    def square(u: Array) -> Array:
        for kink in phi.kinks:  # a curvature that jumps is taken from its own side
            beside = kink + np.copysign(2 * _STEP, u - kink)
            u = np.where(np.abs(u - kink) < 2 * _STEP, beside, u)
        near = phi.df(u + _STEP) - phi.df(u - _STEP)
        far = phi.df(u + 2 * _STEP) - phi.df(u - 2 * _STEP)
        return ((8 * near - far) / (12 * _STEP)) ** 2

    power = float(moment(phi, square, by.input_scale**2, by.input_shift))
    return by.output_scale**2 * by.input_scale**4 * power


def local_slope(network: Structure, largest: float) -> float:
    """The slope of each activation at which the largest of any subnetwork is the given one."""
    if not largest > 1:
        raise ValueError(f"The largest slope must be above 1. Received: slope={largest}.")

    def excess(psi: float) -> float:
        return maximal(network, lambda x: psi * x, 1.0) - largest

    end = 2.0
    while excess(end) < 0:
        end *= 2
    return float(brentq(excess, 1.0, end, xtol=1e-15, rtol=1e-15))


def solve(
    errors: Callable[[float, float], tuple[float, float]], starts: Iterable[tuple[float, float]]
) -> tuple[float, float] | None:
    """Where both errors vanish, from the first start that leads there."""

    def residual(point: Array) -> Array:
        with np.errstate(all="ignore"):
            try:
                found = errors(float(point[0]), float(np.clip(point[1], -50, 50)))
            except OverflowError:  # of an activation that grows like exp
                found = (np.inf, np.inf)
        return np.nan_to_num(np.array(found), nan=1e6, posinf=1e6, neginf=-1e6)

    for start in starts:
        found = root(residual, np.array(start), options={"xtol": 1e-14})
        if np.abs(residual(found.x)).max() < _SOLVED:
            return float(found.x[0]), float(found.x[1])
    return None
