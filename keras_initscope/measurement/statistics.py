"""The statistics of a tensor, each one row of a table, computed in the graph for many at once.

A `View` is a batch of tensors of one shape. It is scaled to at most 1 in magnitude, so that squares
of vanished or exploded values neither underflow nor overflow float32; each row says which power of
the scale undoes that, which happens on the host in float64. Non-finite elements are counted and
otherwise left out. Large tensors are reduced piece by piece, so that no temporary grows with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras import ops

from keras_initscope.records import Quantity

#: A unit is saturated when the mean magnitude of its slope is below this share of the greatest
#: slope that its activation function has anywhere.
SATURATED_SLOPE = 0.05

#: Elements reduced at once; a few temporaries of this size stay in the processor's cache.
PIECE = 1 << 18

_SIGNALS = frozenset({Quantity.PREACTIVATION, Quantity.ACTIVATION})
_SMALLEST_SCALE, _GREATEST_SCALE = -126.0, 126.0  # exponents whose reciprocal is a normal float32


class View:
    """A batch of tensors of one shape and what their statistics share.

    Args:
        values: `(tensors, examples, units)` tensor of any float dtype.
        slopes: Like `values`: the activation function's derivative at each element, or `None`.
        bounds: `(tensors,)` greatest slope that each activation function has, or `None`.
    """

    def __init__(self, values: Any, slopes: Any = None, bounds: Any = None) -> None:
        self.values = values
        self._slopes = slopes
        self._bounds = bounds
        self.size = ops.cast(ops.shape(values)[1] * ops.shape(values)[2], "float32")

    @cached_property
    def _extremes(self) -> list[Any]:
        def greatest(values: Any) -> list[Any]:
            finite = ops.isfinite(values)
            return [
                ops.where(finite, values, -float("inf")),
                ops.where(finite, -values, -float("inf")),
            ]

        return [ops.max(units, axis=1) for units in _reduce(self.values, greatest, ops.max)]

    @cached_property
    def scale(self) -> Any:
        """`(tensors,)` power of two next below the greatest magnitude."""
        greatest = ops.maximum(*self._extremes)
        exponent = ops.floor(ops.log2(ops.maximum(greatest, 2.0**_SMALLEST_SCALE)))
        return ops.power(2.0, ops.clip(exponent, _SMALLEST_SCALE, _GREATEST_SCALE))

    def _scaled(self, values: Any) -> tuple[Any, Any]:
        """Scaled values with 0 for the non-finite ones, and 1 or 0 for finite or not."""
        finite = ops.isfinite(values)
        scaled = ops.where(finite, values, 0.0) / self.scale[:, None, None]
        return scaled, ops.cast(finite, "float32")

    @cached_property
    def _sums(self) -> list[Any]:
        def terms(values: Any) -> list[Any]:
            scaled, finite = self._scaled(values)
            return [scaled, 1.0 - finite, ops.cast(ops.equal(values, 0.0), "float32")]

        return _reduce(self.values, terms, ops.sum)

    @cached_property
    def nonfinite(self) -> Any:
        """`(tensors,)` number of non-finite elements."""
        return ops.sum(self._sums[1], axis=1)

    @cached_property
    def count(self) -> Any:
        """`(tensors,)` number of finite elements."""
        return self.size - self.nonfinite

    @property
    def zeros(self) -> Any:
        """`(tensors,)` number of elements that are zero."""
        return ops.sum(self._sums[2], axis=1)

    @cached_property
    def _unit_count(self) -> Any:
        return ops.cast(ops.shape(self.values)[1], "float32") - self._sums[1]

    @cached_property
    def unit_means(self) -> Any:
        """`(tensors, units)` scaled mean over the examples."""
        return self._sums[0] / self._unit_count

    @cached_property
    def mean(self) -> Any:
        """`(tensors,)` scaled mean."""
        return ops.sum(self._sums[0], axis=1) / self.count

    @cached_property
    def _central_sums(self) -> list[Any]:
        def terms(values: Any) -> list[Any]:
            scaled, finite = self._scaled(values)
            centred = (scaled - self.mean[:, None, None]) * finite
            squared = centred * centred
            return [squared, squared * centred, squared * squared]

        return [ops.sum(units, axis=1) for units in _reduce(self.values, terms, ops.sum)]

    def moment(self, order: int) -> Any:
        """`(tensors,)` scaled central moment of order 2, 3 or 4."""
        return self._central_sums[order - 2] / self.count

    @cached_property
    def unit_variances(self) -> Any:
        """`(tensors, units)` scaled variance over the examples.

        From the distances to each unit's own mean: exact also where all examples have nearly become
        one vector.
        """

        def terms(values: Any) -> list[Any]:
            scaled, finite = self._scaled(values)
            centred = (scaled - self.unit_means[:, None, :]) * finite
            return [centred * centred]

        return _reduce(self.values, terms, ops.sum)[0] / self._unit_count

    @property
    def minimum(self) -> Any:
        """`(tensors,)` scaled least finite value."""
        return -self._extremes[1] / self.scale

    @property
    def maximum(self) -> Any:
        """`(tensors,)` scaled greatest finite value."""
        return self._extremes[0] / self.scale

    @property
    def dead(self) -> Any:
        """`(tensors,)` share of units whose slope is zero for every example."""
        steepest = _reduce(self._slopes, lambda slopes: [ops.abs(slopes)], ops.max)[0]
        return ops.mean(ops.cast(ops.equal(steepest, 0.0), "float32"), axis=1)

    @property
    def saturated(self) -> Any:
        """`(tensors,)` share of units whose mean slope is under `SATURATED_SLOPE` of the bound."""
        total = _reduce(self._slopes, lambda slopes: [ops.abs(slopes)], ops.sum)[0]
        average = total / ops.cast(ops.shape(self._slopes)[1], "float32")
        threshold = SATURATED_SLOPE * self._bounds[:, None]
        return ops.mean(ops.cast(average < threshold, "float32"), axis=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistic:
    """One row of the table.

    Args:
        name: Its name in `TensorStats.values`.
        of: `View` to `(tensors,)`.
        power: On the host the result is multiplied by this power of the view's scale.
        signals_only: Whether it only makes sense where examples pass through units.
        needs_slope: Whether it needs the slopes of an activation function.
    """

    name: str
    of: Callable[[View], Any]
    power: int = 0
    signals_only: bool = False
    needs_slope: bool = False


STATISTICS: tuple[Statistic, ...] = (
    Statistic(name="mean", of=lambda view: view.mean, power=1),
    Statistic(name="variance", of=lambda view: view.moment(2), power=2),
    Statistic(name="skewness", of=lambda view: view.moment(3) / view.moment(2) ** 1.5),
    Statistic(name="kurtosis", of=lambda view: view.moment(4) / view.moment(2) ** 2),
    Statistic(name="minimum", of=lambda view: view.minimum, power=1),
    Statistic(name="maximum", of=lambda view: view.maximum, power=1),
    Statistic(
        name="root_mean_square",
        of=lambda view: ops.sqrt(view.moment(2) + ops.square(view.mean)),
        power=1,
    ),
    Statistic(name="zero_fraction", of=lambda view: view.zeros / view.size),
    Statistic(name="nonfinite_count", of=lambda view: view.nonfinite),
    Statistic(
        name="signal",
        of=lambda view: ops.mean(view.unit_variances, axis=1),
        power=2,
        signals_only=True,
    ),
    Statistic(
        name="constant",
        of=lambda view: ops.mean(ops.square(view.unit_means), axis=1),
        power=2,
        signals_only=True,
    ),
    Statistic(name="dead_fraction", of=lambda view: view.dead, needs_slope=True),
    Statistic(name="saturated_fraction", of=lambda view: view.saturated, needs_slope=True),
)


def is_signal(quantity: Quantity) -> bool:
    """Whether the quantity's tensors are examples passing through units."""
    return quantity in _SIGNALS


