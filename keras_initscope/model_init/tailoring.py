"""Activations transformed to suit the depth of a model: `tailor`.

Owns which activations of a model are replaced, and by what.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.activations import as_nonlinearity
from keras_initscope.layers import TransformedActivation
from keras_initscope.model_init.depths import Depths
from keras_initscope.model_init.selection import checked, excluded_layers
from keras_initscope.records import Change, Changes
from keras_initscope.theory.composition import Residual, Structure
from keras_initscope.theory.rectifiers import dks_leaky_relu, tat_leaky_relu
from keras_initscope.theory.shaping import dks, tat

_SMOOTH = {"TAT": tat, "DKS": dks}
_RECTIFIERS = {"TAT": tat_leaky_relu, "DKS": dks_leaky_relu}
_EXCLUDED = "it is excluded"
_FROZEN = "it is frozen, and what it has learnt is for the activation that it has"
_OF_CODE = "it is an operation, which cannot be replaced in place; use keras.layers.Activation"
_OF_KIND = (
    "its layer is an activation by its class, which cannot be replaced in place; use "
    "keras.layers.Activation"
)
_KEPT = "it gives an output of the model, or gates another signal"
_STEPS = ("train_function", "test_function", "predict_function")


def tailor(
    model_or_depth: Any, activation: Any = None, method: str = "TAT", exclude: Any = None
) -> Any:
    """Transform activations so that a deep network without normalization trains.

    Use it on plain or residual networks that are too deep for their activation. Scales and shifts
    around the activation are chosen such that the correlation map of the whole network, which its
    graph tells, has the wanted value (leaky ReLU of TAT) or slope and curvature at 1. Rectifiers
    become leaky ones, less so the shallower the network. Weights should have unit gain and biases
    be zero: call `reinitialize(model, [("kernel", ScaledOrthogonal())])` afterwards, which the
    methods assume.

    Activations count along the way from the inputs to the outputs. Sums of paths weigh each path by
    the factors in front of it: `sqrt(.8) * x + sqrt(.2) * f(x)` has a shortcut of share .8, a plain
    `x + f(x)` one of .5. Everything between activations is taken as linear; `notes` says what of it
    may not be. Frozen layers keep their activations, and are named in `skipped`.

    Args:
        model_or_depth: A built Keras model, whose activations are replaced in place; or a number of
            activations in a row, or any `keras_initscope.theory.composition` of rows and sums.
        activation: A name, elementwise function or layer to transform. `None` transforms each
            activation of the model as it is; a depth needs one.
        method: `"TAT"` (Zhang et al., 2022) or `"DKS"` (Martens et al., 2021).
        exclude: Whose activations to leave alone in a model: a regular expression on the path of a
            layer, a layer, a layer class or a function of a layer, or a list of those. A pattern or
            layer that means nothing of the model is refused.

    Returns:
        For a model what was done to each activation, a `Changes`; for a depth the activation, a
        `layers.TransformedActivation`.

    Raises:
        ValueError: If the model is not built or has no activation, the method is unknown, or no
            transformation of the activation suits the depth.

    Example:

    ```python
    import keras

    import keras_initscope as initscope

    assert abs(initscope.tailor(50, "relu").output_scale - 1.298947786) < 1e-9

    hidden = [keras.layers.Dense(64, "relu") for _ in range(50)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    print(initscope.tailor(model))
    initscope.reinitialize(model, [("kernel", initscope.initializers.ScaledOrthogonal())])
    ```

    Reference:

    - [Zhang et al., 2022](https://arxiv.org/abs/2203.08120)
    - [Martens et al., 2021](https://arxiv.org/abs/2110.01765)
    """
    if method not in _SMOOTH:
        raise ValueError(f"Expected method='TAT' or method='DKS'. Received: method={method!r}.")
    if isinstance(model_or_depth, keras.Layer):
        return _tailored(model_or_depth, activation, method, exclude)
    if activation is None or not _is_structure(model_or_depth):
        raise ValueError(
            "Expected a Keras model, or a number of activations (or a structure of them) and an "
            f"activation. Received: {model_or_depth!r}, activation={activation!r}."
        )
    return _suited(activation, model_or_depth, method)


def _is_structure(given: Any) -> bool:
    if isinstance(given, tuple):
        return all(_is_structure(part) for part in given)
    return isinstance(given, Residual) or (
        isinstance(given, int) and not isinstance(given, bool) and given > 0
    )


def _suited(activation: Any, structure: Structure, method: str, **options: Any) -> Any:
    """The transformed activation for a structure, rectifiers with another slope."""
    phi = as_nonlinearity(activation)
    if not phi.is_scale_invariant:
        by = _SMOOTH[method](phi, structure)
        return TransformedActivation(activation, **asdict(by), **options)
    if not 0 <= -float(phi.f(np.array(-1.0))) < float(phi.f(np.array(1.0))):
        raise ValueError(
            f"Expected a smooth activation or a rectifier, which can be transformed to suit a "
            f"depth. Received: {phi.name}, which has no shape to change."
        )
    slope, by = _RECTIFIERS[method](structure)
    return TransformedActivation(keras.layers.LeakyReLU(slope), **asdict(by), **options)


def _tailored(model: Any, activation: Any, method: str, exclude: Any) -> Changes:
    checked(model)
    excluded = excluded_layers(model, exclude)
    depths = Depths(model)
    if not depths.structure:
        raise ValueError(
            f"The model {model.name!r} has no activation between its inputs and outputs that could "
            "be found. Received: "
            f"{[used.nonlinearity.name for used in depths.used.values()]} elsewhere."
        )
    paths = {id(node.layer): node.path for node in graph.layers(model)}
    changes: dict[str, Change] = {}
    skipped: dict[str, str] = {}
    replaced: list[tuple[Any, Any]] = []
    for piece, used in depths.used.items():
        layer = used.operation
        path = paths.get(id(layer), layer.name)
        reason = _KEPT if piece in depths.kept else _reason(layer)
        reason = _EXCLUDED if id(layer) in excluded else reason
        if reason:
            skipped[path] = reason
        elif path not in changes:
            before = layer.activation if activation is None else activation
            made = _suited(before, depths.structure, method, dtype=layer.dtype_policy)
            replaced.append((layer, made))
            changes[path] = Change(path=path, kind=type(layer).__name__, what=_words(before, made))
    for layer, made in replaced:  # once nothing can fail any more
        # Past Keras' attribute tracking: a layer that is built takes no other layer, but this one
        # has no state.
        layer.__dict__["activation"] = made
    for part in (model, *(node.layer for node in graph.layers(model))):
        for name in _STEPS:  # what was traced has the old activations in it
            if isinstance(part, keras.Model) and hasattr(part, name):
                setattr(part, name, None)
    return Changes(
        model=model.name,
        action="tailor",
        changes=tuple(changes.values()),
        skipped=skipped,
        notes=_notes(depths),
    )


def _reason(operation: Any) -> str:
    if not isinstance(operation, keras.Layer):
        return _OF_CODE
    if not operation.trainable:
        return _FROZEN
    return "" if "activation" in operation.__dict__ else _OF_KIND


def _words(before: Any, made: Any) -> str:
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in _numbers(made))
    return f"{as_nonlinearity(before).name}: {numbers}"


def _numbers(made: Any) -> list[tuple[str, float]]:
    names = ("input_scale", "input_shift", "output_shift", "output_scale")
    found = [(name.replace("_", " "), getattr(made, name)) for name in names]
    slope = getattr(made._inner, "negative_slope", None)
    slopes = [] if slope is None else [("slope", float(slope))]
    return [*slopes, *((name, value) for name, value in found if value != ("scale" in name))]


def _notes(depths: Depths) -> tuple[str, ...]:
    notes = []
    if depths.linear:
        notes.append(f"Taken as linear: {', '.join(depths.linear)}.")
    if not depths.traced:
        notes.append("Some code of the model does not take symbolic tensors; it is left out.")
    return tuple(notes)
