"""The statistics of a tensor, each one row of a table, computed in the graph for many at once.

A `View` is a batch of tensors of one shape. It is scaled to at most 1 in magnitude, so that squares
of vanished or exploded values neither underflow nor overflow float32; each row says which power of
the scale undoes that, which happens on the host in float64. Non-finite elements are counted and
otherwise left out. Large tensors are reduced piece by piece, so that no temporary grows with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from keras import ops

from keras_initscope.records import Quantity

#: A unit is saturated when the mean magnitude of its slope is below this share of the greatest
#: slope that its activation function has anywhere.
SATURATED_SLOPE = 0.05

#: Elements of a large tensor reduced at once; temporaries of this size stay in the cache.
PIECE = 1 << 18

#: Elements up to which a mask for the non-finite costs less than tracing a way without one too.
_MASKED = 1 << 14

_SIGNALS = frozenset({Quantity.PREACTIVATION, Quantity.ACTIVATION})
_STEEPEST = 126  # greatest exponent of 2 of which the reciprocal is a normal float32 too
# Looked up: devices take powers and reciprocals of many numbers at once by formulas that are off.
_POWERS = np.exp2(np.arange(-_STEEPEST, _STEEPEST + 1)).astype(np.float32)


class View:
    """A batch of tensors of one shape and what their statistics share.

    Args:
        values: `(tensors, examples, units)` tensor of any float dtype.
        slopes: Like `values`: the activation function's derivative at each element, or `None`.
        bounds: `(tensors,)` greatest slope that each activation function has, or `None`.
        clean: Whether all values are known to be finite, and their sum too, which saves a mask.
    """

    def __init__(
        self, values: Any, slopes: Any = None, bounds: Any = None, *, clean: bool = False
    ) -> None:
        self._units, self._slopes, self._bounds, self._clean = values, slopes, bounds, clean
        self._flat = ops.reshape(values, (values.shape[0], -1))
        self.size = _length(self._flat)

    def _known(self, values: Any) -> Any:
        """The values, with 0 for the non-finite ones."""
        return values if self._clean else ops.where(ops.isfinite(values), values, 0.0)

    def _over(self, values: Any, numbers: Any) -> Any:
        """One number a tensor, or a tensor's unit, in a shape that broadcasts over `values`."""
        if len(numbers.shape) == 2:
            return numbers[:, None, :]
        return ops.reshape(numbers, (-1,) + (1,) * (len(values.shape) - 1))

    def _scaled(self, values: Any, centre: Any) -> Any:
        """Scaled distances of finite values from `centre`; 0 for the non-finite ones."""
        scaled = self._known(values) * self._over(values, self._reciprocal)
        distance = scaled - self._over(values, centre)
        return distance if self._clean else ops.where(ops.isfinite(values), distance, 0.0)

    @cached_property
    def _extremes(self) -> list[Any]:
        def terms(values: Any) -> list[Any]:
            if self._clean:
                return [values, values]
            finite = ops.isfinite(values)
            return [ops.where(finite, values, sign * float("inf")) for sign in (1, -1)]

        return _reduce(self._flat, terms, (ops.min, ops.max))

    @cached_property
    def scale(self) -> Any:
        """`(tensors,)` power of two next below the greatest magnitude, nearly."""
        return ops.take(_POWERS, self._exponent)

    @cached_property
    def _reciprocal(self) -> Any:
        return ops.take(_POWERS[::-1], self._exponent)

    @cached_property
    def _exponent(self) -> Any:
        """Place in the table of powers."""
        greatest = ops.maximum(self._extremes[1], -self._extremes[0])
        exponent = ops.floor(ops.log2(ops.maximum(greatest, float(_POWERS[0]))))
        return ops.cast(ops.clip(exponent, -_STEEPEST, _STEEPEST), "int32") + _STEEPEST

    @cached_property
    def zeros(self) -> Any:
        """`(tensors,)` number of elements that are zero."""
        return _reduce(self._flat, lambda values: [_indicator(ops.equal(values, 0.0))])[0]

    @cached_property
    def nonfinite(self) -> Any:
        """`(tensors,)` number of non-finite elements."""
        if self._clean:
            return ops.zeros_like(self.scale)
        return _reduce(self._flat, lambda values: [1.0 - _indicator(ops.isfinite(values))])[0]

    @cached_property
    def count(self) -> Any:
        """`(tensors,)` number of finite elements."""
        return self.size - self.nonfinite

    @cached_property
    def mean(self) -> Any:
        """`(tensors,)` scaled mean."""
        return self._scaled_sum(self._flat) / self.count

    def _scaled_sum(self, values: Any) -> Any:
        if self._clean:  # scaling the sum is cheaper, and it is known not to have overflowed
            total = _reduce(values, lambda piece: [piece])[0]
            reciprocal = ops.reshape(self._reciprocal, (-1,) + (1,) * (len(total.shape) - 1))
            return total * reciprocal
        nowhere = ops.zeros_like(self.scale)
        return _reduce(values, lambda piece: [self._scaled(piece, nowhere)])[0]

    @cached_property
    def _central_sums(self) -> list[Any]:
        def terms(values: Any) -> list[Any]:
            centred = self._scaled(values, self.mean)
            squared = centred * centred
            return [squared, squared * centred, squared * squared]

        return _reduce(self._flat, terms)

    def moment(self, order: int) -> Any:
        """`(tensors,)` scaled central moment of order 2, 3 or 4."""
        return self._central_sums[order - 2] / self.count

    @cached_property
    def _unit_count(self) -> Any:
        if self._clean:
            return _length(self._units)
        return _reduce(self._units, lambda values: [_indicator(ops.isfinite(values))])[0]

    @cached_property
    def unit_means(self) -> Any:
        """`(tensors, units)` scaled mean over the examples."""
        return self._scaled_sum(self._units) / self._unit_count

    @cached_property
    def unit_variances(self) -> Any:
        """`(tensors, units)` scaled variance over the examples.

        From the distances to each unit's own mean: exact also where all examples have nearly become
        one vector.
        """

        def terms(values: Any) -> list[Any]:
            return [ops.square(self._scaled(values, self.unit_means))]

        return _reduce(self._units, terms)[0] / self._unit_count

    @property
    def minimum(self) -> Any:
        """`(tensors,)` scaled least finite value."""
        return self._extremes[0] * self._reciprocal

    @property
    def maximum(self) -> Any:
        """`(tensors,)` scaled greatest finite value."""
        return self._extremes[1] * self._reciprocal

    @cached_property
    def _slope_means(self) -> Any:
        return _reduce(self._slopes, lambda slopes: [ops.abs(slopes)])[0] / _length(self._slopes)

    @property
    def dead(self) -> Any:
        """`(tensors,)` share of units whose slope is zero for every example."""
        return ops.mean(_indicator(ops.equal(self._slope_means, 0.0)), axis=1)

    @property
    def saturated(self) -> Any:
        """`(tensors,)` share of units whose mean slope is under `SATURATED_SLOPE` of the bound."""
        low = self._slope_means < SATURATED_SLOPE * self._bounds[:, None]
        return ops.where(self._bounds > 0.0, ops.mean(_indicator(low), axis=1), float("nan"))


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


