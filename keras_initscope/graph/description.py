"""A model as a record: its layers, where its outputs come from, and what it is compiled with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import keras

from keras_initscope.graph.edges import parents
from keras_initscope.graph.nodes import LayerNode, layers
from keras_initscope.graph.structure import giving, taking
from keras_initscope.records import ModelInfo


def described(
    model: Any, nodes: Iterable[tuple[int, LayerNode]], planned_steps: int | None
) -> ModelInfo:
    """The record of a model.

    Args:
        model: The Keras model.
        nodes: Depth and node of each layer that it is to tell of, in forward order.
        planned_steps: Training steps the fit will take, or `None` where nobody knows.

    Returns:
        The record.
    """
    known = list(nodes)
    paths = {id(node.layer): node.path for _, node in known}
    before = parents(model, (node for _, node in known))
    loss = _one_loss(model)
    return ModelInfo(
        name=model.name,
        layers=tuple(node.info(depth, before[node.path]) for depth, node in known),
        planned_steps=planned_steps,
        inputs=tuple(paths[id(layer)] for layer in taking(model) if id(layer) in paths),
        outputs=tuple(paths[id(layer)] for layer in giving(model) if id(layer) in paths),
        loss=None if loss is None else _name(loss),
        from_logits=None if loss is None else _from_logits(loss),
        is_whole=len(known) == len(layers(model)),
    )


def _one_loss(model: Any) -> Any:
    """The loss of a model that is compiled with one and no others, or `None`."""
    given = getattr(model, "loss", None)
    if isinstance(given, list | tuple | dict) or given is None:
        return None
    try:
        return keras.losses.get(given)
    except (TypeError, ValueError):  # not told by that name; fit says so itself
        return None


def _name(loss: Any) -> str:
    name = getattr(loss, "__name__", type(loss).__name__)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _from_logits(loss: Any) -> bool | None:
    if isinstance(loss, keras.losses.Loss):
        found = loss.get_config().get("from_logits")
        return None if found is None else bool(found)
    return False if _name(loss).endswith("crossentropy") else None
