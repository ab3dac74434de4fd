"""The layers of a model as nodes with paths, in forward order, and which weights are whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_initscope.records import LayerInfo, Quantity

#: Methods in which a layer of Keras computes its output.
_COMPUTING = ("__call__", "call", "convolution_op")
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

    def info(self, depth: int, parents: tuple[str, ...] = ()) -> LayerInfo:
        """The record of this layer at `depth`, behind `parents`."""
        return LayerInfo(
            path=self.path,
            kind=type(self.layer).__name__,
            depth=depth,
            activation=_activation_name(self.layer),
            units=_units(self.layer),
            trainable=bool(self.layer.trainable) and self._trains_its_kernel(),
            dtype=str(self.layer.compute_dtype),
            parents=parents,
        )

    def _trains_its_kernel(self) -> bool:
        """Whether it has none, or one that is trained itself and not by way of another (LoRA)."""
        kernels = [
            variable
            for quantity, part, variable in self.weights()
            if quantity is Quantity.KERNEL and not part
        ]
        return all(variable.trainable for variable in kernels)

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
        for layer in children(owner):
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
        for layer in {id(child): child for child in children(owner)}.values():
            here = found.setdefault(id(layer), [])
            is_circle = layer is model or any(layer is each for each in above)
            if not is_circle and len(here) < _MOST_WAYS:
                here.append([*above, layer])
                visit(layer, here[-1])

    visit(model, [])
    return found


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


def children(owner: Any) -> list[Any]:
    """The layers that a layer holds itself, those of a model in forward order."""
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


def _units(layer: Any) -> int | None:
    found = getattr(layer, "units", None) or getattr(layer, "filters", None)
    return found if isinstance(found, int) else None
