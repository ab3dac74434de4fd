"""The guard of a look: nothing of it is left on the model or in Keras.

Owns what a dry run touches beside variables. The guard of plain Python objects is `preserved`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras_initscope import graph
from keras_initscope.preserved import preserved


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Leave no trace on a model, its layers and random number generators.

    Within it the model has a loss of its own where the compiled one is not built.
    """
    with graph.kept_seeds(), preserved([model, *(node.layer for node in graph.layers(model))]):
        # Past Keras' attribute tracking, which would note a change of the model.
        model.__dict__["_compile_loss"] = _fresh(model.__dict__.get("_compile_loss"))
        yield


def _fresh(loss: Any) -> Any:
    if loss is None or loss.built:
        return loss
    return type(loss)(loss._user_loss, loss._user_loss_weights, loss.reduction, loss.output_names)


@contextmanager
def weights_alone(model: Any) -> Iterator[None]:
    """Leave no trace but the weights that a model makes meanwhile.

    Within it the model has neither compiled losses nor metrics, which would be built as well.
    """
    attributes = model.__dict__
    names = ("_compile_metrics", "_compile_loss", "optimizer")
    held = {name: attributes[name] for name in names if name in attributes}
    with graph.kept_seeds(), preserved([]):
        # Past Keras' attribute tracking, which would note a change of the model.
        attributes.update(_compile_metrics=None, _compile_loss=None)
        attributes.setdefault("optimizer", None)
        try:
            yield
        finally:
            for name in names:
                attributes.pop(name, None)
            attributes.update(held)
