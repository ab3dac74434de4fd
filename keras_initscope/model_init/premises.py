"""What must hold for a tailored model to do what the theory promises, in words.

Owns the notes of `tailor`: which of its premises the model does not meet. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.model_init.depths import Depths
from keras_initscope.model_init.flow import is_of_keras
from keras_initscope.model_init.places import EXCLUDED, GATE, Place
from keras_initscope.model_init.replacing import acting

L = keras.layers
_NORMALIZING = (
    L.BatchNormalization,
    L.LayerNormalization,
    L.GroupNormalization,
    L.RMSNormalization,
)
_SHOWN = 5
_MIXED = (
    "What the method promises holds only if every activation on the way is transformed for this "
    "depth. These are counted, but stay as they were: {}."
)
_EXCLUDED = "The excluded ones are counted as if they were transformed: {}."
_GATES = "Products are no part of the method; left out, and not counted, are their factors: {}."
_NORMALIZED = (
    "The method takes the place of normalization: behind {} the correlations are not those that it "
    "aims at. Take these layers out of the model, or build it with the activations that it had."
)
_LINEAR = "Taken as linear, and not counted, which they may not be: {}."
_BY_CLASS = "Layers that were {} are keras.layers.Activation now; names and graph are the same."
_CODE = (
    "What has code of its own makes its activations anew where it is loaded or cloned; call "
    "`tailor` on the new model too: {}."
)


def premises(
    model: Any, depths: Depths, places: list[Place], replaced: list[Any]
) -> tuple[str, ...]:
    """What a reader must know of a tailored model.

    Args:
        model: The model, before anything is replaced.
        depths: What was found on the way through it.
        places: Where it has activations.
        replaced: The layers whose activations will be replaced.

    Returns:
        A note for each premise that is not met, and for what else changes.
    """
    parts = [model, *(node.layer for node in graph.layers(model))]
    counted = [place for place in places if place.left and place.is_counted]
    gates = [place.path for place in places if place.left == GATE and not place.is_counted]
    kinds = [type(layer).__name__ for layer in replaced if acting(layer) is layer]
    normalizing = Counter(type(part).__name__ for part in parts if isinstance(part, _NORMALIZING))
    said = {
        _MIXED: [place.path for place in counted if place.left != EXCLUDED],
        _EXCLUDED: [place.path for place in counted if place.left == EXCLUDED],
        _GATES: gates,
        _NORMALIZED: [f"{count} x {kind}" for kind, count in normalizing.items()],
        _BY_CLASS: dict.fromkeys(kinds),
        _CODE: dict.fromkeys(_made_by_code(parts, replaced)),
        _LINEAR: depths.linear,
    }
    notes = [words.format(_listed(names)) for words, names in said.items() if names]
    if not depths.traced:
        notes.append("Some code of the model does not take symbolic tensors; it is left out.")
    return tuple(notes)


def _made_by_code(parts: list[Any], replaced: list[Any]) -> list[str]:
    """Names of what is not of Keras and holds layers whose activation is replaced."""
    changed = {id(layer) for layer in replaced}
    own = [part for part in parts if not is_of_keras(part)]
    return [
        part.name
        for part in own
        if not changed.isdisjoint(id(each) for each in part._flatten_layers(include_self=False))
    ]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
