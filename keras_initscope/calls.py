"""How a model is called with a batch, and whether it takes it.

Owns the order and the structure of inputs. Calls nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.batches import Batch, BatchError, batch_of, dimensions, is_text, shape_text

_TEXT = ", of dtype string"
_FILLED_IN = "training"  # by whoever calls the model
_FIRST = "The first axis runs over examples; reshape the data, or give batches of it."
_ALONE = "Give the inputs alone: `x`, and not `(x, y)`."


def check_inputs(model: Any, batch: Batch) -> None:
    """Make sure that a model with known inputs takes a batch.

    Raises:
        BatchError: If it does not; says what it takes.
    """
    operations = graph.operations(model)
    if operations is None:
        _check_alone(model, batch)
        return
    given = inputs_in_order(model, batch.x)
    wanted = operations.inputs
    if len(given) == len(wanted) and all(map(_fits, given, wanted)):
        return
    names, texts = graph.input_names(model)[0], any(map(is_text, given))
    expected = ", ".join(
        f"{name!r} of shape {dimensions(each.shape)}{_TEXT if is_text(each) else ''}"
        for name, each in zip(names, wanted, strict=True)
    )
    raise BatchError(
        f"The model {model.name!r} does not take this `x`. Expected: {expected}. Received: "
        f"{shape_text(batch.x)}{_TEXT if texts else ''}. "
        + (_ALONE if len(given) > len(wanted) else _FIRST)
    )


def taken(model: Any, x: Any) -> Any:
    """One batch of inputs out of what `fit` takes as `x`, in the structure that a model takes.

    Args:
        model: A Keras model or layer.
        x: As for `batch_of`; targets in it are left out.

    Returns:
        The inputs, as tensors.

    Raises:
        BatchError: If there is no batch, or the model does not take it.
    """
    batch = batch_of(x)
    if isinstance(model, keras.Layer):
        check_inputs(model, batch)
    return graph.as_taken(model, batch.x) if isinstance(model, keras.Model) else batch.x


def _check_alone(model: Any, batch: Batch) -> None:
    """Of a model in code the shapes are known that it was built with; none, if it is not built."""
    if len(required(model)) > 1:
        return
    built = list((getattr(model, "_build_shapes_dict", None) or {}).values())
    shapes = [keras.tree.map_shape_structure(str, each) for each in built]
    expected = 1 if isinstance(model, keras.Sequential) else len(keras.tree.flatten(shapes))
    given = len(keras.tree.flatten(batch.x))
    if expected == 1 < given:
        raise BatchError(
            f"The model {model.name!r} takes one input. Received: {given} arrays, {batch}. {_ALONE}"
        )


def arguments(model: Any, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What to call a model with: `x`, or what is in it where `call` asks for several arguments.

    Args:
        model: A Keras model or layer.
        x: Inputs; a list, tuple or mapping of them for a `call(self, p, q)`.

    Returns:
        Positional and named arguments.

    Raises:
        BatchError: If there is not one input for each argument.
    """
    wanted = required(model)
    if len(wanted) < 2:
        return (x,), {}
    if isinstance(x, Mapping) and set(x) == set(wanted):
        return (), dict(x)
    if isinstance(x, list | tuple) and len(x) == len(wanted):
        return tuple(x), {}
    raise BatchError(
        f"The `call` of {model.name!r} takes {len(wanted)} arguments: {', '.join(wanted)}. "
        f"Expected a tuple, list or mapping of one input for each. Received: {shape_text(x)}."
    )


def required(model: Any) -> list[str]:
    """The names of the arguments that a model cannot be called without."""
    if isinstance(model, keras.Sequential) or graph.operations(model) is not None:
        return ["inputs"]
    found = inspect.signature(model.call).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        each.name
        for each in found
        if each.default is each.empty and each.kind in kinds and each.name != _FILLED_IN
    ]


def inputs_in_order(model: Any, x: Any) -> list[Any]:
    """The inputs as a flat list, in the order in which the model's own structure has them."""
    named = graph.inputs_by_name(model, x) if isinstance(x, Mapping) else None
    return list(keras.tree.flatten(x)) if named is None else named


def _fits(given: Any, wanted: Any) -> bool:
    """Whether shapes and kinds agree; Keras adds and drops a last axis of length 1."""
    shape, model = tuple(given.shape), tuple(wanted.shape)
    if len(shape) == len(model) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(shape) == len(model) - 1 and model[-1] == 1:
        shape = (*shape, 1)
    same = len(shape) == len(model) and all(
        m is None or s == m for s, m in zip(shape[1:], model[1:], strict=True)
    )
    return same and is_text(given) == is_text(wanted)
