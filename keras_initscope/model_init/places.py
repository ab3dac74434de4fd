"""Where a model has activations, and which of them `tailor` leaves as they are.

Owns the reasons that lie in the model and in what the user excluded; those of a layer are in
`replacing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_initscope import graph
from keras_initscope.model_init.depths import Depths, Piece
from keras_initscope.model_init.replacing import refusal

EXCLUDED = "it is excluded"
OUTPUT = "it gives an output of the model"
GATE = "it is multiplied by another signal"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A layer, or an operation, that applies an activation.

    Args:
        path: Its path.
        layer: The layer.
        left: Why the activation stays as it is, empty if it may be replaced.
        is_counted: Whether the model's depth counts it.
    """

    path: str
    layer: Any
    left: str
    is_counted: bool


def places_of(model: Any, depths: Depths, excluded: set[int]) -> list[Place]:
    """Each layer with an activation on the way through a model, once, however often it is used.

    Args:
        model: The model.
        depths: What was found on the way through it.
        excluded: `id` of each layer that the user excluded.

    Returns:
        The places, in the order of first use.
    """
    paths = {id(node.layer): node.path for node in graph.layers(model)}
    calls: dict[int, list[Piece]] = {}
    for piece, used in depths.used.items():
        calls.setdefault(id(used.operation), []).append(piece)
    places = []
    for key, pieces in calls.items():
        layer = depths.used[pieces[0]].operation
        uncounted = depths.outputs | depths.gates
        place = Place(
            path=paths.get(key, layer.name),
            layer=layer,
            left=EXCLUDED if key in excluded else _kept(depths, pieces) or refusal(layer),
            is_counted=any(piece not in uncounted for piece in pieces),
        )
        places.append(place)
    return places


def _kept(depths: Depths, pieces: list[Piece]) -> str:
    if not depths.outputs.isdisjoint(pieces):
        return OUTPUT
    return "" if depths.gates.isdisjoint(pieces) else GATE
