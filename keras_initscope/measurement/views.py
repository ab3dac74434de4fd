"""A batch of tensors of one shape and the sums that their statistics share.

Where the tensors are ordinary, nothing is done to them first. Where they are not, they are scaled
to at most 1 in magnitude, so that powers of vanished or exploded values neither underflow nor
overflow float32, and non-finite elements are counted and take the value of their unit's mean, about
which all moments are taken. Large tensors are reduced piece by piece, so that no temporary grows
with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb, prod
from typing import Any

import numpy as np
from keras import ops

#: A unit is saturated when the mean magnitude of its slope is below this share of the greatest
#: slope that its activation function has anywhere.
SATURATED_SLOPE = 0.05

#: Elements of a large tensor reduced at once; temporaries of this size stay in the cache.
PIECE = 1 << 18

#: Relative difference up to which numbers are equal but for rounding.
_SAME = 1e-6

#: Elements up to which care costs less than finding out whether it is needed.
_SMALL = 1 << 14

#: Greatest magnitudes between which fourth powers need no scale.
_ORDINARY = 2.0**-24, 2.0**24

_STEEPEST = 126  # greatest exponent of 2 of which the reciprocal is a normal float32 too
# Looked up: devices take powers and reciprocals of many numbers at once by formulas that are off.
_POWERS = np.exp2(np.arange(-_STEEPEST, _STEEPEST + 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch of tensors of which sums can be taken, in units of their scale.

    Args:
        values: `(tensors, examples, units)` tensor.
        scale: `(tensors,)` power of two.
        minimum: `(tensors,)` least finite value.
        maximum: `(tensors,)` greatest finite value.
        unit_means: `(tensors, units)` mean of the finite values, nearly, 0 where there are none.
        zeros: `(tensors, units)` number of elements that are zero.
        nonfinite: `(tensors, units)` number of elements that are not finite.
    """

    values: Any
    scale: Any
    minimum: Any
    maximum: Any
    unit_means: Any
    zeros: Any
    nonfinite: Any


