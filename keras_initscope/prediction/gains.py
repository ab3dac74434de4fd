"""Gain and criticality of anything that acts as an activation."""

from __future__ import annotations

from typing import Any

from keras_initscope.activations import as_nonlinearity
from keras_initscope.theory import criticality as theory_of_depth
from keras_initscope.theory import gains as theory_of_gains
from keras_initscope.theory.criticality import Criticality

__all__ = ["Criticality", "criticality", "gain"]


def gain(activation: Any, mode: str = "forward") -> float:
    """Factor for the standard deviation of the weights that makes up for an activation.

    Use it to choose the `scale` of a `keras.initializers.VarianceScaling`, which is the square of
    the gain, for an activation that no named initializer is made for. For pre-activations
    `z ~ N(0, 1)`:

    ```
    forward:   E[f(z)^2] ** -1/2    keeps the signal, with mode="fan_in"
    backward:  E[f'(z)^2] ** -1/2   keeps the gradient, with mode="fan_out"
    average:   ((E[f(z)^2] + E[f'(z)^2]) / 2) ** -1/2
    geometric: (E[f(z)^2] E[f'(z)^2]) ** -1/4
    ```

    A function that nobody has described is looked at at points at most .03 apart: what is narrower
    than that is not seen.

    Args:
        activation: Name, elementwise function or layer; see `as_nonlinearity`.
        mode: `"forward"`, `"backward"`, `"average"` or `"geometric"`.

    Returns:
        The gain, dimensionless.

    Raises:
        ValueError: If the activation cannot be read or is not elementwise, the mode is unknown, or
            no signal passes.

    Example:

    ```python
    import keras

    from keras_initscope.prediction.gains import gain

    assert abs(gain("relu") - 2**0.5) < 1e-12
    initializer = keras.initializers.VarianceScaling(scale=gain("gelu") ** 2, mode="fan_in")
    ```

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), eqs. 10 and 14
    """
    return theory_of_gains.gain(as_nonlinearity(activation), mode)


def criticality(
    activation: Any,
    bias_variance: float | None = None,
    weight_variance: float | None = None,
    start: float = 1.0,
) -> Criticality:
    """Where signal and gradient survive the depth of a plain network, and how deep it can be.

    By default describes the critical point: the weight variance at which the squared gradient
    keeps its size from layer to layer, `chi_1 = 1`. Give a weight variance to see what that one
    does instead. Look at `case` and `advice`, or print the record: where the fixed point `q*` of
    the variance is unstable, as for GELU, SiLU and Mish at unit variance, it says so and what
    helps.

    Args:
        activation: Name, elementwise function or layer; see `as_nonlinearity`.
        bias_variance: Variance of the biases. `None` takes the critical point of unit variance,
            `q* = 1`, where there is one; with a weight variance, and elsewhere, it means zero.
        weight_variance: Variance of the weights times fan-in; `None` takes the critical one.
        start: Variance of the first layer's pre-activations; used with a weight variance.

    Returns:
        A frozen record; see `Criticality`.

    Raises:
        ValueError: If the activation cannot be read or is not elementwise, or a variance is
            negative or not finite.

    Example:

    ```python
    from keras_initscope.prediction.gains import criticality

    assert criticality("gelu").case == "unstable"
    assert abs(criticality("relu").critical_weight_variance - 2) < 1e-12
    ordered = criticality("tanh", bias_variance=0.05, weight_variance=1.0)
    assert ordered.chi_1 < 1 and ordered.trainable_depth < 30
    ```

    Reference:

    - [Schoenholz et al., 2017](https://arxiv.org/abs/1611.01232)
    """
    phi = as_nonlinearity(activation)
    return theory_of_depth.criticality(phi, bias_variance, weight_variance, start)
