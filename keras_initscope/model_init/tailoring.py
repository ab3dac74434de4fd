"""Activations transformed to suit the depth of a model: `tailor`.

Owns which activations of a model are replaced, and by what.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.activations import as_nonlinearity
from keras_initscope.layers import TransformedActivation
from keras_initscope.model_init.depths import Depths
from keras_initscope.model_init.places import Place, places_of
from keras_initscope.model_init.premises import premises
from keras_initscope.model_init.replacing import (
    acting,
    dtype_of,
    forget_traces,
    replace,
    untransformed,
)
from keras_initscope.model_init.selection import checked, excluded_layers
from keras_initscope.records import Change, Changes
from keras_initscope.theory.composition import Residual, Structure, maximal
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.rectifiers import dks_leaky_relu, tat_leaky_relu
from keras_initscope.theory.shaping import dks, tat

L = keras.layers
# Solved once for all layers of a model that have the same activation.
_SMOOTH = {"TAT": lru_cache(tat), "DKS": lru_cache(dks)}
_RECTIFIERS = {"TAT": lru_cache(tat_leaky_relu), "DKS": lru_cache(dks_leaky_relu)}
_RECTIFYING = ("relu", "relu6")
_ALREADY = "it is transformed already, as the depth asks for"


def tailor(
    model_or_depth: Any, activation: Any = None, method: str = "TAT", exclude: Any = None
) -> Any:
    """Transform activations so that a deep network without normalization trains.

    Use it on plain or residual networks that are too deep for their activation. Scales and shifts
    around the activation are chosen such that the correlation map of the whole network, which its
    graph tells, has the wanted value (leaky ReLU of TAT) or slope and curvature at 1. Rectifiers
    become leaky ones, less so the shallower the network, without the cap that some have. Weights
    should have unit gain and biases be zero: call
    `reinitialize(model, [("kernel", ScaledOrthogonal())])` afterwards, which the methods assume.
    They take the place of normalization: a model that has some is tailored all the same, but the
    map is not as promised behind it, and `notes` says so.

    Activations count along the way from the inputs to the outputs. Sums of paths weigh each path by
    the factors in front of it: `sqrt(.8) * x + sqrt(.2) * f(x)` has a shortcut of share .8, a plain
    `x + f(x)` one of .5. Everything between activations is taken as linear; `notes` says what of it
    may not be.

    Activations are replaced wherever they are: the argument `activation` of a layer,
    `keras.layers.Activation`, and layers that are an activation by their class (`ReLU`,
    `LeakyReLU`, `ELU`, `LeCunTanh`, `ScaledActivation`, `TransformedActivation`), which become
    `keras.layers.Activation` where they stand. Left, and named in `skipped` with what to do, are
    activations with weights (`PReLU`, `ParametricELU`), which would be lost; `RReLU`, which is
    random to regularize; classes with a `call` of their own; operations; frozen layers; what gives
    an output of the model or is multiplied by another signal. Where the depth counts one of these,
    what the method promises does not quite hold, and `notes` says so. What is transformed already
    is not transformed twice: a second call makes it anew from what it was, for the depth and method
    of that call, and leaves it where that is what it finds.

    Other models that use the same layers change too; compile those anew that were run before. A
    subclassed model makes its layers anew when it is loaded: call `tailor` on it again.

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
    if isinstance(model_or_depth, np.integer):
        model_or_depth = int(model_or_depth)
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
    if not (phi.is_scale_invariant or _is_bent_relu(phi)):
        by = _SMOOTH[method](phi, structure)
        return TransformedActivation(activation, **asdict(by), **options)
    if phi.is_scale_invariant and not 0 <= -float(phi.f(np.array(-1.0))) < float(
        phi.f(np.array(1.0))
    ):
        raise ValueError(
            f"Expected a smooth activation or a rectifier, which can be transformed to suit a "
            f"depth. Received: {phi.name}, which has no shape to change."
        )
    slope, by = _RECTIFIERS[method](structure)
    return TransformedActivation(L.LeakyReLU(slope, **options), **asdict(by), **options)


def _is_bent_relu(phi: Nonlinearity) -> bool:
    """Whether it is a ReLU with a cap or a threshold; the method's leaky ReLU has neither."""
    return phi.name.partition("(")[0] in _RECTIFYING and bool(phi.kinks)


def _tailored(model: Any, activation: Any, method: str, exclude: Any) -> Changes:
    checked(model)
    depths = Depths(model)
    if not maximal(depths.structure, lambda depth: depth + 1, 0.0):
        raise ValueError(
            f"The model {model.name!r} has no activation between its inputs and outputs that could "
            "be found. Received: "
            f"{[used.nonlinearity.name for used in depths.used.values()]} elsewhere."
        )
    places = places_of(model, depths, excluded_layers(model, exclude))
    skipped = {place.path: place.left for place in places if place.left}
    changes, replaced = [], []
    for place in (place for place in places if not place.left):
        made = _made(place, activation, depths.structure, method)
        if _is_same(acting(place.layer), made):
            skipped[place.path] = _ALREADY
        else:
            replaced.append((place.layer, made))
            changes.append(_change(place, made))
    notes = premises(model, depths, places, [layer for layer, _ in replaced])
    for layer, made in replaced:  # once nothing can fail any more
        replace(layer, made)
    forget_traces([model, *(node.layer for node in graph.layers(model))])
    return Changes(
        model=model.name, action="tailor", changes=tuple(changes), skipped=skipped, notes=notes
    )


def _made(place: Place, activation: Any, structure: Structure, method: str) -> Any:
    before = untransformed(place.layer) if activation is None else activation
    try:
        return _suited(before, structure, method, dtype=dtype_of(place.layer))
    except ValueError as error:
        raise ValueError(
            f"The activation of {place.path!r} cannot be transformed. {error} Give one for the "
            f"whole model, such as `tailor(model, 'relu')`, or leave this one by `exclude`."
        ) from error


def _is_same(current: Any, made: Any) -> bool:
    """Whether an activation is what would be put in its place."""
    if not isinstance(current, TransformedActivation) or _numbers(current) != _numbers(made):
        return False
    inside = current._inner, made._inner
    is_rectifier = all(isinstance(each, L.LeakyReLU) for each in inside)
    return is_rectifier or inside[0] is inside[1]


def _change(place: Place, made: Any) -> Change:
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in _numbers(made))
    inside = made._inner
    new = "leaky_relu" if isinstance(inside, L.LeakyReLU) else as_nonlinearity(inside).name
    what = f"{_name(acting(place.layer))} -> {new}, transformed: {numbers}"
    return Change(path=place.path, kind=type(place.layer).__name__, what=what)


def _name(activation: Any) -> str:
    if isinstance(activation, TransformedActivation):
        return f"{as_nonlinearity(activation._inner).name}, transformed otherwise"
    return as_nonlinearity(activation).name


def _numbers(made: Any) -> list[tuple[str, float]]:
    names = ("input_scale", "input_shift", "output_shift", "output_scale")
    found = [(name.replace("_", " "), getattr(made, name)) for name in names]
    slope = getattr(made._inner, "negative_slope", None)
    slopes = [] if slope is None else [("slope", float(slope))]
    return [*slopes, *((name, value) for name, value in found if value != ("scale" in name))]