class View:
    """A batch of tensors of one shape and what their statistics share.

    Args:
        values: `(tensors, examples, units)` tensor of any float dtype.
        slopes: Like `values`: the activation function's derivative at each element, or `None`.
        bounds: `(tensors,)` greatest slope that each activation function has, or `None`.
        padding: `(tensors,)` number of NaNs at the end of each, which only bring all to one
            length, or `None`.
    """

    def __init__(
        self, values: Any, slopes: Any = None, bounds: Any = None, padding: Any = None
    ) -> None:
        self._raw, self._slopes, self._bounds, self._padding = values, slopes, bounds, padding
        self._in_pieces = _is_large(values)
        self._known: Callable[[Any], Any] = lambda piece: piece
        self._ready = self._prepared()
        self.size = _length(values) * values.shape[2] - (0.0 if padding is None else padding)

    def _prepared(self) -> _Ready:
        is_small = _known_size(self._raw) <= _SMALL
        if self._in_pieces or is_small or self._padding is not None:
            return _Ready(*self._careful())
        values = ops.cast(self._raw, "float32")
        sums, low, high = ops.sum(values, 1), ops.min(values, (1, 2)), ops.max(values, (1, 2))
        greatest = ops.maximum(high, -low)
        fits = (greatest >= _ORDINARY[0]) & (greatest <= _ORDINARY[1])
        # A sum is finite only if every element is, which is nearly always.
        ordinary = ops.all(fits | ops.equal(greatest, 0.0)) & ops.isfinite(ops.sum(sums))

        def plain() -> list[Any]:
            length = _length(values)
            zeros = length - ops.sum(ops.abs(ops.sign(values)), 1)
            nonfinite = ops.zeros_like(sums)
            return [values, ops.ones_like(low), low, high, sums / length, zeros, nonfinite]

        return _Ready(*ops.cond(ordinary, plain, self._careful))

    def _careful(self) -> list[Any]:
        """What a `_Ready` is made of."""

        def extremes(values: Any) -> list[Any]:
            finite = ops.isfinite(values)
            return [ops.where(finite, values, sign * float("inf")) for sign in (1, -1)]

        low, high = _reduce(self._raw, extremes, (ops.min, ops.max))
        low, high = ops.min(low, 1), ops.max(high, 1)
        exponent = ops.floor(ops.log2(ops.maximum(ops.maximum(high, -low), float(_POWERS[0]))))
        place = ops.cast(ops.clip(exponent, -_STEEPEST, _STEEPEST), "int32") + _STEEPEST
        reciprocal = ops.take(_POWERS[::-1], place)

        def terms(values: Any) -> list[Any]:
            finite = ops.isfinite(values)
            known = ops.where(finite, values, 0.0) * reciprocal[:, None, None]
            return [known, _indicator(ops.equal(values, 0.0)), 1.0 - _indicator(finite)]

        sums, zeros, nonfinite = _reduce(self._raw, terms)
        means = sums / ops.maximum(_length(self._raw) - nonfinite, 1.0)

        def known(values: Any) -> Any:
            scaled = values * reciprocal[:, None, None]
            return ops.where(ops.isfinite(values), scaled, means[:, None, :])

        self._known = known
        values = self._raw if self._in_pieces else known(ops.cast(self._raw, "float32"))
        limits = low * reciprocal, high * reciprocal
        return [values, ops.take(_POWERS, place), *limits, means, zeros, nonfinite]

    @property
    def scale(self) -> Any:
        """`(tensors,)` power of two by which values were divided."""
        return self._ready.scale

    @property
    def zeros(self) -> Any:
        """`(tensors,)` number of elements that are zero."""
        return ops.sum(self._ready.zeros, 1)

    @property
    def nonfinite(self) -> Any:
        """`(tensors,)` number of non-finite elements."""
        return ops.sum(self._ready.nonfinite, 1) - (0.0 if self._padding is None else self._padding)

    @cached_property
    def _unit_count(self) -> Any:
        return _length(self._raw) - self._ready.nonfinite

    @cached_property
    def count(self) -> Any:
        """`(tensors,)` number of finite elements."""
        return ops.sum(self._unit_count, 1)

    @cached_property
    def _unit_sums(self) -> list[Any]:
        """Sums over the examples of powers 1 to 4 of the distance to the unit's mean.

        The first is not quite zero, and tells what the mean is off by. Distances to each unit's own
        mean are exact also where all examples have nearly become one vector.
        """

        def terms(values: Any) -> list[Any]:
            known = self._known(values) if self._in_pieces else values
            distance = known - self._ready.unit_means[:, None, :]
            squared = ops.square(distance)
            return [distance, squared, squared * distance, ops.square(squared)]

        return _reduce(self._ready.values, terms)

    @cached_property
    def unit_means(self) -> Any:
        """`(tensors, units)` scaled mean over the examples."""
        return self._ready.unit_means + self._unit_sums[0] / self._unit_count

    @cached_property
    def unit_variances(self) -> Any:
        """`(tensors, units)` scaled variance over the examples."""
        return self._unit_sums[1] / self._unit_count - ops.square(
            self._unit_sums[0] / self._unit_count
        )

    @cached_property
    def mean(self) -> Any:
        """`(tensors,)` scaled mean."""
        sums = self._unit_count * self._ready.unit_means + self._unit_sums[0]
        return ops.sum(sums, 1) / self.count

    @cached_property
    def moments(self) -> dict[int, Any]:
        """`(tensors,)` scaled central moments of order 2, 3 and 4, from those of the units."""
        offset = self._ready.unit_means - self.mean[:, None]
        return {order: ops.sum(self._about(offset, order), 1) / self.count for order in (2, 3, 4)}

    def _about(self, offset: Any, order: int) -> Any:
        """Each unit's sum of powers of the distance to a point `offset` below its mean."""
        total = self._unit_count
        for k in range(1, order + 1):  # the binomial theorem, by Horner's scheme
            total = offset * total + comb(order, k) * self._unit_sums[k - 1]
        return total

    @property
    def duplicates(self) -> Any:
        """`(tensors,)` share of units that do what another one does: same mean, same variance.

        Units that give the same for every example are none: nothing tells what they would do.
        """
        order = ops.argsort(self.unit_means, axis=1)
        means, variances = (
            ops.take_along_axis(each, order, axis=1)
            for each in (self.unit_means, self.unit_variances)
        )
        near = _SAME * ops.sqrt(variances[:, 1:] + ops.square(means[:, 1:]))
        same_mean = ops.abs(means[:, 1:] - means[:, :-1]) <= near
        same_variance = ops.abs(variances[:, 1:] - variances[:, :-1]) <= _SAME * variances[:, 1:]
        alike = ops.pad(
            _indicator(same_mean & same_variance & (variances[:, 1:] > 0.0)), ((0, 0), (1, 1))
        )
        found = ops.mean(ops.maximum(alike[:, 1:], alike[:, :-1]), axis=1)
        return ops.where(self.count > 0.0, found, float("nan"))

    @property
    def minimum(self) -> Any:
        """`(tensors,)` scaled least finite value."""
        return self._ready.minimum

    @property
    def maximum(self) -> Any:
        """`(tensors,)` scaled greatest finite value."""
        return self._ready.maximum

    @cached_property
    def _slope_means(self) -> Any:
        return _reduce(self._slopes, lambda slopes: [ops.abs(slopes)])[0] / _length(self._slopes)

    @property
    def relative_slope(self) -> Any:
        """`(tensors,)` mean magnitude of the slope as a share of the bound."""
        mean = ops.mean(self._slope_means, axis=1)
        return ops.where(self._bounds > 0.0, mean / self._bounds, float("nan"))

    @property
    def dead(self) -> Any:
        """`(tensors,)` share of units whose slope is zero for every example."""
        return ops.mean(_indicator(ops.equal(self._slope_means, 0.0)), axis=1)

    @property
    def saturated(self) -> Any:
        """`(tensors,)` share of units whose mean slope is under `SATURATED_SLOPE` of the bound."""
        low = self._slope_means < SATURATED_SLOPE * self._bounds[:, None]
        return ops.where(self._bounds > 0.0, ops.mean(_indicator(low), axis=1), float("nan"))


