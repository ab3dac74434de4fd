"""Taps on tensors of a step, gradients through them, and functions tried out by elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.autograph.core.ag_ctx import ControlStatusCtx, Status
from tensorflow.python.eager import record as tape_record
from tensorflow.python.eager.polymorphic_function.autograph_util import py_func_from_autograph

_Function = type(tf.function(lambda: None))
_GRID = np.linspace(-12.0, 12.0, 1921, dtype=np.float32)


def graph() -> Any:
    """The graph that is being built; equal graphs are one object."""
    return tf.compat.v1.get_default_graph()


def is_taped() -> bool:
    """Whether a tape of this thread records, so that what is computed can be differentiated."""
    return bool(tape_record.could_possibly_record())


def is_float(value: Any) -> bool:
    """Whether the value is a dense floating-point tensor."""
    return isinstance(value, tf.Tensor) and value.dtype.is_floating


def dense(gradient: Any) -> Any:
    """A gradient as a dense tensor; an embedding's comes as slices."""
    return tf.convert_to_tensor(gradient)


def watch(tensor: Any, record: Callable[[Any], None]) -> Any:
    """An identity of `tensor` that calls `record` with the cotangent when gradients are taken."""

    def backward(cotangent: Any) -> list[Any]:
        record(cotangent)
        return [cotangent]

    return _standing_for(tensor, tensor, backward)


def _standing_for(value: Any, source: Any, backward: Callable[[Any], list[Any]]) -> Any:
    """A tensor like `value` of which tapes lead gradients to `source`, through `backward`.

    `tf.custom_gradient` would do, but in a graph it enters each function for good in a table of all
    gradients, and the whole graph with it.
    """
    with tape_record.stop_recording():
        found = tf.identity(value)
    tape_record.record_operation("StandingFor", [found], [source], backward)
    return found


@contextmanager
def sources() -> Iterator[None]:
    """Let gradients be taken by variables that have been assigned in a stateless scope.

    Keras differentiates by `variable.handle`, but what such a variable holds has no handle.
    """
    owner = next(kind for kind in keras.Variable.__mro__ if "handle" in vars(kind))
    original = vars(owner)["handle"]
    owner.handle = property(lambda variable: variable._value.handle)
    try:
        yield
    finally:
        owner.handle = original


@contextmanager
def inlined(applies: Callable[[], bool]) -> Iterator[None]:
    """Let no `tf.function` of the user's keep what is traced while `applies()` holds.

    It would be kept for training as well, where taps and a stateless scope are out of place: an
    optimizer would not be applied, no moving average assigned. So the code of a function becomes a
    part of the graph around it. One that XLA compiles stays what it is, as a copy of its own.
    """
    original = _Function.__call__

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if type(self) is not _Function or not applies():  # what was loaded is not traced any more
            return original(self, *args, **kwargs)
        if self._jit_compile:
            return original(self._clone(None), *args, **kwargs)
        if not self._autograph:
            return self.python_function(*args, **kwargs)
        with ControlStatusCtx(Status.ENABLED):  # as where a function is traced for itself
            return py_func_from_autograph(self.python_function)(*args, **kwargs)

    _Function.__call__ = __call__
    try:
        yield
    finally:
        _Function.__call__ = original


def as_read(variable: Any, value: Any) -> Any:
    """What reading a variable gives after `value` has been assigned to it.

    As with an assignment that took place, a gradient by the variable sees this reading, and none
    goes back to where the value came from.
    """
    if not value.dtype.is_floating:
        return value
    return _standing_for(
        value, tf.convert_to_tensor(variable._value), lambda cotangent: [cotangent]
    )


def gradients(
    function: Callable[[], Any], variables: Sequence[Any], inputs: Sequence[Any]
) -> tuple[Any, list[Any]]:
    """Call a function and differentiate what it returns.

    Args:
        function: Returns a scalar.
        variables: The Keras variables to differentiate by.
        inputs: Tensors that are followed as well, so that taps on the way from them hear of it.

    Returns:
        The scalar, and its derivative by each variable, `None` where it does not depend on it.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function()
    found = tape.gradient(value, [*inputs, *variables])
    return value, found[len(inputs) :]


def with_slope(function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
    """Call an elementwise function and differentiate it.

    Returns:
        `function(tensor)` and its derivative at each element; `None` for the latter where the
        function is the identity or the derivative is not known.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensor)
        outputs = function(tensor)
    if outputs is tensor or not is_float(outputs):
        return outputs, None
    return outputs, tape.gradient(outputs, tensor)


def slope_bound(function: Callable[[Any], Any]) -> tuple[bool, float]:
    """Try a function out on a grid from -12 to 12.

    Returns:
        Whether it acts on each element alone, and its steepest slope in magnitude.
    """
    # A thread of its own stands in no graph; `tf.init_scope` would leave that too, but no tape
    # records within it.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_tried, function).result()


def _tried(function: Callable[[Any], Any]) -> tuple[bool, float]:
    try:
        row, columns = _GRID[None, :], np.stack([_GRID, _GRID], axis=1)
        outputs, slope = with_slope(function, tf.constant(row))
        alone = np.asarray(function(tf.constant(columns)))
        if outputs.shape != row.shape or not np.allclose(
            np.asarray(outputs), alone.T, rtol=1e-4, atol=1e-6
        ):
            return False, float("nan")
        return True, 1.0 if slope is None else float(np.max(np.abs(np.asarray(slope))))
    except Exception:  # a user's function may refuse the grid for any reason of its own
        return False, float("nan")


def bits(tensor: Any) -> Any:
    """The int32 bit patterns of a float32 tensor."""
    return tf.bitcast(tensor, tf.int32)


def takes_name(name: str) -> bool:
    """Whether a graph takes a layer of that name.

    Where it does not, Keras leaves the name behind in its scopes, and whatever is named later fails
    as well.
    """
    return re.fullmatch(r"[A-Za-z0-9_.\\/>-]*", name) is not None
