"""Many tensors in, one int32 array out, and back into records on the host.

Owns which tensors are reduced together, the layout of the packed array and its reading, counting
the samples included. The layout is made while tracing and travels beside the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_initscope.buckets import collect
from keras_initscope.measurement import histograms, statistics
from keras_initscope.measurement.statistics import Statistic
from keras_initscope.measurement.views import View
from keras_initscope.records import Histogram, Quantity, Tap, TensorStats, Units

#: Elements up to which tensors of one shape are stacked and reduced together: ops cost more than
#: the copy as long as the stack stays in the cache.
_STACKED = 1 << 18
_MOST = 64  # tensors in a stack
#: Elements up to which tensors without units are brought to one length: each shape of its own would
#: have to be traced.
_PADDED = 1 << 13
#: Kinds of stacks of which the part of the graph is kept for the next look and the next model.
_PARTS = 64


@dataclass(kw_only=True, slots=True)
class Entry:
    """A tensor to be measured.

    Args:
        layer: Path of its layer.
        quantity: What it is to the layer.
        depth: Position of the layer in forward order.
        tensors: The tensor, or several of which the statistics are taken together.
        part: Which of several of the same quantity.
        unit_axis: Axis that runs over units, where it is a signal.
        slopes: For an activation, the function's slopes at each element, as `tensors`.
        slope_bound: The function's greatest slope.
        by_unit: Whether each unit of a signal is to be told of as well.
    """

    layer: str
    quantity: Quantity
    depth: int
    tensors: Sequence[Any]
    part: str = ""
    unit_axis: int = -1
    slopes: Sequence[Any] = ()
    slope_bound: float = float("nan")
    by_unit: bool = False

    @property
    def is_signal(self) -> bool:
        """Whether it is examples passing through units."""
        return statistics.is_signal(self.quantity)

    @property
    def is_sloped(self) -> bool:
        """Whether it has slopes."""
        return self.is_signal and len(self.slopes) == len(self.tensors)

    @property
    def units(self) -> int:
        """How many units are told of one by one."""
        if not (self.by_unit and self.is_signal):
            return 0
        shape = self.tensors[0].shape
        return (shape[self.unit_axis] or 0) if len(shape) > 1 else 1

    @property
    def contents(self) -> tuple[Any, ...]:
        """Equal for entries that would give equal numbers."""
        return (self.is_signal, self.is_sloped, *(id(tensor) for tensor in self.tensors))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """Where the numbers of tensors that were reduced together lie in the packed array."""

    rows: tuple[Statistic, ...]
    taps: tuple[tuple[tuple[str, Quantity, int, str], ...], ...]  # the taps of each tensor
    units: int

    @property
    def width(self) -> int:
        """int32 numbers a tensor, before the samples: elements, those in the sample, statistics."""
        return 3 + len(self.rows)


Layout = tuple[_Block, ...]


def pack(entries: Iterable[Entry], backend: Any) -> tuple[list[Any], Layout]:
    """Reduce tensors to their statistics and samples, in the graph.

    Args:
        entries: What to measure.
        backend: The framework's verbs.

    Returns:
        Flat int32 tensors, which `unpack` reads one after the other, and the layout by which it
        does.
    """
    arrays, layout = [], []
    for group in _groups(entries):
        first = group[0][0]
        rows = statistics.rows(signal=first.is_signal, sloped=first.is_sloped)
        # Of an image the rows and columns too; what is short is not sampled.
        trailing = () if _padded_length(first) else tuple(first.tensors[0].shape[1:])
        stacks = _stacked([same[0] for same in group])
        kinds = tuple(each if each is None else (tuple(each.shape), each.dtype) for each in stacks)
        arrays.extend(_part(rows, trailing, bool(first.units), kinds, backend)(*stacks))
        taps = tuple(tuple((e.layer, e.quantity, e.depth, e.part) for e in same) for same in group)
        layout.append(_Block(rows=rows, taps=taps, units=first.units))
    return arrays, tuple(layout)


def _groups(entries: Iterable[Entry]) -> list[list[list[Entry]]]:
    """Entries that can be reduced together; in each place all those of one and the same tensor."""
    same: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        same.setdefault(entry.contents, []).append(entry)
    groups: dict[Any, list[list[Entry]]] = {}
    for twins in same.values():
        groups.setdefault(_group_key(twins[0]), []).append(twins)
    return [
        group[start : start + height]
        for group in groups.values()
        for height in [_height(len(group), group[0][0])]
        for start in range(0, len(group), height)
    ]


def _group_key(entry: Entry) -> Any:
    if length := _padded_length(entry):
        return length
    shapes = tuple(tuple(tensor.shape) for tensor in entry.tensors)
    return (entry.is_signal, entry.is_sloped, entry.unit_axis, shapes)


def _size(entry: Entry) -> int | None:
    shapes = [tensor.shape for tensor in entry.tensors]
    return None if any(None in shape for shape in shapes) else sum(map(prod, shapes))


def _padded_length(entry: Entry) -> int:
    """The length to which a tensor is brought, a power of 16; 0 where it keeps its shape."""
    size = _size(entry)
    if entry.is_signal or size is None or size > _PADDED:
        return 0
    return min(_PADDED, 1 << 4 * -(-max(1, size - 1).bit_length() // 4))


def _height(count: int, entry: Entry) -> int:
    """How many tensors to stack of so many like those of an entry."""
    size = _padded_length(entry) or _size(entry)
    if size is None:
        return 1
    most = min(_MOST, max(1, _STACKED // max(1, size)))
    if _padded_length(entry):
        return most
    # Stacks of one height share a part of the graph; tracing another takes longer than running it.
    even = max(height for height in range(1, most + 1) if count % height == 0)
    return even if 2 * even >= most else most


def _stacked(entries: Sequence[Entry]) -> tuple[Any, ...]:
    """Values, slopes and bounds where there are any, and padding, of tensors of one length."""
    if length := _padded_length(entries[0]):
        padding = [length - (_size(entry) or 0) for entry in entries]
        padded = [_padded(entry, more) for entry, more in zip(entries, padding, strict=True)]
        return ops.stack(padded), None, None, ops.array(padding, "float32")
    values = ops.stack([_matrix(entry, entry.tensors) for entry in entries])
    if not entries[0].is_sloped:
        return (values,)
    slopes = ops.stack([_matrix(entry, entry.slopes) for entry in entries])
    return values, slopes, ops.array([entry.slope_bound for entry in entries], "float32")


@lru_cache(maxsize=_PARTS)
def _part(
    rows: tuple[Statistic, ...],
    trailing: tuple[int | None, ...],
    by_unit: bool,
    kinds: tuple[Any, ...],  # shapes and types of its arguments
    backend: Any,
) -> Callable[..., list[Any]]:
    """The part of a graph that reduces stacks of one kind, built once for all looks."""
    part: Callable[..., list[Any]] = backend.shared(
        partial(_reduce, rows, trailing, backend, by_unit)
    )
    return part


def _padded(entry: Entry, more: int) -> Any:
    values = ops.cast(_matrix(entry, entry.tensors), "float32")
    return ops.pad(values, ((0, more), (0, 0)), constant_values=float("nan")) if more else values


def _reduce(
    rows: Sequence[Statistic],
    trailing: tuple[int | None, ...],
    backend: Any,
    by_unit: bool,
    values: Any,
    slopes: Any = None,
    bounds: Any = None,
    padding: Any = None,
) -> list[Any]:
    """A table of the tensors' numbers, their samples, and what their units do."""
    tensors = values.shape[0]
    flat = ops.reshape(values, (tensors, -1))
    chosen = ops.cast(histograms.sample(flat, trailing), "float32")
    sizes = [ops.full((tensors, 1), ops.shape(each)[1], "int32") for each in (flat, chosen)]
    if padding is not None:
        sizes[0] -= ops.cast(padding, "int32")[:, None]
    view = View(values, slopes, bounds, padding)
    numbers = backend.bits(statistics.table(rows, view))
    parts = [ops.concatenate([*sizes, numbers], axis=1), backend.bits(chosen)]
    if by_unit:
        units = ops.stack([view.unit_means, view.unit_variances], axis=1)
        parts.append(backend.bits(units))
    return [ops.reshape(part, (-1,)) for part in parts]


