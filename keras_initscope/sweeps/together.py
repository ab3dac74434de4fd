"""The networks of a comparison that differ in numbers alone, trained as one computation.

Owns which cells are tried together, what is checked before their numbers are believed, and what is
left to be run one by one. Runs in a worker process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, TypeVar

import keras

from keras_initscope.sweeps.alike import AloneError, kind_of
from keras_initscope.sweeps.cells import Cell, Plain, checked_result, key_of, words_of
from keras_initscope.sweeps.data import parts_of
from keras_initscope.sweeps.store import Outcome
from keras_initscope.sweeps.trial import ALONE, Trial

_T = TypeVar("_T")

_MOST = 64  # networks together
_ROOM = 2**30  # bytes for their weights and activations
_NUMBERS = {"initializer", "learning_rate", "seed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of cells that were tried together.

    Args:
        outcomes: Of those that were trained.
        left: Why each of the others was not.
    """

    outcomes: Mapping[int, Outcome]
    left: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Network:
    number: int
    cell: Cell
    model: Any
    seen: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Together:
    """Runs cells of a comparison, several at once where they allow it.

    Args:
        trial: Runs one of them.
    """

    trial: Trial

    def __call__(self, **cell: Any) -> dict[str, Plain]:
        """The columns of one network, trained by itself."""
        return self.trial(**cell)

    def groups(self, cells: Mapping[int, Cell], workers: int) -> list[dict[int, Cell]]:
        """Cells that may turn out to differ in numbers alone; enough groups for all workers."""
        alike: dict[str, list[int]] = {}
        for number, cell in cells.items():
            alike.setdefault(key_of(_architecture(cell)), []).append(number)
        found = []
        for numbers in alike.values():
            pieces = max(ceil(len(numbers) / _MOST), ceil(workers / len(alike)))
            size = max(2, ceil(len(numbers) / pieces))
            found += [{n: cells[n] for n in piece} for piece in _pieces(numbers, size)]
        return [group for group in found if len(group) > 1]

    def together(self, cells: Mapping[int, Cell]) -> Answer:
        """Train those that differ in numbers alone, and say of the others why they were left."""
        outcomes: dict[int, Outcome] = {}
        left: dict[int, str] = {}
        with ALONE:
            for group in self._kinds(cells, left):
                started = time.perf_counter()
                numbers = [network.number for network in group]
                try:
                    found = self._trained(group, left)
                except AloneError as reason:
                    left |= dict.fromkeys(numbers, str(reason))
                except (Exception, SystemExit) as error:  # the user's code, TensorFlow's operations
                    left |= dict.fromkeys(numbers, _in_short(error))
                else:
                    seconds = (time.perf_counter() - started) / len(group)
                    outcomes |= {n: Outcome(result=r, seconds=seconds) for n, r in found.items()}
        return Answer(outcomes=outcomes, left=left)

    def _kinds(self, cells: Mapping[int, Cell], left: dict[int, str]) -> list[list[_Network]]:
        """The networks by kind, no more in a list than there is room for."""
        kinds: dict[str, list[_Network]] = {}
        for number, cell in cells.items():
            try:
                if keras.backend.backend() != "tensorflow":
                    raise AloneError(
                        f"this is done on TensorFlow, not on {keras.backend.backend()}"
                    )
                network = self._begun(number, cell)
                kinds.setdefault(kind_of(network.model), []).append(network)
            except AloneError as reason:
                left[number] = str(reason)
            except (Exception, SystemExit) as error:  # the user's, told when the cell runs alone
                left[number] = _in_short(error)
        groups = [group for kind in kinds.values() for group in self._cut(kind)]
        for (lonely,) in (group for group in groups if len(group) == 1):
            left[lonely.number] = "no other network has the same architecture, or there is no room"
        return [group for group in groups if len(group) > 1]

    def _begun(self, number: int, cell: Cell) -> _Network:
        given: dict[str, Any] = dict(cell)
        model, seen = self.trial.begun(**given)
        if not model.built:
            x = parts_of(self.trial.data, self.trial.key).x
            model(keras.tree.map_structure(lambda array: array[:1], x))
        return _Network(number, cell, model, seen)

    def _cut(self, kind: list[_Network]) -> Iterator[list[_Network]]:
        room = _ROOM // _size(kind[0].model, self.trial.training.batch_size)
        pieces = ceil(len(kind) / max(1, room))
        return _pieces(kind, ceil(len(kind) / pieces))

    def _trained(
        self, group: list[_Network], left: dict[int, str]
    ) -> dict[int, Mapping[str, Plain]]:
        from keras_initscope.sweeps.first_step import believed  # they are for TensorFlow alone
        from keras_initscope.sweeps.stack import Stack

        trial = self.trial
        parts = parts_of(trial.data, trial.key)
        models = [network.model for network in group]
        seeds = [int(network.cell["seed"]) for network in group]
        stack = Stack(models, seeds, parts, trial.training)
        stack.advance(1)
        right = believed(stack, models)
        stack.advance()
        found: dict[int, Mapping[str, Plain]] = {}
        for place, (network, scores) in enumerate(zip(group, stack.scores(), strict=True)):
            if place in right:
                found[network.number] = checked_result({**scores, **network.seen}, network.cell)
            else:
                left[network.number] = "their first step is another when they are on their own"
        return found


def _architecture(cell: Cell) -> dict[str, Plain]:
    """The settings that may be more than numbers."""
    return {
        name: value
        for name, value in cell.items()
        if name not in _NUMBERS and not isinstance(value, float)
    }


def _size(model: Any, batch_size: int) -> int:
    """Bytes that training takes, roughly: weights, gradients, two slots, and activations twice."""
    layers = model._flatten_layers(include_self=False)
    nodes = [node for layer in layers for node in layer._inbound_nodes]
    shapes = [tensor.shape[1:] for node in nodes for tensor in node.output_tensors]
    outputs = sum(prod(size or 1 for size in shape) for shape in shapes)
    return 4 * (4 * model.count_params() + max(2 * batch_size, 256) * outputs) + 1


def _pieces(values: list[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _in_short(error: BaseException) -> str:
    lines = words_of(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
