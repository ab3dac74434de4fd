"""Remedies that put a layer into the model: normalizations of inputs and of preactivations.

Owns the code of each, and which models have a place for it. The layers of the model stay what they
are, with their weights; the model around them is made anew.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.inspection.remedies.registry import Scene, remedy

_SCALED = """\
scaling = keras.layers.Normalization()
scaling.adapt(x)
given = keras.Input(x.shape[1:])
"""
_NORMALIZED = """\
hidden = [layer for layer in model.layers if hasattr(layer, "kernel")][:-1]
activations = {{layer: layer.activation for layer in hidden}}

def normalized(layer, *args, **kwargs):
    if layer not in activations:
        return layer(*args, **kwargs)
    layer.activation = None
    outputs = keras.layers.{kind}()(layer(*args, **kwargs))
    return keras.layers.Activation(activations[layer])(outputs)

"""
_SAME = "clone_function=lambda layer: layer"
_MODEL = "keras.Model(model.inputs, model.outputs)"


@remedy("D1", "F4", kind="preprocessing")
def adapted(scene: Scene) -> str | None:
    """Let a `keras.layers.Normalization` scale the inputs, with what it has seen of them."""
    x = scene.x
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not np.isfinite(x).all():
        return None
    if "Normalization" in _kinds(scene):
        return None
    return f"{_SCALED}{_compiled(scene, 'keras.Model(given, model(scaling(given)))')}"


@remedy("F1", "F2", "F3", "F4", "B1", "B2", "U1", "N2", kind="normalization")
def batch_normalized(scene: Scene) -> str | None:
    """Put a BatchNormalization in front of each hidden activation."""
    return _with_layers(scene, "BatchNormalization")


@remedy("F1", "F2", "F3", "F4", "B1", "B2", "U1", "N2", kind="normalization")
def layer_normalized(scene: Scene) -> str | None:
    """Put a LayerNormalization in front of each hidden activation."""
    return _with_layers(scene, "LayerNormalization")


def _with_layers(scene: Scene, kind: str) -> str | None:
    """Of models whose layers can be put together anew, and have no normalization yet."""
    operations = graph.operations(scene.model)
    if operations is None or any(each.endswith("Normalization") for each in _kinds(scene)):
        return None
    if len(keras.tree.flatten(operations.outputs)) > 1:
        return None  # no one head, behind the last hidden layer
    cloned = f"keras.models.clone_model({_MODEL}, {_SAME}, call_function=normalized)"
    return f"{_NORMALIZED.format(kind=kind)}{_compiled(scene, cloned)}"


def _compiled(scene: Scene, made: str) -> str:
    if not scene.model.compiled:
        return f"model = {made}"
    return f"config = model.get_compile_config()\nmodel = {made}\nmodel.compile_from_config(config)"


def _kinds(scene: Any) -> set[str]:
    return {layer.kind for layer in scene.report.model.layers}
