"""A Keras model as its layers in forward order, for any kind of model, and as its operations.

Owns the names and the order of layers, which of a layer's variables are kernels or biases, and the
operations that tensors pass through. Touches no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import keras
from keras.src.backend.common import global_state

from keras_initscope.preserved import noted, preserved
from keras_initscope.records import LayerInfo, Quantity

#: Methods in which a layer of Keras computes its output.
_COMPUTING = ("__call__", "call", "convolution_op")
_SEEDS = "global_seed_generator"
_MOST_WAYS = 64
_ADDED = ("bias", "beta")


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerNode:
    """One layer of a model.

    Args:
        layer: The Keras layer.
        path: Its path from the model down, unique within the model.
    """

    layer: Any
    path: str

    def info(self, depth: int) -> LayerInfo:
        """The record of this layer at `depth`."""
        return LayerInfo(
            path=self.path,
            kind=type(self.layer).__name__,
            depth=depth,
            activation=_activation_name(self.layer),
        )

    def weights(self) -> Iterator[tuple[Quantity, str, Any]]:
        """The layer's own trained variables, also while they are frozen.

        Yields:
            Quantity (kernel or bias), part (empty for a variable that bears the quantity's own
            name) and Keras variable.
        """
        taken: set[str] = set()
        for variable in own_variables(self.layer):
            added = variable.name.endswith(_ADDED)
            quantity = Quantity.BIAS if added else Quantity.KERNEL
            name = _unique(variable.name, taken)
            yield quantity, "" if name == quantity.value else name, variable


def layers(model: Any) -> list[LayerNode]:
    """Every layer inside a model, in forward order as far as the model's structure tells it.

    Args:
        model: A Keras model or layer: Sequential, functional, nested or subclassed.

    Returns:
        One node a layer, each layer once, sub-layers before the layer that holds them. The order
        is topological in functional models and that of creation in subclassed ones. The model
        itself comes last if it holds variables of its own.
    """
    nodes: list[LayerNode] = []
    seen: set[int] = {id(model)}
    taken: set[str] = set()

    def visit(owner: Any, prefix: str) -> None:
        for layer in _children(owner):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = _unique(prefix + layer.name, taken)
            visit(layer, path + "/")
            nodes.append(LayerNode(layer=layer, path=path))

    visit(model, "")
    if own_variables(model):
        nodes.append(LayerNode(layer=model, path=_unique(model.name, taken)))
    return nodes


def ways(model: Any) -> dict[int, list[list[Any]]]:
    """All ways that lead to each layer inside a model, which layers share.

    Args:
        model: A Keras model or layer.

    Returns:
        `id(layer)` to lists of layers: from the outermost one down to the layer itself. Of layers
        that all hold each other there are too many; the first ones are given.
    """
    found: dict[int, list[list[Any]]] = {}

    def visit(owner: Any, above: list[Any]) -> None:
        for layer in {id(child): child for child in _children(owner)}.values():
            here = found.setdefault(id(layer), [])
            is_circle = layer is model or any(layer is each for each in above)
            if not is_circle and len(here) < _MOST_WAYS:
                here.append([*above, layer])
                visit(layer, here[-1])

    visit(model, [])
    return found


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


def has_weights(model: Any) -> bool:
    """Whether the model and all its layers have their variables."""
    return not unbuilt(model)


def unbuilt(model: Any) -> list[str]:
    """The paths of layers, or the name of the model, that may be yet to make their variables."""
    parts = [(model.name, model), *((node.path, node.layer) for node in layers(model))]
    return [
        path for path, part in parts if not getattr(part, "built", True) and _makes_variables(part)
    ]


def _makes_variables(part: Any) -> bool:
    """What only looks words up makes none; one within another layer is never built."""
    lookups = keras.layers.StringLookup, keras.layers.IntegerLookup
    return _is_called(part) and not isinstance(part, lookups)


def _is_called(part: Any) -> bool:
    """Whether a layer does anything itself; a model may only hold others for its own step."""
    return type(part).call not in (keras.Layer.call, keras.Model.call)


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


def _functional(model: Any) -> Any:
    """What knows the structure of a model, or `None`."""
    functional = model._functional if isinstance(model, keras.Sequential) else model
    return functional if hasattr(functional, "_nodes_by_depth") else None


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


def _of_function(function: Any) -> Operations:
    depths = sorted(function._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in function._nodes_by_depth[depth]]
    return Operations(
        inputs=function._inputs,
        nodes=[node for node in nodes if node.operation and not node.is_input],
        outputs=function._outputs_struct,
    )


def overrides(kind: type, base: type) -> bool:
    """Whether a class computes otherwise than the class of Keras that it is derived from."""
    between = kind.__mro__[: kind.__mro__.index(base)]
    own = [each for each in between if not each.__module__.startswith("keras.")]
    return any(name in vars(each) for each in own for name in _COMPUTING)


def optimizers(model: Any) -> list[Any]:
    """Each optimizer that a model has, its own training step's among them."""
    held = (value for value in vars(model).values() if isinstance(value, keras.Optimizer))
    return list({id(optimizer): optimizer for optimizer in held}.values())


def own_variables(layer: Any) -> list[Any]:
    """The trained variables that the layer holds itself, frozen or not.

    Those of layers inside of it are theirs, also where it has a name for them, as wrappers do.
    """
    inner = layer._flatten_layers(include_self=False)
    theirs = {id(variable) for part in inner for variable in part._trainable_variables}
    return [variable for variable in layer._trainable_variables if id(variable) not in theirs]


def holds_layers(layer: Any) -> bool:
    """Whether other layers are inside of it."""
    return bool(layer._layers)


def reorder(nodes: Sequence[LayerNode], finished: Mapping[int, int]) -> list[LayerNode]:
    """Put nodes into the order in which their layers were seen to finish.

    Args:
        nodes: Nodes in structural order.
        finished: `id(layer)` to its place in the observed order.

    Returns:
        The nodes; one that was never seen stays behind its structural predecessor.
    """
    place, keyed = -1, []
    for node in nodes:
        place = finished.get(id(node.layer), place)
        keyed.append((place, node))
    return [node for _, node in sorted(keyed, key=lambda pair: pair[0])]


def _children(owner: Any) -> list[Any]:
    # A functional model's `layers` is sorted by depth, but leaves out what is beside its graph.
    sorted_ones = owner.layers if isinstance(owner, keras.Model) else []
    found = [*sorted_ones, *owner._flatten_layers(include_self=False, recursive=False)]
    return [child for child in found if not isinstance(child, keras.layers.InputLayer)]


def _unique(path: str, taken: set[str]) -> str:
    candidate, number = path, 1
    while candidate in taken:
        candidate, number = f"{path}_{number}", number + 1
    taken.add(candidate)
    return candidate


def _activation_name(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    return getattr(activation, "__name__", None) or type(activation).__name__
