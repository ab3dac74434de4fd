"""Activations transformed so that a network's correlation map has the wanted value and slope.

Owns Deep Kernel Shaping (Martens et al., 2021) and Tailored Activation Transformations (Zhang et
al., 2022): which numbers to transform by, for a network given as a structure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, root

from keras_initscope.theory.composition import Structure, maximal
from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.moments import (
    moment,
    output_mean,
    second_moment,
    slope_second_moment,
)
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.transformed import Transformation

_STARTS = [(scale, shift) for shift in (1.0, -1.0, 0.1, 3.0, -3.0) for scale in (0.1, 0.3, 1.0)]
_SOLVED = 1e-9
_TINY = 1e-30  # of a variance that has vanished while searching
_STEP = 1e-3  # of differences of fourth order: their error and their rounding are both near 1e-13


def dks(phi: Nonlinearity, network: Structure, slope: float = 1.5) -> Transformation:
    """Transform a smooth activation by Deep Kernel Shaping.

    Solves, for the transformed activation `f` and `z ~ N(0, 1)`,

    ```
    E f^2 = 1             variance 1 stays
    E f f' z = 1          deviations of the variance neither grow nor die
    E f = 0               C(0) = 0: different examples stay uncorrelated
    E f'^2 = psi          C'(1), the factor of the squared gradient
    ```

    with `psi` such that the largest slope of any subnetwork's correlation map is `slope`.

    Args:
        phi: The activation, not scale-invariant.
        network: Its structure: a number of activations in a row, or see `composition`.
        slope: The largest slope, above 1; the paper's 1.5.

    Returns:
        The four numbers.

    Raises:
        ValueError: If the slope is not above 1, or no such transformation is found.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    found = dks(nonlinearity("tanh"), 50)
    assert abs(found.input_scale - 0.1284404787) < 1e-9
    ```
    """
    if not slope > 1:
        raise ValueError(f"The largest slope must be above 1. Received: slope={slope}.")
    _check_scale(phi, "DKS")
    psi = _solved_for(lambda psi: maximal(network, lambda x: psi * x, 1.0), slope, 1.0)

    def outputs(scale: float, shift: float) -> Transformation:
        mean, variance = _mean_and_variance(phi, scale, shift)
        return _transformation(scale, shift, variance**-0.5, -mean)

    def errors(by: Transformation) -> tuple[float, float]:
        return _variance_slope(phi, by) - 1, _slope(phi, by) - psi

    return _search(phi, outputs, errors, "DKS")


def tat(phi: Nonlinearity, network: Structure, curvature: float = 0.3) -> Transformation:
    """Transform a smooth activation by TAT.

    Solves, for the transformed activation `f` and `z ~ N(0, 1)`,

    ```
    E f^2 = 1             variance 1 stays
    E f f' z = 1          deviations of the variance neither grow nor die
    E f'^2 = 1            C'(1): so does the squared gradient
    E f''^2 = kappa       C''(1)
    ```

    with `kappa` such that the largest curvature of any subnetwork's correlation map at 1 is
    `curvature`. For rectifiers, which have no curvature to choose, see `tat_leaky_relu`.

    Args:
        phi: The activation, without kinks.
        network: Its structure: a number of activations in a row, or see `composition`.
        curvature: The largest curvature, positive; the paper's 0.3.

    Returns:
        The four numbers.

    Raises:
        ValueError: If the curvature is not positive, the activation has kinks, or no such
            transformation is found.

    Example:

    ```python
    from keras_initscope.theory.gains import gain
    from keras_initscope.theory.nonlinearities import nonlinearity
    from keras_initscope.theory.transformed import transformed

    softplus = nonlinearity("softplus")
    made = transformed(softplus, tat(softplus, 50))
    assert abs(gain(made) - 1) < 1e-9 and abs(gain(made, "backward") - 1) < 1e-9
    ```
    """
    if not curvature > 0:
        raise ValueError(f"The curvature must be positive. Received: curvature={curvature}.")
    _check_scale(phi, "TAT")
    if not all(phi.is_differentiable_at(kink) for kink in phi.kinks):
        raise ValueError(
            f"TAT by curvature needs an activation without kinks; {phi.name} has some at "
            f"{phi.kinks}. Expected one such as 'tanh'; for rectifiers use the leaky ReLU of TAT."
        )
    kappa = curvature / maximal(network, lambda x: x + 1, 0.0)
    failures = []
    for sign in (1.0, -1.0):

        def outputs(scale: float, shift: float, sign: float = sign) -> Transformation:
            mean, variance = _mean_and_variance(phi, scale, shift)
            size = scale**2 * float(slope_second_moment(phi, scale**2, shift))
            rest = np.sqrt(max(size - variance, 0.0))  # never negative (Poincare's inequality)
            return _transformation(scale, shift, max(size, _TINY) ** -0.5, sign * rest - mean)

        def errors(by: Transformation) -> tuple[float, float]:
            # One is logarithmic: curvatures differ by orders of magnitude.
            return _variance_slope(phi, by) - 1, float(np.log(_curvature(phi, by) / kappa))

        try:
            return _search(phi, outputs, errors, "TAT")
        except ValueError as error:
            failures.append(error)
    raise failures[0]


def tat_leaky_relu(network: Structure, correlation: float = 0.9) -> tuple[float, Transformation]:
    """The leaky ReLU of TAT: its slope and its scale.

    Chooses the slope `a` below zero such that the largest correlation of any subnetwork, for inputs
    that are uncorrelated, is `correlation`:

    ```
    C(c) = c + (1 - a)^2 / (pi (1 + a^2)) (sqrt(1 - c^2) - c arccos c)
    f(x) = sqrt(2 / (1 + a^2)) max(x, a x)
    ```

    Args:
        network: Its structure: a number of activations in a row, or see `composition`.
        correlation: The largest correlation, between 0 and 1; the paper's 0.9.

    Returns:
        The slope below zero, 0 (a plain ReLU) where the network is too shallow to reach the
        correlation; and the transformation, which is its output scale alone.

    Raises:
        ValueError: If the correlation does not lie between 0 and 1.

    Example:

    ```python
    slope, scaled = tat_leaky_relu(50)
    assert abs(slope - 0.430522949) < 1e-9
    assert abs(scaled.output_scale - 1.298947786) < 1e-9
    ```
    """
    if not 0 < correlation < 1:
        raise ValueError(
            f"The correlation must lie between 0 and 1. Received: correlation={correlation}."
        )

    def excess(slope: float) -> float:
        return maximal(network, lambda c: _leaky_map(slope, c), 0.0) - correlation

    found = 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-15))
    return found, Transformation(output_scale=float(np.sqrt(2 / (1 + found**2))))


def _leaky_map(slope: float, c: float) -> float:
    c = min(max(c, -1.0), 1.0)
    bend = (1 - slope) ** 2 / (np.pi * (1 + slope**2))
    return float(c + bend * (np.sqrt((1 - c) * (1 + c)) - c * np.arccos(c)))


def _transformation(
    input_scale: float, input_shift: float, output_scale: float, output_shift: float
) -> Transformation:
    return Transformation(
        input_scale=float(input_scale),
        input_shift=float(input_shift),
        output_scale=float(output_scale),
        output_shift=float(output_shift),
    )


def _mean_and_variance(phi: Nonlinearity, scale: float, shift: float) -> tuple[float, float]:
    mean = float(output_mean(phi, scale**2, shift))
    return mean, max(float(second_moment(phi, scale**2, shift)) - mean**2, _TINY)


def _variance_slope(phi: Nonlinearity, by: Transformation) -> float:
    """`E f f' z` with `u = input_scale z + input_shift` as the variable."""

    def product(u: Array) -> Array:
        return (phi.f(u) + by.output_shift) * phi.df(u) * (u - by.input_shift)

    return by.output_scale**2 * float(moment(phi, product, by.input_scale**2, by.input_shift))


