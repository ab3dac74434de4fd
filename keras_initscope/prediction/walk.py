"""The walk over the operations of a model, and of any layer that can be traced into operations.

Owns `predict`, and the rule for layers that nobody has registered.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.prediction.activation import alone
from keras_initscope.prediction.state import State, Unknown
from keras_initscope.prediction.transfer import UnpredictableError, apply, transfer


def run(operations: graph.Operations, inputs: list[Any]) -> Any:
    """Transfer states through operations.

    Args:
        operations: Of a model.
        inputs: One state for each of its inputs.

    Returns:
        The structure of the model's outputs, a state in the place of each tensor.
    """
    known = {id(tensor): x for tensor, x in zip(operations.inputs, inputs, strict=True)}
    for node in operations.nodes:
        if any(id(tensor) not in known for tensor in node.input_tensors):
            continue
        args, kwargs = node.arguments.fill_in(known)
        # A model hands its own `training` to every node, whatever the node was made with.
        kwargs.pop("training", None)
        found = keras.tree.flatten(apply(node.operation, *args, **kwargs))
        if len(found) < len(node.outputs):
            found = found * len(node.outputs)
        for tensor, x in zip(node.outputs, found):  # noqa: B905
            known[id(tensor)] = _shaped(x, tensor)
    missing = Unknown("it does not come from what goes into the model")
    return keras.tree.map_structure(lambda x: known.get(id(x), missing), operations.outputs)


def _shaped(x: Any, tensor: Any) -> Any:
    shape = tuple(tensor.shape[1:])
    if isinstance(x, Unknown) and None not in shape:
        return Unknown(x.reason, shape, x.parents)
    return x


@transfer.register(keras.Model)
def _(model: Any, *args: Any, **kwargs: Any) -> Any:
    operations = graph.operations(model)
    if operations is None:
        return _traced(model, args, kwargs)
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, State | Unknown)]
    return run(operations, inputs)


@transfer.register(keras.Layer)
def _(layer: Any, *args: Any, **kwargs: Any) -> Any:
    if hasattr(layer, "nonlinearity"):
        return alone(layer, args[0])
    return _traced(layer, args, kwargs)


def _traced(layer: Any, args: Any, kwargs: Any) -> Any:
    """What a layer is made of says what it does, unless it draws numbers or leaves Keras."""
    name = type(layer).__name__
    if not layer.built:
        raise UnpredictableError(f"it is not built; call the model, or {name}.build, first")
    if getattr(layer, "_seed_generators", None):
        raise UnpredictableError(
            f"{name} draws random numbers; register a rule with transfer.register"
        )
    if not layer._layers and type(layer).call is keras.Layer.call:
        raise UnpredictableError(f"nothing is registered for {name}")
    symbols: dict[int, Any] = {}

    def symbol(x: Any) -> Any:
        if isinstance(x, State):
            made = keras.KerasTensor((None, *x.shape), dtype="float32")
            symbols[id(made)] = x
            return made
        return x

    args, kwargs = keras.tree.map_structure(symbol, (args, kwargs))
    if getattr(layer, "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": True}
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    try:
        with graph.traced(layer, *args, **kwargs) as operations:
            return run(operations, [symbols[id(tensor)] for tensor in operations.inputs])
    except UnpredictableError:
        raise
    except Exception as error:  # the layer is the user's and may raise anything
        raise UnpredictableError(
            f"nothing is registered for {name}, and calling it with symbolic tensors raised "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
