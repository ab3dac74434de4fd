"""The remedies there are, in the order in which they are tried.

Owns the code of each. None of them changes anything: it is the trial that executes the code.
"""

from __future__ import annotations

from math import floor, log10
from typing import Any

import keras
import numpy as np

from keras_initscope.inspection.advice import advise
from keras_initscope.inspection.remedies.registry import Scene, remedy

_WEIGHTS = ("F1", "F2", "F3", "F5", "B1", "B2", "B3", "U1", "U2", "U3", "N1", "N2")
_INPUTS = ("D1", "F2", "F4", "U1", "N1", "N2")
_LOOKED_UP = ("Embedding", "StringLookup", "IntegerLookup", "TextVectorization", "Hashing")
#: The part of its own size by which a step moves a weight where training goes well.
_PACE = 1e-3


@remedy(*_INPUTS, kind="inputs")
def scaled_pixels(scene: Scene) -> str | None:
    """Scale the inputs to the range 0 to 1 (`keras.layers.Rescaling(1 / 255)` in the model)."""
    leaves = keras.tree.flatten(scene.x)
    are_pixels = [
        array.ndim >= 3 and array.min() >= 0 and 1 < array.max() <= 255 for array in leaves
    ]
    return "x = x / 255" if len(leaves) == 1 and all(are_pixels) else None


@remedy(*_INPUTS, kind="inputs")
def standardized(scene: Scene) -> str | None:
    """Scale each feature to mean 0 and variance 1 (`keras.layers.Normalization` in the model)."""
    leaves = keras.tree.flatten(scene.x)
    kinds = {layer.kind for layer in scene.report.model.layers}
    read = "f" if kinds & set(_LOOKED_UP) else "fiu"
    if not all(array.dtype.kind in read and np.isfinite(array).all() for array in leaves):
        return None
    ranks = {array.ndim for array in leaves}
    if len(ranks) > 1:
        return None
    axes = tuple(range(ranks.pop() - 1))
    axis = f"axis={axes if len(axes) > 1 else 0}"
    if isinstance(scene.x, dict):
        return f"x = {{name: {_standard('each', axis)} for name, each in x.items()}}"
    if isinstance(scene.x, list | tuple):
        return f"x = [{_standard('each', axis)} for each in x]"
    return f"x = {_standard('x', axis)}"


def _standard(name: str, axis: str) -> str:
    return f"({name} - {name}.mean({axis})) / ({name}.std({axis}) + 1e-7)"


@remedy("D2", "N1", kind="inputs")
def filled(scene: Scene) -> str | None:
    """Replace what is missing in the inputs by zeros."""
    if all(np.isfinite(array).all() for array in keras.tree.flatten(scene.x) if _is_float(array)):
        return None
    if isinstance(scene.x, np.ndarray):
        return "x = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)"
    return "x = keras.tree.map_structure(lambda a: np.nan_to_num(a, posinf=0.0, neginf=0.0), x)"


def _is_float(array: Any) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


@remedy(*_WEIGHTS, kind="weights")
def drawn_anew(scene: Scene) -> str | None:
    """Draw the kernels anew, each with the variance that suits its layer and activation."""
    return "initscope.reinitialize(model)"


@remedy("U2", "F1", "F4", "B1", "B3", kind="biases")
def biases_at_zero(scene: Scene) -> str | None:
    """Start with biases at zero."""
    biases = [v for v in scene.model.trainable_variables if v.name == "bias"]
    if not any(np.any(keras.ops.convert_to_numpy(v)) for v in biases):
        return None
    return 'initscope.reinitialize(model, [("bias", "zeros")])'


@remedy(*_WEIGHTS, kind="weights")
def by_advice(scene: Scene) -> str | None:
    """Draw the kernels as `advise` recommends for this activation and depth."""
    if not scene.activation or scene.depth < 2:
        return None
    try:
        chosen = advise(scene.activation, scene.depth, cost=False).chosen
    except ValueError:  # it is no function of one number
        return None
    rules = [f'("kernel", {chosen.code})']
    rules += [f'("bias", {chosen.bias_code})'] if chosen.bias_variance else []
    return f"initscope.reinitialize(model, [{', '.join(rules)}]{_without_outputs(scene)})"


@remedy(*_WEIGHTS, kind="weights")
def calibrated(scene: Scene) -> str | None:
    """Draw orthogonal kernels and scale each layer to unit variance on the data (LSUV)."""
    return "initscope.calibrate(model, x)"


@remedy(*_WEIGHTS, kind="weights")
def orthogonal(scene: Scene) -> str | None:
    """Draw orthogonal kernels with the gain of the activation, which scatter least over depth."""
    if not scene.activation:
        return None
    gain = f"gain=initscope.gain({scene.activation!r})"
    rule = f'("kernel", initscope.initializers.ScaledOrthogonal({gain}))'
    return f"initscope.reinitialize(model, [{rule}]{_without_outputs(scene)})"


