"""The mean and mean square of a layer's weights: actual ones, or those its initializer will draw.

Owns the reading of weights; knows no layer's arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.fans import shape_fans

_DRAWS = 1 << 16  # elements sampled from an initializer that nobody has described
_TOLERANCE = 0.05  # share of the signal that a common weight may add before units are not alike
_SIGNIFICANT = 16.0  # squared standard errors beyond which a mean is no accident


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Mean and mean square of weights.

    Args:
        square: Mean square.
        mean: Mean.
        count: Number of weights.
        fan_in: Inputs of one unit, where they are known.
    """

    square: float
    mean: float = 0.0
    count: int = 1
    fan_in: float = 1

    @property
    def lopsided(self) -> bool:
        """Whether their mean makes units alike: signal theory needs weights around zero."""
        common, spread = self.mean**2, self.square - self.mean**2
        noise = _SIGNIFICANT * spread / self.count
        return common > noise and self.fan_in * common > _TOLERANCE * self.square


_from_initializers: ContextVar[bool] = ContextVar("from_initializers", default=False)
_factors: ContextVar[dict[int, float] | None] = ContextVar("factors", default=None)


@contextmanager
def read_from(weights: str) -> Iterator[None]:
    """Choose between `"actual"` weights and those that `"initializers"` will draw."""
    if weights not in ("actual", "initializers"):
        raise ValueError(
            f"Expected weights='actual' or weights='initializers'. Received: weights={weights!r}."
        )
    token = _from_initializers.set(weights == "initializers")
    try:
        yield
    finally:
        _from_initializers.reset(token)


@contextmanager
def multiplied_by(factor: float, variable: Any) -> Iterator[None]:
    """Read one variable as if it were multiplied by a factor."""
    token = _factors.set({**(_factors.get() or {}), id(variable): factor})
    try:
        yield
    finally:
        _factors.reset(token)


def weights_of(
    layer: Any, name: str, fan_in: float = 1, drawn_as: tuple[int, ...] | None = None
) -> Weights:
    """The weights that a layer holds under a name.

    Args:
        layer: A built Keras layer.
        name: Attribute, such as `"kernel"`.
        fan_in: Inputs that meet in one unit.
        drawn_as: Shape that the initializer is asked for, where it is not that of the weights.

    Returns:
        Their moments; zeros where the layer has no such weights.
    """
    variable = getattr(layer, name, None)
    if variable is None:
        return Weights(square=0.0)
    if _from_initializers.get():
        initializer = getattr(layer, f"{name}_initializer", None)
        if initializer is not None:
            return expected(initializer, drawn_as or tuple(variable.shape), fan_in)
    return measured(values_of(variable), fan_in)


def values_of(variable: Any) -> NDArray[np.float64]:
    """A variable's values in double precision."""
    factor = (_factors.get() or {}).get(id(variable), 1.0)
    tensor = variable if isinstance(variable, np.ndarray) else getattr(variable, "value", variable)
    return factor * np.asarray(keras.ops.convert_to_numpy(tensor), dtype=float)


def measured(values: Any, fan_in: float = 1) -> Weights:
    """The moments of an array."""
    array = np.asarray(values, dtype=float)
    return Weights(
        square=float(np.mean(array**2)),
        mean=float(array.mean()),
        count=array.size,
        fan_in=fan_in,
    )


def expected(initializer: Any, shape: tuple[int, ...], fan_in: float = 1) -> Weights:
    """The moments of what an initializer draws."""
    mean, variance = moments_of(initializer, shape)
    return Weights(square=variance + mean**2, mean=mean, count=prod(shape), fan_in=fan_in)


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
    from keras_initscope.prediction.weights import variance_of

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
    """From as many draws as make the estimate good to one percent; the initializer is copied."""
    if hasattr(initializer, "clone"):
        initializer = initializer.clone()
    drawn = [
        keras.ops.convert_to_numpy(initializer(shape, dtype="float32")).astype(float).ravel()
        for _ in range(max(1, min(64, _DRAWS // max(prod(shape), 1))))
    ]
    values = np.concatenate(drawn)
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
