"""One activation in the place of another, in a layer that stays the object that it is.

Owns which layers allow that, why others do not, and what Keras holds of an activation. Chooses no
activation.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_initscope.layers import (
    LeCunTanh,
    ParametricELU,
    RReLU,
    ScaledActivation,
    TransformedActivation,
)

L = keras.layers
#: Layers that are an activation by their class, and the attributes that make it the one it is.
_BY_CLASS: dict[type, tuple[str, ...]] = {
    L.ReLU: ("max_value", "negative_slope", "threshold"),
    L.LeakyReLU: ("negative_slope",),
    L.ELU: ("alpha",),
    LeCunTanh: (),
    ScaledActivation: ("center", "_by", "_inner"),
    TransformedActivation: (
        *("input_scale", "input_shift", "output_shift", "output_scale"),
        *("_by", "_inner"),
    ),
}
_WITH_STATE = (L.PReLU, ParametricELU, RReLU)
_COMPUTING = ("__call__", "call", "build", "compute_mask")
_STEPS = ("train_function", "test_function", "predict_function")

OPERATION = (
    "it is an operation, which cannot be replaced in place; use keras.layers.Activation instead"
)
FROZEN = "it is frozen, and what it has learnt is for the activation that it has"
LEARNT = (
    "its parameters are weights, which would be lost; build the model with keras.layers.ReLU in "
    "its place"
)
RANDOM = (
    "it is random, to regularize, which would be lost; build the model with keras.layers.ReLU in "
    "its place"
)
OWN_CODE = (
    "its class has code of its own, which may do more than its activation; use "
    "keras.layers.Activation instead"
)


def refusal(layer: Any) -> str:
    """Why the activation of a layer cannot be replaced in place, empty if it can."""
    if not isinstance(layer, keras.Layer):
        return OPERATION
    if not layer.trainable:
        return FROZEN
    current = acting(layer)
    known = current is not layer or _base(layer) or isinstance(layer, _WITH_STATE)
    if not known or any(_computes_otherwise(each) for each in (layer, current)):
        return OWN_CODE
    if isinstance(current, keras.Layer) and current.variables:
        return LEARNT if current.weights else RANDOM
    return ""


def acting(layer: Any) -> Any:
    """What acts as the activation of a layer: a function, another layer, or the layer itself."""
    return layer.__dict__.get("activation", layer)


def untransformed(layer: Any) -> Any:
    """The activation of a layer without what scales and shifts it, for use elsewhere."""
    found = acting(layer)
    while isinstance(found, ScaledActivation | TransformedActivation):
        found = found._inner
    base = _base(found)
    if found is not layer or base is None:
        return found
    arguments = {name: getattr(layer, name) for name in _BY_CLASS[base]}
    return base(**arguments, dtype=dtype_of(layer))


def dtype_of(layer: Any) -> str:
    """What a layer inside of it computes in, as a name: `keras.layers.ELU` is not saved with more.

    A policy itself may be a map of paths, or ask for quantization, neither of which is meant here.
    """
    compute, variable = layer.compute_dtype, layer.variable_dtype
    return str(compute) if compute == variable else f"mixed_{compute}"


def replace(layer: Any, activation: Any) -> None:
    """Put an activation into a layer for which there is no `refusal`.

    A layer that is an activation by its class becomes a `keras.layers.Activation`. Its name, its
    place in graphs and in other layers, its dtype and its regularizer stay.
    """
    if acting(layer) is layer:
        _become_activation(layer)
    else:
        _untrack(layer, acting(layer))
    # Past Keras' attribute tracking: a layer that is built takes no other layer, but this one has
    # no state.
    layer.__dict__["activation"] = activation


def forget_traces(parts: list[Any]) -> None:
    """Make models trace their steps anew: the old ones have the old activations in them."""
    for part in parts:
        for name in _STEPS:
            if isinstance(part, keras.Model) and hasattr(part, name):
                setattr(part, name, None)


def _become_activation(layer: Any) -> None:
    """All classes here are called alike, so that what Keras has read of `call` stays true."""
    base = _base(layer)
    _untrack(layer, getattr(layer, "_inner", None))
    for name in _BY_CLASS[base] if base else ():
        delattr(layer, name)
    if type(layer).build is not keras.Layer.build:
        del layer.__dict__["build"]  # Keras' wrapper of the method of the class that was
    object.__setattr__(layer, "__class__", L.Activation)
    layer.__dict__["_auto_config"] = None


def _untrack(layer: Any, activation: Any) -> None:
    layer._tracker.untrack(activation)


def _base(layer: Any) -> type | None:
    return next((kind for kind in _BY_CLASS if isinstance(layer, kind)), None)


def _computes_otherwise(activation: Any) -> bool:
    """Whether a class derived from an activation layer is more than another name for it."""
    base = L.Activation if isinstance(activation, L.Activation) else _base(activation)
    kind = type(activation)
    return base is not None and (
        "call" in activation.__dict__
        or any(getattr(kind, name) is not getattr(base, name) for name in _COMPUTING)
    )
