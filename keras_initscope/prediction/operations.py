"""Operations of `keras.ops` that functional graphs hold between the layers.

Owns one rule an operation, by the name of its class; those without a rule are unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_initscope.activations import as_nonlinearity
from keras_initscope.prediction import merging, pooling, reshaping
from keras_initscope.prediction.activation import softmax, through
from keras_initscope.prediction.combining import multiplied, summed
from keras_initscope.prediction.dense import connected
from keras_initscope.prediction.primitives import scaled, shifted
from keras_initscope.prediction.spatial import resampled
from keras_initscope.prediction.state import State, Unknown, same_moments, state, weights_held_by
from keras_initscope.prediction.transfer import UnpredictableError, transfer
from keras_initscope.prediction.tying import refuse_tied
from keras_initscope.prediction.weights import Weights, as_array, measured, values_of

RULES: dict[str, Any] = {}
"""Name of the operation's class to its rule, called with the operation and its arguments."""

_ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu",
    "Softplus": "softplus", "Softsign": "softsign", "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu", "HardTanh": "hard_tanh", "Selu": "selu", "Erf": "erf",
    "Exp": "exponential", "Sin": "sin", "LogSigmoid": "log_sigmoid", "TanhShrink": "tanh_shrink",
}  # fmt: skip
_FUNCTIONS = {
    "Absolute": np.abs, "Abs": np.abs, "Square": np.square, "Cos": np.cos,
}  # fmt: skip


def _rule(*names: str) -> Any:
    def enter(function: Any) -> Any:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


@transfer.register(keras.Operation)
def _(operation: Any, *args: Any, **kwargs: Any) -> Any:
    name = type(operation).__name__
    if name in _ACTIVATIONS:
        return through(_ACTIVATIONS[name], args[0])
    if name in _FUNCTIONS:
        return through(_FUNCTIONS[name], args[0])
    if name not in RULES:
        raise UnpredictableError(f"nothing is known of the operation {name}")
    return RULES[name](operation, *args, **kwargs)


def _constant(x: Any) -> np.ndarray[Any, Any]:
    return values_of(x) if hasattr(x, "_value") else as_array(x)


def _two(a: Any, b: Any) -> tuple[State, Any]:
    """The state first, and the constant, or the other state."""
    return (a, b) if isinstance(a, State) else (b, a)


@_rule("Add")
def _added(_: Any, a: Any, b: Any) -> State | Unknown:
    if isinstance(a, State) and isinstance(b, State):
        return summed([a, b])
    return _with_constant(*_two(a, b))


def _with_constant(x: State, constant: Any) -> State:
    values = _constant(constant)
    if values.ndim == 0:
        return shifted(x, float(values), float(values) ** 2)
    if values.ndim == 1:  # one a unit
        return shifted(x, values.mean(), np.mean(values**2))
    positions = values.mean(axis=-1), np.mean(values**2, axis=-1)
    mean, square = (m[0] if m.ndim == len(x.shape) else m for m in positions)
    if mean.ndim != len(x.positions):
        raise UnpredictableError("it adds a constant of another rank")
    made = shifted(x, mean, square)
    values = values[0] if values.ndim > len(x.shape) else values
    apart = _apart(values)  # as position embeddings tell positions apart
    return replace(made, r=made.r - apart, m=float(np.mean(made.p)) - apart)


def _apart(values: np.ndarray[Any, Any]) -> float:
    """Half the mean squared difference of a constant between neighbouring positions."""
    steps = [np.diff(values, axis=axis) for axis in range(values.ndim - 1)]
    return float(np.mean([np.mean(step**2) / 2 for step in steps if step.size] or [0.0]))


@_rule("Subtract")
def _subtracted(_: Any, a: Any, b: Any) -> State | Unknown:
    if isinstance(a, State) and isinstance(b, State):
        return summed([a, b], [1.0, -1.0])
    if isinstance(a, State):
        return _with_constant(a, -_constant(b))
    return _with_constant(scaled(b, -1.0), a)


@_rule("Multiply")
def _multiplied(_: Any, a: Any, b: Any) -> State | Unknown:
    if isinstance(a, State) and isinstance(b, State):
        return multiplied(a, b)
    return _times(*_two(a, b))


def _times(x: State, constant: Any) -> State:
    """By a number, or by one number a unit: their mean square counts."""
    values = _constant(constant)
    if values.ndim == 0 or values.size == 1:
        return scaled(x, float(values.reshape(())))
    if values.size != values.shape[-1]:
        raise UnpredictableError("it multiplies by a constant that differs between positions")
    factor = float(np.sqrt(np.mean(values**2)))
    made = scaled(x, factor)
    if np.ptp(values) == 0 and values.flat[0] >= 0:
        return made
    return same_moments(made, mu=x.mu * values.mean(), through=None, parts=None, key=made.key)


@_rule("Divide", "TrueDivide")
def _divided(_: Any, a: Any, b: Any) -> State:
    if not isinstance(a, State) or isinstance(b, State):
        raise UnpredictableError("it divides by a tensor that depends on the input")
    return _times(a, 1 / _constant(b))


@_rule("Negative")
def _negative(_: Any, x: State) -> State:
    return scaled(x, -1.0)


@_rule("Clip")
def _clipped(operation: Any, x: State) -> State | Unknown:
    low, high = float(operation.x_min), float(operation.x_max)
    return through(_clip(low, high), x)


def _clip(low: float, high: float) -> Any:
    found = _CLIPS.get((low, high))
    if found is None:
        found = _CLIPS[low, high] = as_nonlinearity(lambda x: keras.ops.clip(x, low, high))
    return found


