"""Weights whose variance is a scale over a fan, for any scale and any fan.

Owns the base class of the initializers that do so, and what they say of a fan that no shape shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

import keras

_FAN: dict[str, Callable[[float, float], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
    "fan_geo_avg": lambda fan_in, fan_out: sqrt(fan_in * fan_out),
}


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
        if mode not in _FAN:
            raise ValueError(f"Expected a mode of {list(_FAN)}. Received: mode={mode!r}.")
        super().__init__(scale, "fan_in", distribution, seed, input_axes, output_axes)
        self.mode = mode
        self.fans = _checked(fans)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the weights.

        Args:
            shape: Shape of the weight.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        fan = max(_FAN[self.mode](*self._fans(shape)), 1e-12)
        drawing = keras.initializers.VarianceScaling(
            self.scale / fan, "fan_in", self.distribution, self.seed, (), ()
        )
        return drawing(shape, dtype=dtype)

    def _fans(self, shape: Sequence[int]) -> tuple[float, float]:
        return self.fans or shape_fans(shape, self.input_axes, self.output_axes)

    def _own(self, *names: str) -> dict[str, Any]:
        """The part of the configuration that a subclass takes, under these names."""
        config = {**super().get_config(), "fans": self.fans}
        return {name: config[name] for name in names}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "fans": self.fans}


def shape_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None, output_axes: Sequence[int] | None
) -> tuple[float, float]:
    """The fans that a shape shows, as Keras counts them, or those of the given axes."""
    if input_axes is not None and output_axes is not None:
        return float(prod(shape[i] for i in input_axes)), float(prod(shape[i] for i in output_axes))
    if len(shape) < 2:
        return float(prod(shape)), float(prod(shape))
    field = prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


def _checked(fans: Sequence[float] | None) -> tuple[float, float] | None:
    if fans is None:
        return None
    if len(fans) != 2 or not all(isinstance(fan, int | float) and fan > 0 for fan in fans):
        raise ValueError(
            f"Expected fans=(fan_in, fan_out), two positive numbers. Received: fans={fans!r}. "
            "keras_initscope.fans.fans_of(layer) gives those of a layer that is built."
        )
    return float(fans[0]), float(fans[1])
