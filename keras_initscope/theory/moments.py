"""Moments of a nonlinearity's output and slope when its input is Gaussian.

Owns the expectations that everything else is made of; all broadcast over arrays, since the layers
of a convolution carry maps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from keras_initscope.theory.gaussian import Array, Function, expectation
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.pairs import homogeneous_pair_expectation, pair_expectation

_ROUNDING = 1e-6  # by how much of the variance rounding may push a covariance beyond it


def output_mean(phi: Nonlinearity, variance: ArrayLike = 1.0, mean: ArrayLike = 0.0) -> Array:
    """Mean of the output.

    `E f(x)` with `x ~ N(mean, variance)`.

    Args:
        phi: The nonlinearity.
        variance: Variances of its input, any shape.
        mean: Means of its input, broadcast against `variance`.

    Returns:
        Means, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(output_mean(nonlinearity("relu")), 1 / np.sqrt(2 * np.pi))
    ```
    """
    return moment(phi, phi.f, variance, mean)


def second_moment(phi: Nonlinearity, variance: ArrayLike = 1.0, mean: ArrayLike = 0.0) -> Array:
    """Second moment of the output, its signal power.

    `E f(x)^2` with `x ~ N(mean, variance)`, over the slopes too where they are random.

    Args:
        phi: The nonlinearity.
        variance: Variances of its input, any shape.
        mean: Means of its input, broadcast against `variance`.

    Returns:
        Second moments, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.allclose(second_moment(nonlinearity("relu"), [1.0, 4.0]), [0.5, 2.0])
    ```
    """
    return moment(phi, power(phi), variance, mean)


def slope_second_moment(
    phi: Nonlinearity, variance: ArrayLike = 1.0, mean: ArrayLike = 0.0
) -> Array:
    """Second moment of the derivative, the factor that a squared gradient is multiplied by.

    `E f'(x)^2` with `x ~ N(mean, variance)`.

    Args:
        phi: The nonlinearity.
        variance: Variances of its input, any shape.
        mean: Means of its input, broadcast against `variance`.

    Returns:
        Second moments, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(slope_second_moment(nonlinearity("relu")), 0.5)
    ```
    """
    df, spread = phi.df, phi.slope_spread
    if spread is None:
        return moment(phi, lambda x: df(x) ** 2, variance, mean)
    return moment(phi, lambda x: df(x) ** 2 + spread(x), variance, mean)


def cross_moment(
    phi: Nonlinearity, variance: ArrayLike, covariance: ArrayLike, mean: ArrayLike = 0.0
) -> Array:
    """Product of the outputs for two examples.

    `E f(x_a) f(x_b)` with both inputs `N(mean, variance)`. A state of signal theory with second
    moment `q` and cross moment `p` has `variance = q - mean^2` and `covariance = p - mean^2`.

    Args:
        phi: The nonlinearity.
        variance: Variances of its input, any shape.
        covariance: Covariances of its input for the two examples, broadcast against `variance`.
        mean: Means of its input, broadcast against `variance`.

    Returns:
        Cross moments, in the broadcast shape.

    Raises:
        ValueError: If a covariance exceeds its variance by more than rounding.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(cross_moment(nonlinearity("relu"), 1.0, 0.0), 1 / (2 * np.pi))
    ```
    """
    return _pair_expectation(phi, 1, variance, covariance, mean)


def slope_cross_moment(
    phi: Nonlinearity, variance: ArrayLike, covariance: ArrayLike, mean: ArrayLike = 0.0
) -> Array:
    """Product of the derivatives for two examples.

    `E f'(x_a) f'(x_b)`: the factor of a product of two examples' gradients, and the slope of the
    correlation map.

    Args:
        phi: The nonlinearity.
        variance: Variances of its input, any shape.
        covariance: Covariances of its input for the two examples, broadcast against `variance`.
        mean: Means of its input, broadcast against `variance`.

    Returns:
        Cross moments, in the broadcast shape.

    Raises:
        ValueError: If a covariance exceeds its variance by more than rounding.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(slope_cross_moment(nonlinearity("relu"), 1.0, 0.0), 0.25)
    ```
    """
    return _pair_expectation(phi, 0, variance, covariance, mean)


def power(phi: Nonlinearity) -> Function:
    """The squared output as a function of the input, averaged over random slopes."""
    f, spread = phi.f, phi.spread
    if spread is None:
        return lambda x: f(x) ** 2
    return lambda x: f(x) ** 2 + spread(x)


def moment(
    phi: Nonlinearity, function: Function, variance: ArrayLike = 1.0, mean: ArrayLike = 0.0
) -> Array:
    """Expectation of any function of the input that is smooth wherever the nonlinearity is.

    Args:
        phi: The nonlinearity, whose kinks the quadrature respects.
        function: Vectorized.
        variance: Variances of the input, any shape.
        mean: Means of the input, broadcast against `variance`.

    Returns:
        Expectations, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    relu = nonlinearity("relu")
    assert np.isclose(moment(relu, lambda x: x * relu.f(x)), 0.5)
    ```
    """
    return expectation(function, mean, variance, kinks=phi.kinks, width=phi.width, reach=phi.reach)


def _pair_expectation(
    phi: Nonlinearity, order: int, variance: ArrayLike, covariance: ArrayLike, mean: ArrayLike
) -> Array:
    """The product of outputs (order 1) or slopes (order 0), and of the spread that both share."""
    function, spread = ((phi.df, phi.slope_spread), (phi.f, phi.spread))[order]
    correlation = _correlation(variance, covariance)

    def product(factor: Function) -> Array:
        if phi.is_scale_invariant and not np.any(mean):
            found = homogeneous_pair_expectation(factor, order, correlation, variance)
            return found + np.asarray(mean)  # which is zero, and gives its shape
        return pair_expectation(
            factor,
            correlation,
            mean,
            variance,
            kinks=phi.kinks,
            width=phi.width,
            reach=phi.reach,
        )

    if spread is None or not phi.shares_spread:
        return product(function)
    return product(function) + product(lambda x: np.sqrt(spread(x)))


def _correlation(variance: ArrayLike, covariance: ArrayLike) -> Array:
    variance, covariance = np.broadcast_arrays(
        np.asarray(variance, dtype=float), np.asarray(covariance, dtype=float)
    )
    if np.any(np.abs(covariance) > variance * (1 + _ROUNDING)):
        raise ValueError(
            "A covariance cannot exceed the variance. "
            f"Received: variance={variance}, covariance={covariance}."
        )
    same = np.ones_like(variance)  # a point mass is the same for both examples
    return np.clip(np.divide(covariance, variance, out=same, where=variance > 0), -1, 1)
