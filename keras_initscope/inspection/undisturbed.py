"""The guard of a look: what a training step leaves behind in Keras is put back.

Owns what a dry run touches beside variables: the losses and metrics that `compile` made and the
first step would build, and the random number generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from keras.src.backend.common import global_state

from keras_initscope import graph

_GENERATOR = "global_seed_generator"
_REPLACED = ("_compile_metrics", "_compile_loss", "optimizer")


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Leave no trace on a model and on random number generators.

    Within it the model has no compiled metrics, which a look has no use for, a loss of its own
    where the compiled one is not built, and an optimizer of `None` where it has none at all.
    """
    with ExitStack() as stack:
        stack.enter_context(_kept_generators())
        stack.enter_context(_kept_marks(model))
        stack.enter_context(_replaced(model.__dict__))
        yield


@contextmanager
def _kept_generators() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    generator = global_state.get_global_attribute(_GENERATOR)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        global_state.set_global_attribute(_GENERATOR, generator)


@contextmanager
def _kept_marks(model: Any) -> Iterator[None]:
    """What a call leaves on a layer: that it was called, and the losses it added."""
    parts = [model, *(node.layer for node in graph.layers(model))]
    held = [(part, part.__dict__.get("_called"), list(part._losses)) for part in parts]
    try:
        yield
    finally:
        for part, called, losses in held:
            part.__dict__["_called"] = called
            part._losses[:] = losses


@contextmanager
def _replaced(attributes: dict[str, Any]) -> Iterator[None]:
    # Past Keras' attribute tracking, which would note a change of the model.
    held = {name: attributes[name] for name in _REPLACED if name in attributes}
    attributes.update(
        _compile_metrics=None,
        _compile_loss=_fresh(held.get("_compile_loss")),
        optimizer=held.get("optimizer"),
    )
    try:
        yield
    finally:
        for name in _REPLACED:
            attributes.pop(name, None)
        attributes.update(held)


def _fresh(loss: Any) -> Any:
    if loss is None or loss.built:
        return loss
    return type(loss)(loss._user_loss, loss._user_loss_weights, loss.reduction, loss.output_names)
