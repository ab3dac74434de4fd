"""A walk over the operations of a model of any kind, in which a tensor is whatever is asked of it.

Owns how nested models and layers with code of their own are entered, and what kinds of operations
there are. Touches no value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Flow(ABC):
    """Follows tensors through a model; subclasses say what an operation makes of them.

    Attributes:
        traced: Whether all code of the model took symbolic tensors.
    """

    nothing: Any = None

    def __init__(self) -> None:
        self.traced = True

    @abstractmethod
    def step(self, operation: Any, received: list[Any], uses: list[int], node: Any) -> Any:
        """What one operation gives.

        Args:
            operation: A layer or operation that is not entered.
            received: What stands for its input tensors.
            uses: By how many operations each of them is received.
            node: The Keras node.

        Returns:
            What stands for its outputs.
        """

    def through_model(self, model: Any) -> list[Any]:
        """What stands for the outputs of a model that receives `nothing`."""
        operations = graph.operations(model)
        if operations is not None:
            return self._run(operations, [self.nothing] * len(operations.inputs))
        shapes = getattr(model, "_build_shapes_dict", None) or {}
        symbols = {
            name.removesuffix("_shape"): keras.tree.map_shape_structure(_symbol, shape)
            for name, shape in shapes.items()
        }
        args = tuple(symbols.values()) if len(symbols) == 1 else ()
        return self._through_code(model, args, {} if args else symbols, []) or [self.nothing]

    def _run(self, operations: graph.Operations, inputs: Sequence[Any]) -> list[Any]:
        known = {id(tensor): x for tensor, x in zip(operations.inputs, inputs, strict=False)}
        used = Counter(id(t) for node in operations.nodes for t in node.input_tensors)
        for node in operations.nodes:
            received = [known.get(id(tensor), self.nothing) for tensor in node.input_tensors]
            given = self._through(node, received, [used[id(t)] for t in node.input_tensors])
            given = given * len(node.outputs) if len(given) == 1 else given
            known.update((id(t), x) for t, x in zip(node.outputs, given, strict=False))
        return [known.get(id(t), self.nothing) for t in keras.tree.flatten(operations.outputs)]

    def _through(self, node: Any, received: list[Any], uses: list[int]) -> list[Any]:
        operation = node.operation
        inner = graph.operations(operation)
        if inner is not None:
            return self._run(inner, received)
        is_one = is_activation(operation) and not getattr(operation, "weights", ())
        if not (is_of_keras(operation) or is_one) and graph.holds_layers(operation):
            arguments = node.arguments
            given = self._through_code(operation, arguments.args, arguments.kwargs, received)
            if given is not None:
                return given
        return [self.step(operation, received, uses, node)]

    def _through_code(
        self, layer: Any, args: Any, kwargs: Any, received: list[Any]
    ) -> list[Any] | None:
        """Through a layer that is made of others; `None` where it does not take symbols."""
        try:
            with graph.traced(layer, *args, **kwargs) as operations:
                return self._run(operations, received or [self.nothing] * len(operations.inputs))
        except Exception:  # the layer is the user's and may raise anything
            self.traced = False
            return None


def fused(layer: Any) -> Nonlinearity | None:
    """The elementwise activation that a layer with weights applies itself, `None` if linear.

    The gates of a recurrent cell have several, which all keep their inputs in their linear range.
    """
    if all(hasattr(layer, name) for name in _CELLS) or is_activation(layer):
        return None
    return read(getattr(layer, "activation", None))


def read(activation: Any) -> Nonlinearity | None:
    """An elementwise activation as a row of theory, `None` for any other and for the identity."""
    if activation is None:
        return None
    try:
        found = as_nonlinearity(activation)
    except ValueError:  # a softmax, or one that nobody can read
        return None
    return None if found.name == "linear" else found


def is_activation(operation: Any) -> bool:
    """Whether an operation is an activation and nothing else."""
    if isinstance(operation, keras.Layer):
        return isinstance(operation, _ACTIVATIONS) or hasattr(operation, "nonlinearity")
    return type(operation).__name__ in _OPERATIONS


def is_weighted(operation: Any) -> bool:
    """Whether a layer has weights of its own that sum up inputs."""
    if not getattr(operation, "built", False):  # an operation is no layer
        return False
    held: Mapping[str, Fans | str] = own_fans(operation)
    return any(isinstance(fans, Fans) for fans in held.values())


def hands_on(operation: Any) -> bool:
    """Whether an operation gives on what it receives, in another shape, scale or selection."""
    name = type(operation).__name__
    passing = name in _HANDING_ON or name.endswith(_HANDING_ON_ENDS)
    return passing and is_of_keras(operation) and not is_weighted(operation)


def is_of_keras(operation: Any) -> bool:
    """Whether an operation is one of Keras' own."""
    return type(operation).__module__.startswith("keras.")


def _symbol(shape: Any) -> Any:
    return keras.KerasTensor(shape, dtype="float32")
