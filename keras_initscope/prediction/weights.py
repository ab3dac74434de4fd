"""The mean and mean square of a layer's weights: actual ones, or those its initializer will draw.

Owns the reading of weights; knows no layer's arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.prediction.draws import drawn_by, moments_of

_TOLERANCE = 0.05  # share of the signal that a common weight may add before units are not alike
_SIGNIFICANT = 36.0  # squared standard errors beyond which a mean is no accident


class UnpredictableError(Exception):
    """Raised by a rule that has no prediction; the message says why."""


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
_factors: ContextVar[dict[int, Any] | None] = ContextVar("factors", default=None)


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
def multiplied_by_each(factors: dict[int, Any]) -> Iterator[None]:
    """Read each variable as if it were multiplied by what stands under its `id`, now or later."""
    token = _factors.set(factors)
    try:
        yield
    finally:
        _factors.reset(token)


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
    if getattr(layer, "quantization_mode", None):
        raise UnpredictableError(f"its weights are quantized to {layer.quantization_mode}")
    if _from_initializers.get():
        initializer = _initializer_of(layer, name)
        if initializer is not None:
            found = expected(initializer, drawn_as or tuple(variable.shape), fan_in)
            factor = (_factors.get() or {}).get(id(variable), 1.0)
            return replace(found, square=factor**2 * found.square, mean=factor * found.mean)
    found = measured(values_of(variable), fan_in)
    if not np.isfinite(found.square):
        raise UnpredictableError(f"its weights `{name}` hold numbers that are not finite")
    return found


def from_initializers() -> bool:
    """Whether weights are those that initializers will draw."""
    return _from_initializers.get()


def _initializer_of(layer: Any, name: str) -> Any:
    """Keras leaves the `kernel` out of some names; the kernel of a depthwise layer has its own."""
    for stem in (name, name.removesuffix("_kernel"), "depthwise"):
        found = getattr(layer, f"{stem}_initializer", None)
        if found is not None:
            return found
    return None


def alike(layer: Any, name: str) -> bool:
    """Whether all its weights will be drawn alike, by an initializer that is described here."""
    initializer = _initializer_of(layer, name)
    rule = moments_of.dispatch(type(initializer))
    return _from_initializers.get() and rule is not moments_of.dispatch(object)


def sample_of(layer: Any, name: str) -> NDArray[np.float64]:
    """The weights that a layer holds under a name, or one draw of its initializer."""
    variable = getattr(layer, name)
    initializer = _initializer_of(layer, name)
    if not _from_initializers.get() or initializer is None:
        return values_of(variable)
    if getattr(layer, "unit_forget_bias", False) and name == "bias":
        ones = np.arange(4 * layer.units) // layer.units == 1  # as an LSTM starts
        return np.where(ones, 1.0, drawn_by(initializer, tuple(variable.shape)))
    return drawn_by(initializer, tuple(variable.shape))


def values_of(variable: Any) -> NDArray[np.float64]:
    """A variable's values in double precision."""
    factor = (_factors.get() or {}).get(id(variable), 1.0)
    tensor = variable if isinstance(variable, np.ndarray) else getattr(variable, "value", variable)
    return factor * as_array(tensor)


def as_array(tensor: Any) -> NDArray[np.float64]:
    """Any array, tensor or variable in double precision."""
    # Of a variable by way of a tensor, for which one that is mirrored on several devices must be
    # copied: NumPy warns of how TensorFlow's variables hand over theirs.
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.copy(tensor)), dtype=float)


def measured(values: Any, fan_in: float = 1) -> Weights:
    """The moments of an array."""
    array = np.asarray(values, dtype=float)
    return Weights(
        square=float(np.vdot(array, array) / array.size),
        mean=float(array.mean()),
        count=array.size,
        fan_in=fan_in,
    )


def expected(initializer: Any, shape: tuple[int, ...], fan_in: float = 1) -> Weights:
    """The moments of what an initializer draws."""
    mean, variance = moments_of(initializer, shape)
    return Weights(square=variance + mean**2, mean=mean, count=prod(shape), fan_in=fan_in)
