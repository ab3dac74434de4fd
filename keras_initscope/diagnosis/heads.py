"""Which layer makes the values that a model gives, where others only hand them on.

Owns what hands values on. Finds nothing.
"""

from __future__ import annotations

from math import isclose

from keras_initscope.diagnosis.case import Case
from keras_initscope.records import LayerInfo, Quantity, TensorStats

_SHAPES = ("Flatten", "Identity", "Permute", "Reshape")
_DROPOUTS = ("AlphaDropout", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
_MODELS = ("Functional", "Model", "Sequential")


def output_layers(case: Case) -> list[LayerInfo]:
    """The layers that make the outputs."""
    given = (case.layers[path] for path in case.model.outputs if path in case.layers)
    return [_origin(case, layer) for layer in given]


def activation(layer: LayerInfo) -> str:
    """The name of its activation function, `"linear"` without one."""
    return layer.activation or {"Softmax": "softmax", "ReLU": "relu"}.get(layer.kind, "linear")


def source(case: Case, layer: LayerInfo) -> LayerInfo | None:
    """The layer that made what an activation layer of its own receives; `None` for other layers."""
    before = _before(case, layer)
    if layer.kind not in ("Softmax", "Activation") or before is None:
        return None
    here, there = (_activation_of(case, each) for each in (layer, before))
    is_fed = here is not None and there is not None and here.tap.size == there.tap.size
    return _origin(case, before) if is_fed else None


def _origin(case: Case, layer: LayerInfo) -> LayerInfo:
    """The layer that made what a layer hands on with another shape, or dropped in places."""
    before = _before(case, layer)
    while before is not None and _hands_on(case, before, layer):
        layer, before = before, _before(case, before)
    return layer


def _before(case: Case, layer: LayerInfo) -> LayerInfo | None:
    """The layer in front, where it is one."""
    before = case.network.in_front(layer.path)
    return before[0] if len(before) == 1 else None


def _hands_on(case: Case, before: LayerInfo, layer: LayerInfo) -> bool:
    """Whether a layer gives the values of the one in front, as the numbers of both show."""
    given, taken = (_activation_of(case, each) for each in (layer, before))
    if given is None:
        return layer.kind in _MODELS  # what its last layer gives is told of that one
    if taken is None:
        return False
    is_linear = layer.kind == "Activation" and activation(layer) == "linear"
    if layer.kind in _SHAPES or is_linear:
        return _is_same(given, taken, "minimum", "maximum", "root_mean_square")
    return layer.kind in _DROPOUTS and given.tap.size == taken.tap.size


def _is_same(given: TensorStats, taken: TensorStats, *statistics: str) -> bool:
    near = (isclose(given.values[s], taken.values[s], rel_tol=1e-3) for s in statistics)
    return given.tap.size == taken.tap.size and all(near)


def _activation_of(case: Case, layer: LayerInfo) -> TensorStats | None:
    entries = (entry for entry in case.of(Quantity.ACTIVATION) if entry.tap.layer == layer.path)
    return next(entries, None)
