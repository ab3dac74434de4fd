"""Anything that acts as an activation, as the row of theory that describes it.

Owns the reading of names, functions and Keras layers, and what is saved of them; computes no
expectation.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initscope.theory.callables import from_callable
from keras_initscope.theory.gaussian import Array, Function
from keras_initscope.theory.nonlinearities import (
    ALIASES,
    NOT_ELEMENTWISE,
    TABLE,
    nonlinearity,
)
from keras_initscope.theory.nonlinearity import Nonlinearity

_EXPECTED = (
    "Expected the name of an activation, an elementwise function, a layer with an activation, "
    "or a Nonlinearity."
)
_BUILT_IN = {
    getattr(keras.activations, name): name
    for name in (*TABLE, *NOT_ELEMENTWISE)
    if hasattr(keras.activations, name)
}


@functools.singledispatch
def as_nonlinearity(activation: Any) -> Nonlinearity:
    """The nonlinearity that an activation is.

    Takes a name as in `keras.activations` (and `"erf"`, `"sin"`, `"lecun_tanh"`, `"rrelu"`), a
    function of `keras.activations`, any other elementwise function of tensors or NumPy arrays, an
    activation layer with its actual parameters, any layer with an `activation` or a
    `nonlinearity`, a serialized activation, or `None` for the identity. A function that nobody has
    described is looked at once, at points at most .03 apart: its kinks are found and its slope is
    taken by differences. What is narrower than that, such as a spike of width 1e-6, is invisible:
    neither `error` nor a gain counts it. Describe such a function by a `Nonlinearity` with kinks.

    For a layer that it cannot read, register a function:
    `@as_nonlinearity.register(MyLayer)`, or give the layer a property `nonlinearity`.

    Args:
        activation: What acts as an activation.

    Returns:
        Its row, with function, derivative and kinks; `error` says how exact its moments are.

    Raises:
        ValueError: If the name is unknown, if the activation is not elementwise, or if it is
            random or not finite.

    Example:

    ```python
    import keras

    from keras_initscope.activations import as_nonlinearity

    assert as_nonlinearity(keras.layers.Dense(3, activation="swish")).name == "silu"
    assert as_nonlinearity(keras.layers.ReLU(max_value=6.0)).kinks == (0.0, 6.0)
    assert as_nonlinearity(lambda x: keras.ops.abs(x)).kinks == (0.0,)
    ```
    """
    if isinstance(activation, functools.partial) and activation.func in _BUILT_IN:
        return nonlinearity(_BUILT_IN[activation.func], *activation.args, **activation.keywords)
    if isinstance(activation, type) or not callable(activation):
        raise ValueError(_unreadable_as(activation))
    if isinstance(activation, Hashable):
        return _of_known_function(activation)
    return _of_function(activation)


@as_nonlinearity.register
def _(activation: Nonlinearity) -> Nonlinearity:
    return activation


@as_nonlinearity.register
def _(activation: None) -> Nonlinearity:
    return nonlinearity("linear")


@as_nonlinearity.register
def _(activation: str) -> Nonlinearity:
    registered = keras.saving.get_registered_object(activation)
    known = activation in TABLE or activation in ALIASES or activation in NOT_ELEMENTWISE
    return nonlinearity(activation) if known or not registered else as_nonlinearity(registered)


@as_nonlinearity.register
def _(activation: dict) -> Nonlinearity:  # type: ignore[type-arg]
    try:
        found = keras.activations.get(activation)
    except (TypeError, ValueError) as error:
        raise ValueError(_unreadable_as(activation)) from error
    return as_nonlinearity(found)


@as_nonlinearity.register(keras.Layer)
def _(layer: Any) -> Nonlinearity:
    for attribute in ("nonlinearity", "activation"):
        if hasattr(layer, attribute):
            return as_nonlinearity(getattr(layer, attribute))
    return _of_layer(layer)


@as_nonlinearity.register(keras.layers.Wrapper)
def _(layer: Any) -> Nonlinearity:
    return as_nonlinearity(layer.layer)


@as_nonlinearity.register(keras.layers.Lambda)
def _(layer: Any) -> Nonlinearity:
    return as_nonlinearity(layer.function)


@as_nonlinearity.register(keras.layers.Softmax)
def _(layer: Any) -> Nonlinearity:
    return nonlinearity("softmax")


@as_nonlinearity.register(keras.layers.ReLU)
def _(layer: Any) -> Nonlinearity:
    return nonlinearity(
        "relu",
        negative_slope=float(layer.negative_slope),
        max_value=None if layer.max_value is None else float(layer.max_value),
        threshold=float(layer.threshold),
    )


@as_nonlinearity.register(keras.layers.LeakyReLU)
def _(layer: Any) -> Nonlinearity:
    return nonlinearity("leaky_relu", negative_slope=float(layer.negative_slope))


@as_nonlinearity.register(keras.layers.ELU)
def _(layer: Any) -> Nonlinearity:
    return nonlinearity("elu", alpha=float(layer.alpha))


@as_nonlinearity.register(keras.layers.PReLU)
def _(layer: Any) -> Nonlinearity:
    initial = layer.alpha_initializer((1024,), dtype="float32")
    alpha = layer.get_weights()[0] if layer.built else ops.convert_to_numpy(initial)
    slopes = alpha.astype(float)
    return nonlinearity("prelu", negative_slope=float(slopes.mean()), variance=float(slopes.var()))


def activation_config(activation: Any) -> Any:
    """What a saved configuration holds of an activation.

    Use it in `get_config` of whatever takes an activation as `as_nonlinearity` does, which reads
    the result in turn.

    Args:
        activation: Name, function or layer.

    Returns:
        A name, a dictionary of plain types, or `None`.

    Raises:
        ValueError: If it is a `Nonlinearity`, which Keras cannot save.

    Example:

    ```python
    import keras

    from keras_initscope.activations import activation_config, as_nonlinearity

    assert activation_config(keras.activations.gelu) == "gelu"
    config = activation_config(keras.layers.LeakyReLU(0.3))
    assert as_nonlinearity(config).name == "leaky_relu(negative_slope=0.3)"
    ```
    """
    if isinstance(activation, Nonlinearity):
        raise ValueError(
            f"The nonlinearity {activation.name} of theory cannot be saved. Expected the name of "
            "an activation, a registered function or a layer in its place."
        )
    if activation is None or isinstance(activation, str | dict):
        return activation
    if inspect.isfunction(activation):
        return keras.activations.serialize(activation)
    return keras.saving.serialize_keras_object(activation)


@functools.lru_cache(maxsize=128)
def _of_known_function(function: Callable[..., Any]) -> Nonlinearity:
    if function in _BUILT_IN:
        return nonlinearity(_BUILT_IN[function])
    return _of_function(function)


def _of_function(function: Callable[..., Any]) -> Nonlinearity:
    """Given tensors, as Keras would call it, or NumPy arrays where it does not take them."""
    name = str(getattr(function, "__name__", type(function).__name__))
    probe = np.linspace(-1, 1, 5)
    failures = []
    for evaluated in (_on_tensors(function), function):
        try:
            kind = np.asarray(evaluated(probe)).dtype
        except Exception as error:  # the function is the user's and may raise anything
            failures.append(f"raised {error!r}")
        else:
            if np.issubdtype(kind, np.floating):
                return from_callable(evaluated, name)
            failures.append(f"gave values of dtype {kind}")
    raise ValueError(
        f"Cannot read the function {name}: for a tensor of shape {probe.shape} it {failures[0]}; "
        f"for a NumPy array it {failures[1]}. {_EXPECTED}"
    )


def _of_layer(layer: Any) -> Nonlinearity:
    """Calls a copy on a batch of one example, so that the layer itself stays as it is."""
    copy = _double_precision_copy(layer)

    def called(x: Array) -> Array:
        return np.asarray(ops.convert_to_numpy(copy(ops.convert_to_tensor(x[None])))[0])

    try:
        if not copy.built:
            copy.build((1, 8))
        copy.set_weights(layer.get_weights() if layer.built else copy.get_weights())
        for size in (8, 13):  # a layer with one parameter a feature takes only one of them
            called(np.linspace(-1, 1, size))
    except Exception as error:  # the layer is the user's and may raise anything
        raise ValueError(_unreadable(layer, error)) from error
    return from_callable(called, layer.name)


def _double_precision_copy(layer: Any) -> Any:
    try:
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})
    except Exception as error:  # as above
        if layer.built and not layer.weights:
            return layer
        raise ValueError(_unreadable(layer, error)) from error


def _unreadable_as(activation: Any) -> str:
    return f"Cannot read this activation. Received: {activation!r}. {_EXPECTED}"


def _unreadable(layer: Any, error: Exception) -> str:
    return (
        f"Cannot read the activation of layer {layer.name!r} ({type(layer).__name__}): it has no "
        f"`activation`, and a copy called on inputs of shapes (1, 8) and (1, 13) raised {error!r}. "
        "Give the layer a property `nonlinearity` (a name, a function or a Nonlinearity), or "
        "register a function with `as_nonlinearity.register`."
    )


def _on_tensors(function: Callable[..., Any]) -> Function:
    def evaluated(x: Array) -> Array:
        return np.asarray(ops.convert_to_numpy(function(ops.convert_to_tensor(x))))

    return evaluated