def table(statistics: Sequence[Statistic], values: Any, slopes: Any, bounds: Any) -> Any:
    """Scale and statistics of a batch of tensors.

    Args:
        statistics: Rows of the table.
        values: `(tensors, examples, units)` tensor.
        slopes: Slopes as `View` takes them.
        bounds: Bounds as `View` takes them.

    Returns:
        `(tensors, 1 + rows)` float32 tensor, the scale first.
    """

    def numbers(clean: bool) -> Any:
        view = View(values, slopes, bounds, clean=clean)
        return ops.stack([view.scale, *(row.of(view) for row in statistics)], axis=1)

    shape = tuple(values.shape)
    if None not in shape and prod(shape) <= _MASKED:
        return numbers(False)
    # A sum is finite only if every element is; then no mask is needed, which is nearly always.
    total = ops.sum(ops.cast(values, "float32"))
    return ops.cond(ops.isfinite(total), lambda: numbers(True), lambda: numbers(False))


def _length(tensor: Any) -> Any:
    return ops.cast(ops.shape(tensor)[1], "float32")


def _indicator(condition: Any) -> Any:
    return ops.cast(condition, "float32")


def _reduce(
    tensor: Any,
    terms: Callable[[Any], list[Any]],
    reducers: Sequence[Callable[..., Any]] | None = None,
) -> list[Any]:
    """Apply `terms` to a tensor, piece by piece if it is large, and reduce each over axis 1.

    Args:
        tensor: `(tensors, elements)` or `(tensors, examples, units)` tensor.
        terms: A piece to tensors of the same shape.
        reducers: How each of them is reduced; by summing if `None`.

    Returns:
        The terms without axis 1.
    """

    def of_piece(piece: Any) -> list[Any]:
        found = terms(ops.cast(piece, "float32"))
        return [reduce(t, axis=1) for reduce, t in zip(_how(reducers, found), found, strict=True)]

    shape = tuple(tensor.shape)
    if None in shape or prod(shape) <= 4 * PIECE:
        return of_piece(tensor)
    length = max(1, PIECE * shape[1] // prod(shape))
    whole = shape[1] // length

    def add(index: Any, totals: Any) -> Any:
        start, extent = [0] * len(shape), list(shape)
        start[1], extent[1] = index * length, length
        return _join(totals, of_piece(ops.slice(tensor, start, extent)), reducers)

    totals = ops.fori_loop(1, whole, add, tuple(of_piece(tensor[:, :length])))
    if shape[1] > whole * length:
        totals = _join(totals, of_piece(tensor[:, whole * length :]), reducers)
    return list(totals)


def _how(reducers: Sequence[Callable[..., Any]] | None, terms: Sequence[Any]) -> Sequence[Any]:
    return reducers or [ops.sum] * len(terms)


def _join(left: Sequence[Any], right: Sequence[Any], reducers: Any) -> tuple[Any, ...]:
    pairs = zip(_how(reducers, left), left, right, strict=True)
    return tuple(reduce(ops.stack([a, b]), axis=0) for reduce, a, b in pairs)
