"""A model that is one row of layers and operations, each of which receives what the last gave.

Owns how such a model is entered and run piece by piece, and what made the tensor that a layer
receives. Changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_initscope import graph
from keras_initscope.activations import as_nonlinearity
from keras_initscope.model_init.flow import fused, hands_on, is_activation, is_of_keras, read
from keras_initscope.theory.nonlinearity import Nonlinearity

_NOT_ELEMENTWISE = ("Softmax", "LogSoftmax")
_EXPECTED = (
    "Expected a chain: a `keras.Sequential`, or a functional model in which each layer receives "
    "what the layer before it gives."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One call of a layer or operation.

    Args:
        operation: The Keras layer or operation.
        node: The Keras node of the call.
    """

    operation: Any
    node: Any

    @property
    def received(self) -> Any:
        """The symbolic tensor that goes in."""
        return self.node.input_tensors[0]

    @property
    def given(self) -> Any:
        """The symbolic tensor that comes out."""
        return self.node.outputs[0]

    def __call__(self, x: Any) -> Any:
        """Do it, as in inference."""
        args, kwargs = self.node.arguments.fill_in({id(self.received): x})
        return inferred(self.operation, *args, **kwargs)


def chain_of(model: Any) -> list[Step]:
    """The steps of a model that is a chain, those of models inside of it among them.

    Raises:
        ValueError: If it is none; says where it branches.
    """
    operations = graph.operations(model)
    if operations is None:
        raise ValueError(
            f"What the model {model.name!r} does is in the code of its `call`. {_EXPECTED} "
            f"Received: a {type(model).__name__}."
        )
    return _steps(model.name, operations)


def _steps(name: str, operations: graph.Operations) -> list[Step]:
    outputs = keras.tree.flatten(operations.outputs)
    if (len(operations.inputs), len(outputs)) != (1, 1):
        raise ValueError(
            f"The model {name!r} is no chain. {_EXPECTED} "
            f"Received: {len(operations.inputs)} inputs and {len(outputs)} outputs."
        )
    steps, tensor = [], operations.inputs[0]
    for node in operations.nodes:
        if [id(each) for each in node.input_tensors] != [id(tensor)] or len(node.outputs) != 1:
            raise ValueError(
                f"The model {name!r} is no chain. {_EXPECTED} Received: {node.operation.name!r}, "
                f"with {len(node.input_tensors)} tensors in, {len(node.outputs)} out, which does "
                "not take what the layer before it gives and that alone."
            )
        inner = graph.operations(node.operation)
        here = Step(operation=node.operation, node=node)
        steps += [here] if inner is None else _steps(node.operation.name, inner)
        tensor = node.outputs[0]
    if outputs[0] is not tensor:
        raise ValueError(f"The model {name!r} is no chain. {_EXPECTED}")
    return steps


def inferred(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """What an operation gives in inference, whatever goes on around it."""
    if "training" in inspect.signature(operation.call).parameters:
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def run(steps: Sequence[Step], x: Any) -> Any:
    """Do one step after the other, as in inference."""
    for step in steps:
        x = step(x)
    return x


def is_normalization(operation: Any) -> bool:
    """Whether it is one of Keras' layers that normalize."""
    return type(operation).__name__.endswith("Normalization") and is_of_keras(operation)


def behind(steps: Sequence[Step], k: int) -> list[Step]:
    """The steps up to the activation of a layer that has none itself, normalizations between.

    Raises:
        ValueError: If the layer's activation is not elementwise.
    """
    if as_nonlinearity(steps[k].operation.activation).name != "linear":
        return []
    found = []
    for step in steps[k + 1 :]:
        kind = type(step.operation).__name__
        if kind in _NOT_ELEMENTWISE:
            raise ValueError(f"{kind} is not elementwise.")
        if not is_normalization(step.operation) and not is_activation(step.operation):
            break
        found.append(step)
        if is_activation(step.operation):
            as_nonlinearity(step.operation)
            return found
    return []


def made_by(steps: Sequence[Step], k: int) -> Nonlinearity | Step | None:
    """What made the values that step `k` receives.

    Returns:
        A nonlinearity; the step, where that is none; `None` for the inputs of the model.
    """
    for step in reversed(steps[:k]):
        operation = step.operation
        if is_activation(operation):
            return read(operation) or step
        if is_normalization(operation) or not hands_on(operation):
            return fused(operation) or step
    return None
