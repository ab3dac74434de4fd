"""Variance scaling matched to the activation that follows, by what theory knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.arguments import choice
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.theory.gains import gain, kumar_variance

_GAIN = {
    "fan_in": "forward",
    "fan_out": "backward",
    "fan_avg": "average",
    "fan_geo_avg": "geometric",
}


@keras.saving.register_keras_serializable("keras_initscope")
class GainScaling(FanScaling):
    """Variance `gain ** 2 / fan`, with the gain of any activation.

    Use it for a layer whose activation no named initializer is made for, such as GELU, Mish or a
    function of your own; for ReLU it is `HeNormal`, without an activation `LecunNormal`. Signal
    (`fan_in`) or gradient (`fan_out`) then keep their second moment from layer to layer at
    pre-activations of unit variance. Whether they return to it once they have left it is another
    question, which `keras_initscope.criticality(activation)` answers.

    Formula:

    ```
    fan_in:       gain^2 = 1 / E f(z)^2                     keeps the signal
    fan_out:      gain^2 = 1 / E f'(z)^2                    keeps the gradient
    fan_avg:      gain^2 = 2 / (E f(z)^2 + E f'(z)^2)       shares a change of width
    fan_geo_avg:  gain^2 = 1 / sqrt(E f(z)^2 E f'(z)^2)     keeps signal times gradient
    variance = gain^2 / fan,  z ~ N(0, 1)
    ```

    Args:
        activation: The network's activation, whose change of scale the weights make up for: a
            name, an elementwise function, a layer or `None`, as
            `keras_initscope.activations.as_nonlinearity` reads them.
        mode: `"fan_in"`, `"fan_out"`, `"fan_avg"` or `"fan_geo_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units, set by `EinsumDense` itself. A
            depthwise kernel needs `(0, 1)`, a transposed one `(0, 1, 3)`: their shapes do not
            show it.
        output_axes: Axes of the weight that count as output units; `(3,)` and `(2,)` there.
        fans: `(fan_in, fan_out)` where axes do not show them either: strides divide the fan-in
            of a transposed convolution. `keras_initscope.fans.fans_of` gives them.

    Raises:
        ValueError: If the activation cannot be read, or passes no signal.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import GainScaling

    layer = keras.layers.Dense(64, "gelu", kernel_initializer=GainScaling("gelu", seed=0))

    kernel = GainScaling("relu", "fan_geo_avg", seed=0)((400, 100))
    assert abs(float(keras.ops.var(kernel)) - 2 / 200) < 0.0005
    ```

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), equations 10 (forward) and 14 (backward)
    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html), equation 12, for
      the average
    """

    def __init__(
        self,
        activation: Any,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.activation = activation
        scale = gain(as_nonlinearity(activation), _GAIN[choice("mode", mode, _GAIN)]) ** 2
        super().__init__(scale, mode, distribution, seed, input_axes, output_axes, fans)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the scale follows from them."""
        own = self._own("mode", "distribution", "seed", "input_axes", "output_axes", "fans")
        return {"activation": activation_config(self.activation), **own}


@keras.saving.register_keras_serializable("keras_initscope")
class Kumar(FanScaling):
    """Kumar's variance for an activation that is differentiable at zero, such as the sigmoid.

    Use it for deep networks of sigmoids, which neither Glorot's nor He's variance can train, and
    for other activations that are curved at zero but do not pass through it.

    Formula:

    `variance = 1 / (fan_in f'(0)^2 (1 + f(0)^2))`, for a sigmoid 12.8 / fan_in (the paper's
    3.6^2 = 12.96 is a rounding), for tanh 1 / fan_in

    Args:
        activation: The network's activation: a name, an elementwise function or a layer.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units; see `GainScaling`.
        output_axes: Axes of the weight that count as output units.
        fans: `(fan_in, fan_out)` where neither shape nor axes show them.

    Raises:
        ValueError: If the activation has a kink at zero, as ReLU has, or no slope there: the
            formula's premise then fails.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import Kumar

    layer = keras.layers.Dense(64, "sigmoid", kernel_initializer=Kumar("sigmoid", seed=0))

    kernel = Kumar("sigmoid", seed=0)((128, 400))
    assert abs(float(keras.ops.var(kernel)) - 12.8 / 128) < 0.003
    ```

    Reference:

    - [Kumar, 2017](https://arxiv.org/abs/1704.08863)
    """

    def __init__(
        self,
        activation: Any,
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.activation = activation
        scale = kumar_variance(as_nonlinearity(activation), 1)
        super().__init__(scale, "fan_in", distribution, seed, input_axes, output_axes, fans)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the scale follows from them."""
        own = self._own("distribution", "seed", "input_axes", "output_axes", "fans")
        return {"activation": activation_config(self.activation), **own}
