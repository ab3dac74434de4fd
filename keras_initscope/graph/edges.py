"""Which layers a layer takes what it works on from.

Owns what counts as going on from layer to layer: operations in between are passed through, and what
scales a larger tensor, as the gate of a squeeze and excitation does, leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from keras_initscope.graph.nodes import LayerNode, children, holds_layers
from keras_initscope.graph.structure import Operations, operations

_NONE: frozenset[int] = frozenset()


def parents(model: Any, nodes: Iterable[LayerNode]) -> dict[str, tuple[str, ...]]:
    """The layers that each layer takes its input from.

    Where the structure is not known, as inside of subclassed models and layers, a layer takes what
    the one before it gives.

    Args:
        model: A Keras model or layer.
        nodes: Its layers in forward order; those that are left out are passed through.

    Returns:
        Path to the paths of the layers before it, in forward order.
    """
    known = list(nodes)
    edges = _Edges({id(node.layer): place for place, node in enumerate(known)})
    edges.through(model, [])
    return {
        node.path: tuple(known[place].path for place in sorted(edges.before(id(node.layer))))
        for node in known
    }


class _Edges:
    """From each layer to those before it, gathered on the way through a model."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places
        self._before: dict[int, set[int]] = {}

    def before(self, layer: int) -> set[int]:
        """The places of those that come before a layer."""
        found: set[int] = set()
        seen = {layer}
        waiting = [*self._before.get(layer, ())]
        while waiting:
            each = waiting.pop()
            if each in self._places:
                found.add(self._places[each])
            elif each not in seen:
                waiting.extend(self._before.get(each, ()))
            seen.add(each)
        return found - {self._places[layer]}

    def through(self, layer: Any, given: Sequence[frozenset[int]]) -> frozenset[int]:
        """Go through a layer and, the first time, what is inside; what comes out is its own."""
        is_known = id(layer) in self._before
        before = self._before.setdefault(id(layer), set())
        if not holds_layers(layer):
            before.update(*given)
        elif not is_known:  # shared layers, and those that hold each other
            before.update(self._through_inside(layer, given))
        return frozenset([id(layer)])

    def _through_inside(self, layer: Any, given: Sequence[frozenset[int]]) -> frozenset[int]:
        found, last = operations(layer), _NONE.union(*given)
        if found is not None:
            known = given if len(given) == len(found.inputs) else [last] * len(found.inputs)
            return self._through_operations(found, known)
        inside = {id(child): child for child in children(layer)}
        for child in sorted(inside.values(), key=self._place):
            last = self.through(child, [last])
        return last

    def _place(self, layer: Any) -> int:
        return self._places.get(id(layer), len(self._places))

    def _through_operations(
        self, found: Operations, given: Sequence[frozenset[int]]
    ) -> frozenset[int]:
        sources = {id(x): source for x, source in zip(found.inputs, given, strict=True)}
        for node in found.nodes:
            takes = [sources.get(id(x), _NONE) for x in _carriers(node)]
            if isinstance(node.operation, keras.layers.Layer):
                gives = self.through(node.operation, takes)
            else:
                gives = _NONE.union(*takes)
            sources.update((id(x), gives) for x in node.outputs)
        outputs = keras.tree.flatten(found.outputs)
        return _NONE.union(*(sources.get(id(x), _NONE) for x in outputs))


def _carriers(node: Any) -> list[Any]:
    """What goes into an operation, of a product what is not repeated along an axis."""
    taken = node.arguments.keras_tensors
    if type(node.operation).__name__ != "Multiply":
        return list(taken)
    shape = node.outputs[0].shape
    return [x for x in taken if not _is_repeated(x.shape, shape)] or list(taken)


def _is_repeated(shape: Sequence[int | None], over: Sequence[int | None]) -> bool:
    aligned = [1] * (len(over) - len(shape)) + list(shape)
    return any(one == 1 and other != 1 for one, other in zip(aligned, over, strict=True))
