"""Gains of a nonlinearity, and the weight variances that follow from them.

Owns what one layer does to the scale of signal and gradient; `meanfield` owns what many do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_initscope.theory.moments import second_moment, slope_second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity

_POWER: dict[str, Callable[[float, float], float]] = {
    "forward": lambda signal, slope: signal,
    "backward": lambda signal, slope: slope,
    "average": lambda signal, slope: (signal + slope) / 2,
    "geometric": lambda signal, slope: float(np.sqrt(signal * slope)),
}


def gain(phi: Nonlinearity, mode: str = "forward", variance: float = 1.0) -> float:
    """Factor for the standard deviation of the weights that makes up for a nonlinearity.

    With `x ~ N(0, q)`, `A = E f(x)^2 / q` and `B = E f'(x)^2`, weights of variance
    `gain^2 / fan_in` keep the second moment of the signal for

    - `"forward"`: `gain = A^-1/2`, and that of the gradient, at equal fans, for
    - `"backward"`: `gain = B^-1/2`. In between lie
    - `"average"`: `((A + B) / 2)^-1/2`, the mean of the two conditions, as in Glorot & Bengio
      (2010, eq. 12), and
    - `"geometric"`: `(A B)^-1/4`, the geometric mean of the two gains.

    Args:
        phi: The nonlinearity.
        mode: One of the four above.
        variance: Variance `q` of its input.

    Returns:
        The gain, dimensionless.

    Raises:
        ValueError: If the mode is unknown, or if no signal or no gradient passes.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert abs(gain(nonlinearity("relu")) - 2**0.5) < 1e-14
    assert abs(gain(nonlinearity("tanh")) - 1.5925374197) < 1e-9
    ```
    """
    if mode not in _POWER:
        raise ValueError(f"Unknown mode. Received: mode={mode!r}. Expected one of {list(_POWER)}.")
    signal = float(second_moment(phi, variance)) / variance
    slope = float(slope_second_moment(phi, variance))
    power = _POWER[mode](signal, slope)
    if not 0 < power < np.inf:
        raise ValueError(
            f"{phi.name} has no {mode} gain at input variance {variance:g}. Received second "
            f"moments {signal:g} of its output over its input and {slope:g} of its derivative; "
            "expected positive and finite ones."
        )
    return power**-0.5


def kumar_variance(phi: Nonlinearity, fan_in: int) -> float:
    """Weight variance for a nonlinearity that is differentiable at zero, after Kumar (2017).

    `v^2 = 1 / (N f'(0)^2 (1 + f(0)^2))`, the first-order expansion about zero (Kumar, 2017,
    "On weight initialization in deep neural networks"). For a sigmoid it is 12.8/N; the
    paper's 3.6^2 = 12.96 is a rounding.

    Args:
        phi: The nonlinearity.
        fan_in: Inputs `N` of a unit.

    Returns:
        Variance of a weight.

    Raises:
        ValueError: If `f` is not differentiable at zero or `f'(0) = 0`: the expansion the formula
            rests on then does not exist.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    assert abs(kumar_variance(nonlinearity("sigmoid"), 100) - 0.128) < 1e-15
    ```
    """
    if not phi.is_differentiable_at(0.0):
        raise ValueError(
            f"Kumar's variance needs a nonlinearity that is differentiable at 0; {phi.name} has a "
            f"kink there. Expected one such as 'sigmoid'. Use gain({phi.name!r}) instead: the "
            "weight variance is gain**2 / fan_in."
        )
    value, slope = (float(g(np.zeros(1))[0]) for g in (phi.f, phi.df))
    if abs(slope) < 1e-8:
        raise ValueError(
            f"Kumar's variance needs f'(0) != 0; {phi.name} has f'(0) = {slope:g}, so no "
            f"linear signal passes at 0. Use gain({phi.name!r}) instead."
        )
    return 1 / (fan_in * slope**2 * (1 + value**2))