def rows(*, signal: bool, sloped: bool) -> tuple[Statistic, ...]:
    """The rows that apply to a kind of tensor."""
    return tuple(
        row
        for row in STATISTICS
        if (signal or not row.signals_only) and (sloped or not row.needs_slope)
    )


def _reduce(
    tensor: Any, terms: Callable[[Any], list[Any]], reducer: Callable[..., Any]
) -> list[Any]:
    """Apply `terms` to `(tensors, examples, units)` and reduce each over the examples."""
    tensors, examples, units = tensor.shape
    if None in (tensors, examples, units) or tensors * examples * units <= 2 * PIECE:
        return _reduce_piece(tensor, terms, reducer)
    length = max(1, PIECE // (tensors * units))
    whole = examples // length

    def add(index: Any, totals: Any) -> Any:
        piece = ops.slice(tensor, (0, index * length, 0), (tensors, length, units))
        return _join(totals, _reduce_piece(piece, terms, reducer), reducer)

    first = _reduce_piece(tensor[:, :length], terms, reducer)
    totals = list(ops.fori_loop(1, whole, add, tuple(first)))
    if examples > whole * length:
        rest = _reduce_piece(tensor[:, whole * length :], terms, reducer)
        totals = list(_join(totals, rest, reducer))
    return totals


def _reduce_piece(
    piece: Any, terms: Callable[[Any], list[Any]], reducer: Callable[..., Any]
) -> list[Any]:
    return [reducer(term, axis=1) for term in terms(ops.cast(piece, "float32"))]


def _join(
    left: Iterable[Any], right: Iterable[Any], reducer: Callable[..., Any]
) -> tuple[Any, ...]:
    pairs = zip(left, right, strict=True)
    return tuple(reducer(ops.stack(pair), axis=0) for pair in pairs)
