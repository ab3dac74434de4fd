"""The structure of a model as kernel shaping asks for it: activations in chains and in sums.

Owns the flow in which a tensor is the row of activations and sums that it went through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_initscope.model_init.flow import Flow, fused, hands_on, is_activation, is_weighted, read
from keras_initscope.prediction.weights import as_array
from keras_initscope.theory.composition import Residual, Structure
from keras_initscope.theory.nonlinearity import Nonlinearity

L = keras.layers
_SUMS = {"Add", "Average", "Concatenate", "Subtract"}
_PRODUCTS = {"Multiply", "Dot", "Matmul", "Einsum"}


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """An activation, or a sum, at one place of a model.

    Args:
        terms: What a sum adds up; empty for an activation.
    """

    terms: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """What a tensor went through.

    Args:
        pieces: Activations and sums in a row.
        weight: Factor of the variance, by constants alone.
        last: The activation that it directly comes from, if it does.
    """

    pieces: tuple[Piece, ...] = ()
    weight: float = 1.0
    last: Piece | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """An activation that a model uses.

    Args:
        operation: The layer that applies it, or the operation that it is.
        nonlinearity: What it is.
    """

    operation: Any
    nonlinearity: Nonlinearity


class Depths(Flow):
    """Which activations a model has on the way from its inputs to its outputs, and how deep it is.

    Args:
        model: A built Keras model.

    Attributes:
        used: Each call of an activation.
        structure: The model's structure; of several outputs the one that goes through the most.
        outputs: Those among `used` that give an output of the model.
        gates: Those that are multiplied by another signal. Neither counts in the structure.
        linear: Names of operations that were taken as linear though they may not be.
    """

    nothing = Path()

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.used: dict[Piece, Used] = {}
        self.gates: set[Piece] = set()
        self.linear: dict[str, None] = {}
        outputs = self.through_model(model)
        self.outputs = {path.last for path in outputs if path.last is not None}
        self.structure = _structure(_longest(outputs).pieces, self.outputs | self.gates)

    def step(self, operation: Any, received: list[Path], uses: list[int], node: Any) -> Path:
        """What a tensor went through once it comes out of an operation."""
        name = type(operation).__name__
        core = operation.layer if isinstance(operation, L.Wrapper) else operation
        found = read(core) if is_activation(core) else None
        if is_weighted(core) and not is_activation(core):
            found, received = fused(core), [replace(path, last=None) for path in received]
        if found is not None:
            return self._activated(core, found, received[0])
        if name in _SUMS and len(received) > 1:
            return _summed(received, _sizes(node) if name == "Concatenate" else None)
        if name in _PRODUCTS and len(received) > 1:
            self.gates.update(path.last for path in received if path.last is not None)
        elif name in ("Multiply", "Divide", "TrueDivide", "Rescaling"):
            return replace(received[0], weight=received[0].weight * _factor(operation, node) ** 2)
        if not (hands_on(operation) or is_weighted(core) or _is_identity(core)):
            self.linear[_name(core)] = None
            return replace(_longest(received), last=None)
        return _longest(received)

    def _activated(self, operation: Any, found: Nonlinearity, path: Path) -> Path:
        piece = Piece()
        self.used[piece] = Used(operation, found)
        return Path((*path.pieces, piece), path.weight, piece)


def _is_identity(operation: Any) -> bool:
    return isinstance(operation, L.Activation) and operation.activation is keras.activations.linear


def _name(operation: Any) -> str:
    activation = operation.activation if isinstance(operation, L.Activation) else None
    return str(getattr(activation, "__name__", type(operation).__name__))


def _longest(paths: list[Path]) -> Path:
    return max(paths, key=lambda path: len(path.pieces), default=Path())


def _summed(paths: list[Path], sizes: list[int] | None) -> Path:
    """A residual sum of what the paths do not have in common."""
    common = 0
    while all(len(p.pieces) > common for p in paths):
        if len({id(p.pieces[common]) for p in paths}) > 1:
            break
        common += 1
    weights = [p.weight * n for p, n in zip(paths, sizes or [1] * len(paths), strict=True)]
    terms = tuple(Path(p.pieces[common:], w) for p, w in zip(paths, weights, strict=True))
    shared = paths[0].pieces[:common]
    return Path((*shared, Piece(terms)) if any(term.pieces for term in terms) else shared)


def _structure(pieces: tuple[Piece, ...], without: set[Piece]) -> Structure:
    """A row as theory has it; only the end of the walk knows which activations do not count."""
    counted = (piece for piece in pieces if piece not in without)
    return tuple(_sum(piece.terms, without) if piece.terms else 1 for piece in counted)


def _sum(terms: tuple[Path, ...], without: set[Piece]) -> Structure:
    total, structure = terms[0].weight, _structure(terms[0].pieces, without)
    for term in terms[1:]:
        total += term.weight
        structure = Residual(
            branch=_structure(term.pieces, without),
            shortcut=structure,
            shortcut_share=1 - term.weight / total,
        )
    return structure


def _sizes(node: Any) -> list[int]:
    return [int(np.prod([n or 1 for n in tensor.shape[1:]])) for tensor in node.input_tensors]


def _factor(operation: Any, node: Any) -> float:
    """The constant by which a signal is multiplied, 1 where it differs between elements."""
    if isinstance(operation, L.Rescaling):
        return float(np.mean(operation.scale))
    given = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    constants = [as_array(x) for x in given if not _is_symbol(x)]
    if len(constants) != 1 or constants[0].size != 1:
        return 1.0
    value = float(constants[0].reshape(()))
    return value if type(operation).__name__ == "Multiply" else 1 / value


def _is_symbol(value: Any) -> bool:
    return value is None or isinstance(value, keras.KerasTensor)
