"""What initializers draw: mean and variance by the initializer, or by drawing.

Owns the table of Keras' initializers; reads no weights.
"""

from __future__ import annotations

from functools import singledispatch
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.fans import shape_fans

_DRAWS = 1 << 16  # elements sampled from an initializer that nobody has described


def variance_of(initializer: Any, shape: tuple[int, ...]) -> float:
    """Variance of the weights that an initializer draws for a shape.

    Exact for Keras' own initializers; any other is sampled.

    ```
    VarianceScaling   scale / fan, also for the truncated normal, which Keras rescales
    RandomNormal      stddev^2
    TruncatedNormal   .773741 stddev^2, cut at two standard deviations
    RandomUniform     (maxval - minval)^2 / 12
    Orthogonal        gain^2 / max(rows, columns)
    Identity          gain^2 (1/n - 1/n^2) for n rows
    ```

    Args:
        initializer: A Keras initializer or its name.
        shape: Shape of the weights.

    Returns:
        The variance of one weight.

    Example:

    ```python
    from keras_initscope.prediction.draws import variance_of

    assert abs(variance_of("he_normal", (50, 20)) - 2 / 50) < 1e-12
    ```
    """
    return moments_of(keras.initializers.get(initializer), shape)[1]


@singledispatch
def moments_of(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and variance of what an initializer draws; register one that sampling does not fit."""
    if not isinstance(initializer, keras.initializers.Initializer):
        initializer = keras.initializers.get(initializer)
        if initializer in (None,) or not isinstance(initializer, keras.initializers.Initializer):
            return _sampled(initializer, shape)
        return moments_of(initializer, shape)
    return _sampled(initializer, shape)


def _sampled(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    """From as many draws as make the estimate good to one percent."""
    draws = max(1, min(64, _DRAWS // max(prod(shape), 1)))
    values = np.concatenate([drawn_by(initializer, shape, seed).ravel() for seed in range(draws)])
    return float(values.mean()), float(values.var())


_TRUNCATED = 0.7737413035499232  # variance of a normal cut at two standard deviations


@moments_of.register(keras.initializers.VarianceScaling)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    if callable(says := getattr(initializer, "variance", None)):  # as those of this package
        return 0.0, float(says(shape))
    if type(initializer).__call__ is not keras.initializers.VarianceScaling.__call__:
        return _sampled(initializer, shape)  # a subclass that draws in its own way
    fan_in, fan_out = shape_fans(shape, initializer.input_axes, initializer.output_axes)
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    return 0.0, initializer.scale / max(1.0, fans[initializer.mode])


@moments_of.register(keras.initializers.RandomNormal)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    return float(initializer.mean), float(initializer.stddev) ** 2


@moments_of.register(keras.initializers.TruncatedNormal)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    return float(initializer.mean), _TRUNCATED * float(initializer.stddev) ** 2


@moments_of.register(keras.initializers.RandomUniform)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    low, high = float(initializer.minval), float(initializer.maxval)
    return (low + high) / 2, (high - low) ** 2 / 12


@moments_of.register(keras.initializers.Zeros)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    return 0.0, 0.0


@moments_of.register(keras.initializers.Ones)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    return 1.0, 0.0


@moments_of.register(keras.initializers.Constant)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    values = np.asarray(initializer.value, dtype=float)
    return float(values.mean()), float(values.var())


@moments_of.register(keras.initializers.Orthogonal)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    if type(initializer) is not keras.initializers.Orthogonal:
        return _sampled(initializer, shape)
    rows, columns = prod(shape[:-1]), shape[-1]
    return 0.0, float(initializer.gain) ** 2 / max(rows, columns)


@moments_of.register(keras.initializers.Identity)
def _(initializer: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    share, gain = min(shape) / prod(shape), float(initializer.gain)
    return gain * share, gain**2 * share * (1 - share)


def drawn_by(initializer: Any, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    """A copy of a seed of its own draws, so that no generator of the user's moves on."""
    if isinstance(initializer, keras.initializers.Initializer):
        config = initializer.get_config()
        config = {**config, "seed": seed} if "seed" in config else config
        initializer = type(initializer).from_config(config)
    return keras.ops.convert_to_numpy(initializer(shape, dtype="float32")).astype(float)
