"""Weights whose variance is a scale over a fan, for any scale and any fan.

Owns the base class of the initializers that do so, and what they say of a fan that no shape shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import keras

from keras_initscope.arguments import (
    checked_axes,
    checked_fans,
    checked_seed,
    choice,
    positive,
)
from keras_initscope.fans import shape_fans

_FAN: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: sqrt(fan_in * fan_out),
}

_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform", "normal")
_SMALLEST = 1e-12  # of a fan: an empty weight has none


@keras.saving.register_keras_serializable("keras_initscope")
class FanScaling(keras.initializers.VarianceScaling):
    """Variance `scale / fan`; with the geometric mean of the fans too, and with given fans.

    A `VarianceScaling`, since Keras tells only those which axes an `EinsumDense` contracts.

    Args:
        scale: The scale, positive.
        mode: Which fan: `"fan_in"`, `"fan_out"`, `"fan_avg"` or `"fan_geo_avg"`.
        distribution: As in `keras.initializers.VarianceScaling`.
        seed: As there.
        input_axes: As there; negative numbers count from the last axis.
        output_axes: As there.
        fans: `(fan_in, fan_out)` in the place of those that shape and axes show.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            positive("scale", scale),
            "fan_in",
            _checked_distribution(distribution),
            checked_seed(seed),
            *checked_axes(input_axes, output_axes),
        )
        self.mode = choice("mode", mode, _FAN)
        self.fans = checked_fans(fans)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the weights.

        Args:
            shape: Shape of the weight.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        drawing = keras.initializers.VarianceScaling(
            self.variance(shape), "fan_in", self.distribution, self.seed, (), ()
        )
        return drawing(shape, dtype=dtype)

    def variance(self, shape: Sequence[int]) -> float:
        """Mean square of the weights that are drawn for a shape.

        Args:
            shape: Shape of the weight.

        Returns:
            `scale / fan`.
        """
        fans = self.fans or shape_fans(shape, self.input_axes, self.output_axes)
        return float(self.scale / max(_FAN[self.mode](*fans), _SMALLEST))

    def _own(self, *names: str) -> dict[str, Any]:
        """The part of the configuration that a subclass takes, under these names."""
        config = {**super().get_config(), "fans": self.fans}
        return {name: config[name] for name in names}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "fans": self.fans}


def _checked_distribution(distribution: Any) -> str:
    """One of the distributions of `keras.initializers.VarianceScaling`, as it names them itself."""
    lowered = distribution.lower() if isinstance(distribution, str) else distribution
    return choice("distribution", lowered, _DISTRIBUTIONS)