def _slope(phi: Nonlinearity, by: Transformation) -> float:
    power = float(slope_second_moment(phi, by.input_scale**2, by.input_shift))
    return (by.output_scale * by.input_scale) ** 2 * power


def _curvature(phi: Nonlinearity, by: Transformation) -> float:
    def square(u: Array) -> Array:
        for kink in phi.kinks:  # a curvature that jumps is taken from its own side
            beside = kink + np.copysign(2 * _STEP, u - kink)
            u = np.where(np.abs(u - kink) < 2 * _STEP, beside, u)
        near = phi.df(u + _STEP) - phi.df(u - _STEP)
        far = phi.df(u + 2 * _STEP) - phi.df(u - 2 * _STEP)
        return ((8 * near - far) / (12 * _STEP)) ** 2

    power = float(moment(phi, square, by.input_scale**2, by.input_shift))
    return by.output_scale**2 * by.input_scale**4 * power


def _search(
    phi: Nonlinearity,
    outputs: Callable[[float, float], Transformation],
    errors: Callable[[Transformation], tuple[float, float]],
    method: str,
) -> Transformation:
    """Input scale and shift that solve both equations; the outputs follow from them."""

    def residual(point: Array) -> Array:
        scale, shift = float(np.exp(np.clip(point[0], -12, 6))), float(np.clip(point[1], -50, 50))
        with np.errstate(all="ignore"):
            try:
                found = errors(outputs(scale, shift))
            except OverflowError:  # of an activation that grows like exp
                found = (np.inf, np.inf)
        return np.nan_to_num(np.array(found), nan=1e6, posinf=1e6, neginf=-1e6)

    for scale, shift in _STARTS:
        found = root(residual, np.array([np.log(scale), shift]), options={"xtol": 1e-14})
        if np.abs(residual(found.x)).max() < _SOLVED:
            return outputs(float(np.exp(found.x[0])), float(found.x[1]))
    raise ValueError(
        f"No transformation of {phi.name} satisfies {method} for this network. Expected a smooth "
        "activation such as 'tanh', 'softplus', 'gelu' or 'silu', and a network of some depth."
    )


def _solved_for(function: Callable[[float], float], target: float, least: float) -> float:
    """Where an increasing function reaches its target, from `least` up."""
    largest = least + 1.0
    while function(largest) < target:
        largest *= 2
    return float(brentq(lambda x: function(x) - target, least, largest, xtol=1e-15, rtol=1e-15))


def _check_scale(phi: Nonlinearity, method: str) -> None:
    if phi.is_scale_invariant:
        raise ValueError(
            f"{method} needs an activation with a scale of its own; {phi.name} has none. "
            "Expected one such as 'tanh'; for rectifiers use the leaky ReLU of TAT."
        )
