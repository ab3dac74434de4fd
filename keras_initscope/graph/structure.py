"""The operations that tensors pass through in a model, and what goes in under which name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.backend.common import global_state

from keras_initscope.graph.nodes import layers
from keras_initscope.preserved import preserved

_SEEDS = "global_seed_generator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """What a model does to tensors, in an order in which it can be done.

    Args:
        inputs: The symbolic tensors that go in, flat.
        nodes: One Keras node a call of a layer or of a `keras.ops` operation: `node.operation`,
            `node.arguments.fill_in({id(tensor): value})`, `node.outputs`.
        outputs: The structure of symbolic tensors that comes out.
    """

    inputs: Sequence[Any]
    nodes: Sequence[Any]
    outputs: Any


def operations(model: Any) -> Operations | None:
    """The operations of a model whose structure is known without calling it.

    Args:
        model: A Keras model or layer.

    Returns:
        Those of a functional model or of a built `Sequential`; `None` for anything else.
    """
    functional = _functional(model)
    return None if functional is None else _of_function(functional)


def input_names(model: Any) -> list[list[str]]:
    """What the inputs of a model may be called where they are given as a mapping.

    Args:
        model: A Keras model.

    Returns:
        Complete namings, in the order of the inputs of `operations`. The first is the one that
        Keras itself takes: the keys of a model that was made of a mapping, else the names of its
        inputs. Empty where the structure is not known.
    """
    functional = _functional(model)
    if functional is None:
        return []
    inputs, structure = functional._inputs, functional._inputs_struct
    namings = [[tensor.name for tensor in inputs]]
    if all(hasattr(tensor, "_keras_history") for tensor in inputs):
        namings.append([str(tensor._keras_history.operation.name) for tensor in inputs])
    if isinstance(structure, Mapping):
        keys = {id(tensor): key for key, tensor in structure.items()}
        if set(keys) >= {id(tensor) for tensor in inputs}:
            namings.insert(0, [keys[id(tensor)] for tensor in inputs])
    return namings


def inputs_by_name(model: Any, given: Mapping[str, Any]) -> list[Any] | None:
    """The values of a mapping in the order of a model's inputs, or `None` if some are missing."""
    for names in input_names(model):
        if set(names) <= set(given):
            return [given[name] for name in names]
    return None


def as_taken(model: Any, given: Any) -> Any:
    """Inputs in the structure that Keras takes them in, where they are called by other names."""
    functional, namings = _functional(model), input_names(model)
    if functional is None:
        return given
    flat = None
    if len(functional._inputs) == 1:
        flat = keras.tree.flatten(given)
    elif not isinstance(given, Mapping):
        if isinstance(functional._inputs_struct, Mapping):
            flat = keras.tree.flatten(given)
    elif not set(namings[0]) <= set(given):
        flat = inputs_by_name(model, given)
    if flat is None or len(flat) != len(functional._inputs):
        return given
    return keras.tree.pack_sequence_as(functional._inputs_struct, flat)


@contextmanager
def traced(layer: Any, *args: Any, **kwargs: Any) -> Iterator[Operations]:
    """The operations of any layer, found by calling it with symbolic tensors.

    Nothing of it is left on the layer afterwards, nor on those inside.

    Args:
        layer: A built Keras layer or model.
        *args: What to call it with, `keras.KerasTensor`s among them.
        **kwargs: Likewise.

    Yields:
        Its operations, good until the context ends.
    """
    parts = [layer, *(node.layer for node in layers(layer))]
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    with (
        kept_seeds(),
        preserved(parts),
        keras.StatelessScope(),
    ):  # a layer may assign to variables in its call
        yield _of_function(keras.Function(inputs, layer.call(*args, **kwargs)))


@contextmanager
def kept_seeds() -> Iterator[None]:
    """Keep Keras' global seed generator, or that there is none yet."""
    held = global_state.get_global_attribute(_SEEDS)
    try:
        yield
    finally:
        global_state.set_global_attribute(_SEEDS, held)


def giving(model: Any) -> list[Any]:
    """The layers that a model's outputs come from, empty where the structure is not known."""
    found = operations(model)
    if found is None:
        return []
    outputs = {id(tensor) for tensor in keras.tree.flatten(found.outputs)}
    return [
        node.operation
        for node in found.nodes
        if any(id(tensor) in outputs for tensor in node.outputs)
    ]


def taking(model: Any) -> list[Any]:
    """The first layers with weights that a model's inputs come to, those of inner models too.

    Empty where the structure is not known.
    """
    found = operations(model)
    if found is None:
        return []
    raw = {id(tensor) for tensor in found.inputs}
    first: list[Any] = []
    for node in found.nodes:
        if not any(id(tensor) in raw for tensor in node.arguments.keras_tensors):
            continue
        if getattr(node.operation, "weights", []):
            first.extend(taking(node.operation) or [node.operation])
        else:  # it changes the inputs and learns nothing
            raw.update(id(tensor) for tensor in node.outputs)
    return first


def _functional(model: Any) -> Any:
    """What knows the structure of a model, or `None`."""
    functional = model._functional if isinstance(model, keras.Sequential) else model
    return functional if hasattr(functional, "_nodes_by_depth") else None


def _of_function(function: Any) -> Operations:
    depths = sorted(function._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in function._nodes_by_depth[depth]]
    return Operations(
        inputs=function._inputs,
        nodes=[node for node in nodes if node.operation and not node.is_input],
        outputs=function._outputs_struct,
    )
