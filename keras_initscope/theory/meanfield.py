"""Mean-field theory of a deep network of wide layers: the maps from layer to layer.

Owns the variance map, the correlation map, their slopes and their depth scales. Weights are
independent with variance `weight_variance / fan_in`, biases have variance `bias_variance`; `q` is
the variance of a pre-activation and `c` the correlation of two examples (Poole et al., 2016;
Schoenholz et al., 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.moments import (
    cross_moment,
    moment,
    power,
    second_moment,
    slope_cross_moment,
    slope_second_moment,
)
from keras_initscope.theory.nonlinearity import Nonlinearity

MARGINAL = 1e-6
"""A slope this close to 1 is taken for 1."""


def variance_map(
    phi: Nonlinearity, q: ArrayLike, weight_variance: ArrayLike, bias_variance: ArrayLike = 0.0
) -> Array:
    """Variance of the next layer's pre-activations.

    `V(q) = weight_variance E f(sqrt(q) z)^2 + bias_variance` (Poole et al., 2016).

    Args:
        phi: The nonlinearity.
        q: Pre-activation variances, any shape.
        weight_variance: Weight variance times fan-in, broadcast against `q`.
        bias_variance: Bias variance, broadcast against `q`.

    Returns:
        Pre-activation variances one layer on, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.allclose(variance_map(nonlinearity("relu"), [1.0, 9.0], 2.0, 0.5), [1.5, 9.5])
    ```
    """
    weight, bias = np.asarray(weight_variance, dtype=float), np.asarray(bias_variance, dtype=float)
    return weight * second_moment(phi, q) + bias


def variance_slope(phi: Nonlinearity, q: ArrayLike, weight_variance: ArrayLike) -> Array:
    """Slope of the variance map, by Stein's identity.

    `V'(q) = weight_variance E[f(sqrt(q) z)^2 (z^2 - 1)] / (2 q)`, which needs no derivative of
    `f` and holds across kinks and jumps. Below 1 at a fixed point, the point is stable.

    Args:
        phi: The nonlinearity.
        q: Pre-activation variances, positive, any shape.
        weight_variance: Weight variance times fan-in, broadcast against `q`.

    Returns:
        Slopes, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(variance_slope(nonlinearity("relu"), 3.0, 2.0), 1.0)
    ```
    """
    q = np.asarray(q, dtype=float)
    square = power(phi)
    excess = moment(phi, lambda x: x * x * square(x), q) - q * second_moment(phi, q)
    return np.asarray(weight_variance, dtype=float) * excess / (2 * q * q)


def chi_1(phi: Nonlinearity, q: ArrayLike, weight_variance: ArrayLike) -> Array:
    """Factor of the squared gradient per layer, and slope of the correlation map at 1.

    `chi_1 = weight_variance E f'(sqrt(q) z)^2` (Schoenholz et al., 2017). At 1 the network
    is critical; above it two close inputs part (chaos) and gradients explode, below it inputs
    merge (order) and gradients vanish.

    Args:
        phi: The nonlinearity.
        q: Pre-activation variances, any shape.
        weight_variance: Weight variance times fan-in, broadcast against `q`.

    Returns:
        Factors, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(chi_1(nonlinearity("relu"), 1.0, 2.0), 1.0)
    ```
    """
    return np.asarray(weight_variance, dtype=float) * slope_second_moment(phi, q)


def correlation_map(
    phi: Nonlinearity,
    c: ArrayLike,
    q: ArrayLike,
    weight_variance: ArrayLike,
    bias_variance: ArrayLike = 0.0,
) -> Array:
    """Correlation of two examples one layer on.

    `C(c) = (weight_variance E f(x_a) f(x_b) + bias_variance) / V(q)` (Poole et al., 2016),
    at any `q`, a fixed point or not. `C(1) = 1` but for random slopes.

    Args:
        phi: The nonlinearity.
        c: Correlations of the pre-activations of two examples, any shape.
        q: Their variances, broadcast against `c`.
        weight_variance: Weight variance times fan-in, broadcast against `c`.
        bias_variance: Bias variance, broadcast against `c`.

    Returns:
        Correlations, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(correlation_map(nonlinearity("relu"), 0.0, 1.0, 2.0), 1 / np.pi)
    ```
    """
    q, weight = np.asarray(q, dtype=float), np.asarray(weight_variance, dtype=float)
    shared = weight * cross_moment(phi, q, q * np.asarray(c)) + np.asarray(bias_variance)
    return shared / variance_map(phi, q, weight, bias_variance)


def correlation_slope(
    phi: Nonlinearity,
    c: ArrayLike,
    q: ArrayLike,
    weight_variance: ArrayLike,
    bias_variance: ArrayLike = 0.0,
) -> Array:
    """Slope of the correlation map.

    `C'(c) = weight_variance E f'(x_a) f'(x_b) q / V(q)`; at a fixed point of the variance, where
    `V(q) = q`, it is the `chi` of Schoenholz et al. (2017).

    Args:
        phi: The nonlinearity, continuous.
        c: Correlations of the pre-activations of two examples, any shape.
        q: Their variances, broadcast against `c`.
        weight_variance: Weight variance times fan-in, broadcast against `c`.
        bias_variance: Bias variance, broadcast against `c`.

    Returns:
        Slopes, in the broadcast shape.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert np.isclose(correlation_slope(nonlinearity("relu"), 0.0, 1.0, 2.0), 0.5)
    ```
    """
    q, weight = np.asarray(q, dtype=float), np.asarray(weight_variance, dtype=float)
    shared = weight * slope_cross_moment(phi, q, q * np.asarray(c))
    return shared * q / variance_map(phi, q, weight, bias_variance)


def depth_scale(slope: float) -> float:
    """Layers over which a deviation from a fixed point changes e-fold.

    `xi = 1 / |log slope|`, with the slope of the map there (Schoenholz et al., 2017):
    decay below 1, growth above it.

    Args:
        slope: Slope of the variance map (for `xi_q`) or of the correlation map (for `xi_c`).

    Returns:
        Layers; infinite at a slope of 1, where a deviation follows a power law instead.

    Example:

    ```python
    assert abs(depth_scale(0.9) - 9.4912) < 1e-4
    assert depth_scale(1.0) == float("inf")
    ```
    """
    magnitude = abs(slope)
    if abs(magnitude - 1) < MARGINAL:
        return float("inf")
    return float(1 / abs(np.log(magnitude))) if magnitude else 0.0