@remedy("F1", "F3", "B1", "U1", kind="activations")
def tanh_for_sigmoid(scene: Scene) -> str | None:
    """Take tanh in the place of sigmoid in the hidden layers."""
    return _replaced(scene, "sigmoid", "tanh")


@remedy("F3", "B1", "B2", kind="activations")
def tailored(scene: Scene) -> str | None:
    """Transform the activations to suit the depth (TAT), with orthogonal kernels."""
    if scene.depth < 2:
        return None
    rule = '("kernel", initscope.initializers.ScaledOrthogonal())'
    return f"initscope.tailor(model)\ninitscope.reinitialize(model, [{rule}])"


@remedy("U2", "B3", kind="activations")
def elu_for_relu(scene: Scene) -> str | None:
    """Take ELU in the place of ReLU in the hidden layers, which is nowhere flat."""
    return _replaced(scene, "relu", "elu")


def _replaced(scene: Scene, old: str, new: str) -> str | None:
    """Of the layers that stand in the model itself, where the user can reach them alike."""
    own = [each for each in scene.model.layers[:-1] if _acts(each) == old]
    if not own or sum(each.activation == old for each in scene.report.model.layers[:-1]) > len(own):
        return None
    return (
        "for layer in model.layers[:-1]:\n"
        f'    if getattr(layer, "activation", None) is keras.activations.{old}:\n'
        f"        layer.activation = keras.activations.{new}\n"
        "initscope.reinitialize(model)"
    )


def _acts(layer: Any) -> str:
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))


def _without_outputs(scene: Scene) -> str:
    """The head keeps its own weights: what comes out of it is for the loss."""
    outputs = scene.report.model.outputs
    if not scene.model.layers or list(outputs) != [scene.model.layers[-1].name]:
        return ""
    is_head = bool(scene.model.layers[-1].trainable_weights)
    return ", exclude=model.layers[-1]" if is_head else ""


@remedy("D4", kind="head")
def sigmoid_for_one(scene: Scene) -> str | None:
    """Take a sigmoid and the binary crossentropy for the one unit of two classes."""
    if "crossentropy" not in str(scene.report.model.loss):
        return None
    activated = _head(scene, "softmax", "sigmoid")
    return activated and f'{activated}\nmodel.compile(model.optimizer, "binary_crossentropy")'


@remedy("D5", kind="loss")
def logits(scene: Scene) -> str | None:
    """Leave the last layer without an activation and tell the loss that it gives logits."""
    old = _acts(scene.model.layers[-1]) if scene.model.layers else ""
    activated = "" if old in ("", "linear") else f"{_head(scene, old, 'linear')}\n"
    return f"{activated}{_compiled(scene, True)}"


@remedy("D5", kind="head")
def probabilities(scene: Scene) -> str | None:
    """Let the last layer give probabilities, and the loss take them."""
    binary = "binary" in str(scene.report.model.loss)
    old = _acts(scene.model.layers[-1]) if scene.model.layers else ""
    if not old:
        return None
    new = "sigmoid" if binary else "softmax"
    activated = "" if old == new else f"{_head(scene, old, new)}\n"
    return f"{activated}{_compiled(scene, False)}"


def _head(scene: Scene, old: str, new: str) -> str | None:
    if not scene.model.layers or _acts(scene.model.layers[-1]) != old:
        return None
    return f"model.layers[-1].activation = keras.activations.{new}"


def _compiled(scene: Scene, from_logits: bool) -> str:
    kind = "".join(part.capitalize() for part in str(scene.report.model.loss).split("_"))
    return f"model.compile(model.optimizer, keras.losses.{kind}(from_logits={from_logits}))"


@remedy("W2", "W3", kind="rate")
def another_rate(scene: Scene) -> str | None:
    """Change the learning rate: a step should move weights by a thousandth of their size."""
    optimizer = getattr(scene.model, "optimizer", None)
    speed = _speed(scene)
    if optimizer is None or not speed or not _is_constant(optimizer):
        return None
    factor = 10.0 ** floor(log10(_PACE / speed) + 0.5)
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate)) * factor
    return f"model.optimizer.learning_rate = {rate:.1g}"


def _is_constant(optimizer: Any) -> bool:
    return isinstance(getattr(optimizer, "_learning_rate", None), keras.Variable)


def _speed(scene: Scene) -> float:
    """By what part of its size a step moves the kernel that moves fastest."""
    measured = scene.report.measured
    sizes = measured.profile("kernel", "root_mean_square")
    moved = measured.profile("kernel_update", "root_mean_square")
    steps = max(1, measured.info.updates)
    return max((moved[p] / sizes[p] / steps for p in moved if sizes.get(p)), default=0.0)
