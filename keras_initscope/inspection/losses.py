"""What is differentiated in a look, and what is wrong with it where it cannot be.

Owns the choice between the compiled loss, a given one and a cotangent. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.batches import Batch
from keras_initscope.inspection.refusal import InspectionError
from keras_initscope.measurement import steps

COTANGENT = "gradients of a cotangent of variance 1 at the output"


def step_of(model: Any, batch: Batch, y: Any, loss: Any) -> tuple[Callable[[Any], Any], str]:
    """What is run, and what its gradients are in words."""
    if has_loss(model):
        return _compiled_step(model, batch, loss)
    if loss is not None:
        function = _loss_function(loss)
        if batch.y is None:
            raise InspectionError(
                f"The loss {_name(loss)!r} needs targets. Received: y=None. Give `y`, or leave out "
                "`loss` to look at the gradients of a unit-variance cotangent."
            )
        return steps.with_loss(model, function), f"loss {_name(loss)}"
    if y is not None:
        raise InspectionError(
            f"The model {model.name!r} is not compiled with a loss, so `y` says nothing. Received: "
            'a `y`, and loss=None. Give a `loss` such as "mse", compile the model, or leave out '
            "`y` to look at the gradients of a unit-variance cotangent."
        )
    return steps.with_cotangent(model), COTANGENT


def has_loss(model: Any) -> bool:
    """Whether a model is compiled with something that its training step differentiates."""
    return bool(model.compiled) and (model._compile_loss is not None or _has_own_step(model))


def _compiled_step(model: Any, batch: Batch, loss: Any) -> tuple[Callable[[Any], Any], str]:
    if loss is not None:
        raise InspectionError(
            f"The model {model.name!r} is compiled with a loss of its own ({_name(model.loss)}). "
            f"Received: loss={loss!r}. Leave `loss` out, or compile the model with it."
        )
    if batch.y is None and not _has_own_step(model):
        raise InspectionError(
            f"The model {model.name!r} is compiled with the loss {_name(model.loss)!r}, which "
            f"needs targets. Received: {batch}, and no y. Give `y`, or batches `(x, y)`."
        )
    if _has_own_step(model) and model.loss is None:
        return model.train_step, "loss of its own training step"
    return model.train_step, f"loss {_name(model.loss)}"


def _has_own_step(model: Any) -> bool:
    return any(
        getattr(type(model), name) is not getattr(keras.Model, name)
        for name in ("train_step", "compute_loss")
    )


def _loss_function(loss: Any) -> Any:
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise _unknown_loss(loss) from error
    if not callable(found):
        raise _unknown_loss(loss)
    return found


def _unknown_loss(loss: Any) -> InspectionError:
    return InspectionError(
        'Expected `loss` to be the name of a Keras loss such as "mse" or '
        '"sparse_categorical_crossentropy", a function of targets and predictions, or a '
        f"`keras.losses.Loss`. Received: loss={loss!r}"
    )


def _name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss
    if isinstance(loss, dict | list | tuple):
        return ", ".join(dict.fromkeys(_name(each) for each in keras.tree.flatten(loss)))
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))


def losses_mismatch(model: Any) -> str:
    """What is wrong with a mapping or list of compiled losses; of one loss nothing can be."""
    losses, operations = getattr(model, "loss", None), graph.operations(model)
    if not isinstance(losses, dict | list | tuple) or not operations or _has_own_step(model):
        return ""
    outputs = operations.outputs
    functional = model._functional if isinstance(model, keras.Sequential) else model
    names = list(functional.output_names)
    keys = list(outputs) if isinstance(outputs, dict) else names
    if isinstance(losses, dict):
        fits, given = set(losses) <= {*keys, *names}, f"losses for {list(losses)}"
    else:
        fits = len(losses) == len(names)
        given = f"a list of {len(losses)}"
    if fits:
        return ""
    return (
        f"The losses that the model {model.name!r} is compiled with do not go with its outputs. "
        f"Expected one loss, or a mapping with losses for some of {keys}. Received: {given}. "
        "Compile the model again."
    )


def targets_mismatch(model: Any, batch: Batch, words: str) -> str:
    """What is wrong with the shapes of targets that are compared element by element."""
    operations = graph.operations(model)
    if batch.y is None or operations is None or "sparse" in words or _has_own_step(model):
        return ""
    targets, outputs = keras.tree.flatten(batch.y), keras.tree.flatten(operations.outputs)
    wanted = [tuple(each.shape[1:]) for each in outputs]
    if len(targets) != len(wanted) or all(map(_agree, (t.shape[1:] for t in targets), wanted)):
        return ""
    return (
        f"Targets for the {words} must have the shape of the outputs of the model {model.name!r}. "
        f"Expected: {[(batch.examples, *shape) for shape in wanted]}. Received: {batch}. For class "
        "numbers take a loss such as sparse_categorical_crossentropy, or give one-hot vectors."
    )


def _agree(target: Any, output: tuple[int | None, ...]) -> bool:
    return len(target) == len(output) and all(
        size is None or size == given for given, size in zip(target, output, strict=True)
    )
