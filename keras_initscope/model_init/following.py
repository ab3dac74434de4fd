"""Which activation a layer's output goes through, fused into the layer or further on in the model.

Owns a walk over the operations of a model in which a tensor is the set of the layers that made it
linearly. Touches no value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.activations import as_nonlinearity
from keras_initscope.fans import Fans, own_fans
from keras_initscope.theory.nonlinearity import Nonlinearity

L = keras.layers
_ACTIVATIONS = (L.Activation, L.ReLU, L.LeakyReLU, L.PReLU, L.ELU)
_OPERATIONS = {
    "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Silu", "Sigmoid", "Tanh",
    "Softplus", "Softsign", "HardSigmoid", "HardSilu", "HardTanh", "LogSigmoid", "TanhShrink",
    "SoftShrink", "HardShrink", "SparsePlus", "Squareplus", "Threshold", "Erf", "Sin", "ReLU",
    "Mish",
}  # fmt: skip
_HANDING_ON = {
    "Reshape", "Flatten", "Permute", "RepeatVector", "Transpose", "ExpandDims", "Squeeze",
    "GetItem", "Concatenate", "Identity", "ActivityRegularization", "Cast",
}  # fmt: skip
_HANDING_ON_ENDS = ("Normalization", "Dropout", "Noise", "1D", "2D", "3D")  # pooling, padding ...
_CELLS = ("kernel", "recurrent_kernel")

Makers = frozenset[int]
_NOBODY: Makers = frozenset()


class Following:
    """The activations behind the layers of a model.

    Args:
        model: A built Keras model.

    Attributes:
        traced: Whether the model could be followed as a whole; the activation that a layer has
            itself is known in any case.
    """

    def __init__(self, model: Any) -> None:
        self._found: dict[int, dict[str, Nonlinearity | None]] = {}
        self._sums: list[tuple[Makers, int, bool]] = []
        self.traced = True
        self._end(self._through_model(model))

    def of(self, layer: Any) -> Nonlinearity | None:
        """The one activation that the output of a layer goes through; `None` if it is linear.

        A layer of which some outputs go through one activation and others through another, or
        through none, counts as linear.
        """
        own = fused(layer)
        found = self._found.get(id(layer), {})
        return own or (next(iter(found.values())) if len(found) == 1 else None)

    def _through_model(self, model: Any) -> list[Makers]:
        operations = graph.operations(model)
        if operations is not None:
            return self._run(operations, [_NOBODY] * len(operations.inputs))
        shapes = getattr(model, "_build_shapes_dict", None) or {}
        symbols = {
            name.removesuffix("_shape"): keras.tree.map_shape_structure(_symbol, shape)
            for name, shape in shapes.items()
        }
        args = tuple(symbols.values()) if len(symbols) == 1 else ()
        return self._through_code(model, args, {} if args else symbols, [])

    def _run(self, operations: graph.Operations, inputs: Sequence[Makers]) -> list[Makers]:
        known = {id(t): makers for t, makers in zip(operations.inputs, inputs, strict=False)}
        used = Counter(id(t) for node in operations.nodes for t in node.input_tensors)
        for node in operations.nodes:
            received = [known.get(id(tensor), _NOBODY) for tensor in node.input_tensors]
            if type(node.operation).__name__ == "Add":
                self._note_sum([used[id(t)] for t in node.input_tensors], received)
            given = self._through(node, received)
            given = given * len(node.outputs) if len(given) == 1 else given
            known.update((id(t), makers) for t, makers in zip(node.outputs, given, strict=False))
        return [known.get(id(t), _NOBODY) for t in keras.tree.flatten(operations.outputs)]

    def _through(self, node: Any, received: list[Makers]) -> list[Makers]:
        operation, merged = node.operation, _NOBODY.union(*received)
        inner = graph.operations(operation)
        if inner is not None:
            return self._run(inner, received)
        if isinstance(operation, L.MultiHeadAttention | L.GroupQueryAttention):
            self._note(merged, None)
            return [frozenset([id(operation._output_dense)])]
        if _is_activation(operation):
            self._note(merged, _read(operation))
            return [_NOBODY]
        core = operation.layer if isinstance(operation, L.Wrapper) else operation
        if _is_weighted(core):
            self._note(merged, None)
            return [_NOBODY if fused(core) else frozenset([id(core)])]
        if _hands_on(operation):
            return [merged]
        if not _is_of_keras(operation) and graph.holds_layers(operation):
            return self._through_code(
                operation, node.arguments.args, node.arguments.kwargs, received
            )
        self._note(merged, None)
        return [_NOBODY]

    def _through_code(
        self, layer: Any, args: Any, kwargs: Any, received: list[Makers]
    ) -> list[Makers]:
        """Through a layer that is made of others, where its code takes symbolic tensors."""
        try:
            with graph.traced(layer, *args, **kwargs) as operations:
                return self._run(operations, received)
        except Exception:  # the layer is the user's and may raise anything
            self.traced = False
            self._note(_NOBODY.union(*received), None)
            return [_NOBODY]

    def _note(self, makers: Makers, activation: Nonlinearity | None) -> None:
        for layer in makers:
            name = activation.name if activation else ""
            self._found.setdefault(layer, {})[name.lower()] = activation

    def _note_sum(self, uses: list[int], received: list[Makers]) -> None:
        """A term that goes elsewhere too is what the others are added to."""
        ends = [m for m, count in zip(received, uses, strict=True) if m and count == 1]
        if len(received) > 1 and ends:
            self._sums.append((_NOBODY.union(*ends), len(ends), len(ends) < len(received)))

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

    def _end(self, outputs: Sequence[Makers]) -> None:
        self._note(_NOBODY.union(*outputs), None)


def fused(layer: Any) -> Nonlinearity | None:
    """The elementwise activation that a layer with weights applies itself, `None` if linear.

    The gates of a recurrent cell have several, which all keep their inputs in their linear range.
    """
    if all(hasattr(layer, name) for name in _CELLS) or _is_activation(layer):
        return None
    return _read(getattr(layer, "activation", None))


def _read(activation: Any) -> Nonlinearity | None:
    if activation is None:
        return None
    try:
        found = as_nonlinearity(activation)
    except ValueError:  # a softmax, or one that nobody can read
        return None
    return None if found.name == "linear" else found


def _is_activation(operation: Any) -> bool:
    if isinstance(operation, keras.Layer):
        return isinstance(operation, _ACTIVATIONS) or hasattr(operation, "nonlinearity")
    return type(operation).__name__ in _OPERATIONS


def _is_weighted(operation: Any) -> bool:
    if not getattr(operation, "built", False):  # an operation is no layer
        return False
    held: Mapping[str, Fans | str] = own_fans(operation)
    return any(isinstance(fans, Fans) for fans in held.values())


def _hands_on(operation: Any) -> bool:
    name = type(operation).__name__
    passing = name in _HANDING_ON or name.endswith(_HANDING_ON_ENDS)
    return passing and _is_of_keras(operation)


def _is_of_keras(operation: Any) -> bool:
    return type(operation).__module__.startswith("keras.")


def _symbol(shape: Any) -> Any:
    return keras.KerasTensor(shape, dtype="float32")
