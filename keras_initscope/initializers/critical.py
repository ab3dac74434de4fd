"""Weights and biases at the edge of chaos, where signal and gradient survive depth."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import keras

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.arguments import checked_seed, number
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.theory.criticality import Criticality, criticality


def _checked(bias_variance: Any) -> float | None:
    if bias_variance is None:
        return None
    return number("bias_variance", bias_variance, least=0, hint="None takes the critical one.")


def _critical_point(activation: Any, bias_variance: float | None) -> Criticality:
    found = criticality(as_nonlinearity(activation), bias_variance)
    if not found.critical_weight_variance > 0:
        raise ValueError(
            f"{found.activation} has no critical weight variance at this bias variance: "
            f"{found.case}. Received: bias_variance={bias_variance}. {found.advice}"
        )
    return found


@keras.saving.register_keras_serializable("keras_initscope")
class Critical(FanScaling):
    """The critical weight variance: squared gradients keep their size from layer to layer.

    Use it for deep plain networks of tanh, erf and the like, with `CriticalBias` of the same
    arguments. There the correlation map has slope 1, so that neither two close inputs part nor two
    different ones become alike quickly, and depth costs least. For GELU, SiLU and Mish the critical
    point of unit variance is unstable; look at `keras_initscope.criticality(activation)` first.

    Formula:

    ```
    variance = weight_variance / fan_in,  with  weight_variance E f'(sqrt(q) z)^2 = 1
    q = weight_variance E f(sqrt(q) z)^2 + bias_variance
    ```

    Args:
        activation: The network's activation: a name, an elementwise function or a layer.
        bias_variance: Variance of the biases. `None` takes the critical point where the
            pre-activations' variance `q` is 1, and no bias where there is no such point.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`. For orthogonal
            weights take `ScaledOrthogonal(gain=weight_variance ** 0.5)`.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units; see `GainScaling`.
        output_axes: Axes of the weight that count as output units.
        fans: `(fan_in, fan_out)` where neither shape nor axes show them.

    Raises:
        ValueError: If no weight variance is critical for this activation and bias variance.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import Critical, CriticalBias

    layer = keras.layers.Dense(
        64,
        "tanh",
        kernel_initializer=Critical("tanh", bias_variance=0.05, seed=0),
        bias_initializer=CriticalBias("tanh", bias_variance=0.05, seed=1),
    )
    assert abs(Critical("tanh", 0.05).scale - 1.76095) < 1e-5
    ```

    Reference:

    - [Poole et al., 2016](https://arxiv.org/abs/1606.05340)
    - [Schoenholz et al., 2017](https://arxiv.org/abs/1611.01232), section 3
    """

    def __init__(
        self,
        activation: Any,
        bias_variance: float | None = None,
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.activation = activation
        self.bias_variance = _checked(bias_variance)
        scale = _critical_point(activation, self.bias_variance).critical_weight_variance
        super().__init__(scale, "fan_in", distribution, seed, input_axes, output_axes, fans)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the scale follows from them."""
        own = self._own("distribution", "seed", "input_axes", "output_axes", "fans")
        activation = activation_config(self.activation)
        return {"activation": activation, "bias_variance": self.bias_variance, **own}


@keras.saving.register_keras_serializable("keras_initscope")
class CriticalBias(keras.initializers.RandomNormal):
    """The biases that belong to `Critical` weights.

    Use it as `bias_initializer` beside `Critical` with the same activation and bias variance.

    Formula:

    `b ~ N(0, bias_variance)`; by default the bias variance of the critical point at which
    pre-activations have unit variance, `1 - E f(z)^2 / E f'(z)^2`

    Args:
        activation: The network's activation: a name, an elementwise function or a layer.
        bias_variance: Variance of the biases; `None` as in `Critical`.
        seed: A Python integer or a `keras.random.SeedGenerator`, other than that of the kernel.

    Raises:
        ValueError: If no weight variance is critical for this activation and bias variance.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import CriticalBias

    bias = CriticalBias("tanh", bias_variance=0.05, seed=0)((10_000,))
    assert abs(float(keras.ops.var(bias)) - 0.05) < 0.004
    ```

    Reference:

    - [Schoenholz et al., 2017](https://arxiv.org/abs/1611.01232), section 3
    """

    def __init__(
        self,
        activation: Any,
        bias_variance: float | None = None,
        seed: int | keras.random.SeedGenerator | None = None,
    ) -> None:
        self.activation = activation
        self.bias_variance = _checked(bias_variance)
        variance = _critical_point(activation, self.bias_variance).bias_variance
        super().__init__(mean=0.0, stddev=sqrt(variance), seed=checked_seed(seed))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; mean and deviation follow from them."""
        return {
            "activation": activation_config(self.activation),
            "bias_variance": self.bias_variance,
            "seed": super().get_config()["seed"],
        }