_CLIPS: dict[tuple[float, float], Any] = {}


@_rule("Gelu")
def _gelu(operation: Any, x: State) -> State | Unknown:
    return through(lambda z: keras.ops.gelu(z, approximate=operation.approximate), x)


@_rule("LeakyRelu", "Elu")
def _sloped(operation: Any, x: State) -> State | Unknown:
    return through(lambda z: operation.call(z), x)


@_rule("Softmax")
def _softmax(operation: Any, x: State) -> State:
    if operation.axis not in (-1, len(x.shape)):
        raise UnpredictableError("a softmax over another axis than that of the units")
    return softmax(x)


@_rule("Reshape")
def _reshape(operation: Any, x: State) -> State:
    shape = operation.compute_output_spec(keras.KerasTensor((None, *x.shape))).shape
    return reshaping.reshaped(x, tuple(shape[1:]))


@_rule("Transpose")
def _transpose(operation: Any, x: State) -> State:
    axes = operation.axes
    if axes is None or axes[0] != 0:
        raise UnpredictableError("it moves the batch axis")
    return reshaping.transposed(x, tuple(axis - 1 for axis in axes[1:]))


@_rule("Concatenate")
def _concatenate(operation: Any, xs: list[State]) -> State:
    if not all(isinstance(x, State) for x in xs):
        raise UnpredictableError("it concatenates a constant")
    return merging.concatenated(list(xs), operation.axis)


@_rule("Mean")
def _mean(operation: Any, x: State) -> State:
    axes = operation.axis if isinstance(operation.axis, tuple | list) else (operation.axis,)
    rank = len(x.shape)
    if None in axes or any(axis % (rank + 1) in (0, rank) for axis in axes):
        raise UnpredictableError("a mean over examples or units")
    pooled = {axis % (rank + 1) - 1 for axis in axes}
    matrices = [
        np.ones((1, n)) if axis in pooled else np.eye(n) for axis, n in enumerate(x.positions)
    ]
    made = pooling.averaged(x, matrices)
    kept = tuple(n for axis, n in enumerate(x.shape) if axis not in pooled)
    return made if operation.keepdims else reshaping.reshaped(made, kept)


@_rule("GetItem")
def _item(_: Any, x: State, key: Any) -> State:
    """Slices and single positions; the units must be taken whole."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys = keys[:at] + (slice(None),) * (len(x.shape) + 2 - len(keys)) + keys[at + 1 :]
    keys = keys + (slice(None),) * (len(x.shape) + 1 - len(keys))
    whole = slice(None)
    if keys[0] != whole or keys[-1] != whole or not all(isinstance(k, int | slice) for k in keys):
        raise UnpredictableError(f"it takes {key!r}, which is no part of the positions")
    cuts = [slice(k, k + 1 or None) if isinstance(k, int) else k for k in keys[1:-1]]
    made = resampled(x, [np.eye(n)[cut] for n, cut in zip(x.positions, cuts, strict=True)])
    kept = [n for n, k in zip(made.shape, keys[1:], strict=True) if not isinstance(k, int)]
    return made if len(kept) == len(made.shape) else reshaping.reshaped(made, tuple(kept))


@_rule("ExpandDims", "Squeeze")
def _another_rank(operation: Any, x: State) -> State:
    shape = operation.compute_output_spec(keras.KerasTensor((None, *x.shape))).shape
    if shape[-1] != x.units:
        raise UnpredictableError("it changes the axis of the units")
    return reshaping.reshaped(x, tuple(shape[1:]))


@_rule("Matmul")
def _matmul(_: Any, a: Any, b: Any) -> State:
    if not isinstance(a, State) or isinstance(b, State):
        raise UnpredictableError("it multiplies two tensors that depend on the input")
    kernel = _constant(b)
    if kernel.ndim != 2:
        raise UnpredictableError("it multiplies by a stack of matrices")
    found = measured(kernel, kernel.shape[0])
    refuse_tied(b)
    if found.lopsided:
        raise UnpredictableError("the weights do not lie around zero, so its units are alike")
    with weights_held_by(b if hasattr(b, "_value") else None):
        return connected(a, kernel.shape[1], found, Weights(square=0.0))


@_rule("NotEqual")
def _not_equal(_: Any, a: Any, b: Any) -> State:
    """As Keras makes masks of tokens; without data no token is known to be padding."""
    x, constant = _two(a, b)
    if isinstance(constant, State):
        raise UnpredictableError("it compares two tensors")
    seen = None if x.values is None else np.not_equal(x.values, _constant(constant))
    return _mask(x, x.shape, seen)


@_rule("Any")
def _any(operation: Any, x: State) -> State:
    if x.hides is None or operation.axis not in (-1, len(x.shape)):
        raise UnpredictableError("nothing is known of it but of masks, over the last axis")
    seen = None if x.values is None else x.values.any(axis=-1)
    return _mask(x, x.shape[:-1], seen)


def _mask(x: State, shape: tuple[int, ...], seen: Any) -> State:
    hides = bool(seen is not None and not np.all(seen))
    return state(shape, 1.0, 1.0, None, 1.0, parents=(x,), values=seen, hides=hides)


@_rule("Cast", "StopGradient")
def _same(operation: Any, x: State, *_: Any) -> State:
    if not keras.backend.is_float_dtype(getattr(operation, "dtype", None) or "float32"):
        raise UnpredictableError(f"it rounds to {operation.dtype}")
    stops = type(operation).__name__ == "StopGradient"
    return same_moments(x, parents=(x,), pull=lambda gradient: (None if stops else gradient,))
