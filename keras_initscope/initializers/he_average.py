"""He initialization with the average of the two fans: variance 4 / (fan_in + fan_out)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_initscope.arguments import checked_axes, checked_seed


class _HeAverage(keras.initializers.VarianceScaling):
    """Variance 2 / ((fan_in + fan_out) / 2), of a distribution that the subclass names."""

    _distribution: str

    def __init__(
        self,
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        axes = checked_axes(input_axes, output_axes)
        super().__init__(2.0, "fan_avg", self._distribution, checked_seed(seed), *axes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; scale, mode and distribution follow from the class."""
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


@keras.saving.register_keras_serializable("keras_initscope")
class HeAverageNormal(_HeAverage):
    """He initialization with averaged fans, normally distributed.

    Use it for layers with a ReLU-like activation when neither the signal nor the gradient shall
    pay alone for a change of width. `HeNormal` with `fan_in` keeps the variance of the signal and
    lets that of the gradient change by `fan_out / fan_in` a layer; this initializer shares the
    change between both directions, as `GlorotNormal` does for activations with unit slope. Where
    `fan_in == fan_out` it equals `HeNormal`.

    Formula:

    `stddev = sqrt(4 / (fan_in + fan_out))`

    Values come from a normal distribution that is truncated at two of its standard deviations and
    rescaled such that the standard deviation *after* truncation is `stddev`, as in
    `keras.initializers.VarianceScaling`.

    Args:
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones. Hence one
            object for several layers needs a `SeedGenerator`, else those of the same shape start
            with the same weights.
        input_axes: Axes of the weight that count as input units, for layers such as
            `keras.layers.EinsumDense`, which set it themselves. `None` reads the fans from the
            shape: the last two axes, times the receptive field in front of them.
        output_axes: Axes of the weight that count as output units; goes with `input_axes`.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import HeAverageNormal

    layer = keras.layers.Dense(64, "relu", kernel_initializer=HeAverageNormal(seed=0))
    by_name = keras.layers.Dense(64, kernel_initializer="keras_initscope>HeAverageNormal")

    kernel = HeAverageNormal(seed=0)((300, 100))
    assert abs(float(keras.ops.var(kernel)) - 0.01) < 0.0005
    ```

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), equations 10 (forward) and 14 (backward)
    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html), equation 12, for
      the average of the two
    """

    _distribution = "truncated_normal"


@keras.saving.register_keras_serializable("keras_initscope")
class HeAverageUniform(_HeAverage):
    """He initialization with averaged fans, uniformly distributed.

    Use it as `HeAverageNormal`, when no weight shall be larger than a known limit. Both have the
    same variance.

    Formula:

    `limit = sqrt(12 / (fan_in + fan_out))`, values uniform in `[-limit, limit)`,
    hence a variance of `limit ** 2 / 3 = 4 / (fan_in + fan_out)`

    Args:
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones. Hence one
            object for several layers needs a `SeedGenerator`, else those of the same shape start
            with the same weights.
        input_axes: Axes of the weight that count as input units, for layers such as
            `keras.layers.EinsumDense`, which set it themselves. `None` reads the fans from the
            shape: the last two axes, times the receptive field in front of them.
        output_axes: Axes of the weight that count as output units; goes with `input_axes`.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import HeAverageUniform

    layer = keras.layers.Conv2D(16, 3, kernel_initializer=HeAverageUniform(seed=0))

    kernel = HeAverageUniform(seed=0)((300, 100))
    assert float(keras.ops.max(keras.ops.abs(kernel))) <= (12 / 400) ** 0.5
    ```

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), equations 10 (forward) and 14 (backward)
    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html), equations 12 and
      16, for the average and the uniform limit
    """

    _distribution = "uniform"