def _matrix(entry: Entry, tensors: Sequence[Any]) -> Any:
    """All calls' tensors as one of `(examples, units)`; a single unit where units mean nothing."""
    if not entry.is_signal:
        flat = [ops.reshape(tensor, (-1, 1)) for tensor in tensors]
    else:
        flat = [_examples_by_units(tensor, entry.unit_axis) for tensor in tensors]
    return flat[0] if len(flat) == 1 else ops.concatenate(flat)


def _examples_by_units(tensor: Any, unit_axis: int) -> Any:
    if len(tensor.shape) < 2:
        return ops.reshape(tensor, (-1, 1))
    last = tensor if unit_axis == -1 else ops.moveaxis(tensor, unit_axis, -1)
    return ops.reshape(last, (-1, last.shape[-1]))


def unpack(packed: NDArray[np.int32], layout: Layout) -> list[TensorStats]:
    """Read the packed array.

    Args:
        packed: What `pack` made, in one array, on the host.
        layout: The layout that came with it.

    Returns:
        One record a tap, in forward order, then in the order of `Quantity`.
    """
    found: list[TensorStats] = []
    start = 0

    def rows(count: int, width: int) -> NDArray[np.int32]:
        nonlocal start
        start += count * width
        return packed[start - count * width : start].reshape(count, width)

    for block in layout:
        tensors = len(block.taps)
        table = rows(tensors, block.width)
        samples = rows(tensors, int(table[0, 1])).view(np.float32)
        units = rows(tensors, 2 * block.units).view(np.float32).astype(np.float64)
        # Of a sample, all; of a tensor brought to a length, what is its own.
        counted = [collect(row[:size]) for row, size in zip(samples, table[:, 0], strict=True)]
        found.extend(_records(table, counted, units, block))
    order = {quantity: number for number, quantity in enumerate(Quantity)}
    found.sort(key=lambda s: (s.tap.depth, order[s.tap.quantity], s.tap.part))
    return found


def _records(
    table: NDArray[np.int32],
    counted: Sequence[Histogram],
    units: NDArray[np.float64],
    block: _Block,
) -> Iterator[TensorStats]:
    numbers = np.ascontiguousarray(table[:, 2:]).view(np.float32).astype(np.float64)
    powers = np.array([row.power for row in block.rows])
    results = numbers[:, 1:] * numbers[:, :1] ** powers
    names = [row.name for row in block.rows]
    for i, taps in enumerate(block.taps):
        values = dict(zip(names, results[i].tolist(), strict=True))
        by_unit = _units(units[i], numbers[i, 0]) if block.units else None
        for layer, quantity, depth, part in taps:
            size = int(table[i, 0])
            tap = Tap(layer=layer, quantity=quantity, depth=depth, size=size, part=part)
            yield TensorStats(tap=tap, values=values, histogram=counted[i], units=by_unit)


def _units(numbers: NDArray[np.float64], scale: float) -> Units:
    means, variances = numbers.reshape(2, -1)
    return Units(means=scale * means, deviations=scale * np.sqrt(np.maximum(variances, 0.0)))
