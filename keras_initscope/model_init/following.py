"""Which activation a layer's output goes through, and in which sums it ends.

Owns the flow in which a tensor is the set of the layers that made it linearly.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_initscope.model_init.flow import Flow, fused, hands_on, is_activation, is_weighted, read
from keras_initscope.theory.nonlinearity import Nonlinearity

L = keras.layers
Makers = frozenset[int]


class Following(Flow):
    """The activations and sums behind the layers of a model.

    Args:
        model: A built Keras model.
    """

    nothing: Makers = frozenset()

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._found: dict[int, dict[str, Nonlinearity | None]] = {}
        self._sums: list[tuple[Makers, int, bool]] = []
        self._note(self.nothing.union(*self.through_model(model)), None)

    def of(self, layer: Any) -> Nonlinearity | None:
        """The one activation that the output of a layer goes through; `None` if it is linear.

        A layer of which some outputs go through one activation and others through another, or
        through none, counts as linear.
        """
        own = fused(layer)
        found = self._found.get(id(layer), {})
        return own or (next(iter(found.values())) if len(found) == 1 else None)

    def shares(self) -> dict[int, float]:
        """The share of a sum's second moment that is due to each layer that ends in one.

        Terms that are all linear outputs of layers have equal shares, so that their sum has unit
        second moment. Branches that are added to a signal which goes on, `L` of them in the model,
        have `1 / L`: all together they double it, however many there are.

        Returns:
            `id(layer)` to its share.
        """
        trunks = sum(is_trunk for _, _, is_trunk in self._sums)
        return {
            layer: 1 / (trunks if is_trunk else count)
            for makers, count, is_trunk in self._sums
            for layer in makers
        }

    def step(self, operation: Any, received: list[Makers], uses: list[int], node: Any) -> Makers:
        """The layers that made the outputs of an operation without an activation in between."""
        merged = self.nothing.union(*received)
        if type(operation).__name__ == "Add":
            self._note_sum(uses, received)
        if hands_on(operation):
            return merged
        self._note(merged, read(operation) if is_activation(operation) else None)
        if isinstance(operation, L.MultiHeadAttention | L.GroupQueryAttention):
            return frozenset([id(operation._output_dense)])
        core = operation.layer if isinstance(operation, L.Wrapper) else operation
        is_linear = not is_activation(core) and is_weighted(core) and fused(core) is None
        return frozenset([id(core)]) if is_linear else self.nothing

    def _note(self, makers: Makers, activation: Nonlinearity | None) -> None:
        for layer in makers:
            name = activation.name if activation else ""
            self._found.setdefault(layer, {})[name.lower()] = activation

    def _note_sum(self, uses: list[int], received: list[Makers]) -> None:
        """A term that goes elsewhere too is what the others are added to."""
        ends = [m for m, count in zip(received, uses, strict=True) if m and count == 1]
        if len(received) > 1 and ends:
            self._sums.append((self.nothing.union(*ends), len(ends), len(ends) < len(received)))
