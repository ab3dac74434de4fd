"""Leaky rectifiers whose slope suits the depth of a network.

Owns what Tailored Activation Transformations (Zhang et al., 2022) and Deep Kernel Shaping (Martens
et al., 2021) make of them; smooth activations are in `shaping`.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from keras_initscope.theory.composition import Structure, maximal
from keras_initscope.theory.kernel_conditions import local_slope
from keras_initscope.theory.transformed import Transformation


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


def dks_leaky_relu(network: Structure, slope: float = 1.5) -> tuple[float, Transformation]:
    """The leaky ReLU of Deep Kernel Shaping: its slope, its shift and its scale.

    The conditions are those of `shaping.dks`. Output shift and scale give mean 0 and variance 1, by
    which a rectifier keeps deviations of the variance too; the slope `a` below zero gives `psi`:

    ```
    E f'^2 = psi   where   (1 - a)^2 / (1 + a^2) = pi (psi - 1) / psi
    f(x) = (max(x, a x) - (1 - a) / sqrt(2 pi)) / sqrt((1 + a^2)/2 - (1 - a)^2 / (2 pi))
    ```

    Args:
        network: Its structure: a number of activations in a row, or see `composition`.
        slope: The largest slope of any subnetwork's correlation map, above 1; the paper's 1.5.

    Returns:
        The slope below zero, 0 (a plain ReLU) where the network is too shallow to reach the largest
        slope; and the transformation.

    Raises:
        ValueError: If the largest slope is not above 1.

    Example:

    ```python
    from keras_initscope.theory.gains import gain
    from keras_initscope.theory.piecewise import leaky_relu
    from keras_initscope.theory.transformed import transformed

    below, by = dks_leaky_relu(50)
    made = transformed(leaky_relu(below), by)
    assert abs(below - 0.796371) < 1e-6 and abs(gain(made) - 1) < 1e-9
    ```
    """
    psi = local_slope(network, slope)
    rest = max(1 - np.pi * (psi - 1) / psi, 0.0)
    below = float((1 - np.sqrt(1 - rest**2)) / rest) if rest else 0.0
    mean = (1 - below) / np.sqrt(2 * np.pi)
    variance = (1 + below**2) / 2 - mean**2
    return below, Transformation(output_scale=float(variance**-0.5), output_shift=float(-mean))


def _leaky_map(slope: float, c: float) -> float:
    c = min(max(c, -1.0), 1.0)
    bend = (1 - slope) ** 2 / (np.pi * (1 + slope**2))
    return float(c + bend * (np.sqrt((1 - c) * (1 + c)) - c * np.arccos(c)))