def _known_size(tensor: Any) -> float:
    return float("inf") if None in tensor.shape else prod(tensor.shape)


def _is_large(tensor: Any) -> bool:
    return None not in tensor.shape and prod(tensor.shape) > 4 * PIECE


def _length(tensor: Any) -> Any:
    return ops.cast(ops.shape(tensor)[1], "float32")


def share(part: Any, whole: Any) -> Any:
    """A quotient that is exact where float32 can say it: divisions of many at once may be off."""
    quotient = ops.cast(part, "float64") / ops.cast(whole, "float64")
    return ops.cast(quotient, "float32")


def _indicator(condition: Any) -> Any:
    return ops.cast(condition, "float32")


def _reduce(
    tensor: Any,
    terms: Callable[[Any], list[Any]],
    reducers: Sequence[Callable[..., Any]] | None = None,
) -> list[Any]:
    """Apply `terms` to a tensor, piece by piece if it is large, and reduce each over axis 1.

    Args:
        tensor: `(tensors, examples, units)` tensor.
        terms: A piece to tensors of the same shape.
        reducers: How each of them is reduced; by summing if `None`.

    Returns:
        The terms without axis 1.
    """

    def of_piece(piece: Any) -> list[Any]:
        found = terms(ops.cast(piece, "float32"))
        return [reduce(t, axis=1) for reduce, t in zip(_how(reducers, found), found, strict=True)]

    if not _is_large(tensor):
        return of_piece(tensor)
    shape = tuple(tensor.shape)
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
