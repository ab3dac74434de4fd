"""Whether a model has its variables yet, and making them as its first training step would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras

from keras_initscope.graph.nodes import layers
from keras_initscope.preserved import noted


def build(model: Any, batch: Any) -> None:
    """Create the variables of a compiled model that its first training step would create.

    The optimizer is left to that step: only it knows which variables it will train. Where building
    fails, nothing has changed.

    Args:
        model: A compiled Keras model.
        batch: What its training step receives.
    """
    compiled = _compiled(model)
    if has_weights(model) and all(part.built for part in compiled):
        return
    parts = [model, *compiled, *(node.layer for node in layers(model))]
    undo = noted([*parts, *(held for part in parts for held in _trackers(part))])
    try:
        with _left_alone(getattr(model, "optimizer", None)):
            model._symbolic_build(data_batch=batch)
    except Exception:  # whatever it is, it goes on to the caller, and the model is as it was
        undo()
        raise


def has_weights(model: Any) -> bool:
    """Whether the model and all its layers have their variables."""
    return not unbuilt(model)


def unbuilt(model: Any) -> list[str]:
    """The paths of layers, or the name of the model, that may be yet to make their variables."""
    parts = [(model.name, model), *((node.path, node.layer) for node in layers(model))]
    return [
        path for path, part in parts if not getattr(part, "built", True) and _makes_variables(part)
    ]


def _trackers(part: Any) -> list[Any]:
    """By what Keras knows the variables of a layer, and that a built one gets no more of them."""
    tracker = getattr(part, "_tracker", None)
    return [] if tracker is None else [tracker, SimpleNamespace(**tracker.stored_ids)]


def _compiled(model: Any) -> list[Any]:
    found = (getattr(model, name, None) for name in ("_compile_metrics", "_compile_loss"))
    return [part for part in found if part is not None]


@contextmanager
def _left_alone(optimizer: Any) -> Iterator[None]:
    built = getattr(optimizer, "built", True)
    if not built:
        optimizer.built = True
    try:
        yield
    finally:
        if not built:
            optimizer.built = False


def _makes_variables(part: Any) -> bool:
    """What only looks words up makes none; one within another layer is never built."""
    lookups = keras.layers.StringLookup, keras.layers.IntegerLookup
    return _is_called(part) and not isinstance(part, lookups)


def _is_called(part: Any) -> bool:
    """Whether a layer does anything itself; a model may only hold others for its own step."""
    return type(part).call not in (keras.Layer.call, keras.Model.call)
