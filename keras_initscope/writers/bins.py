"""Counts as dashboards draw them: in equal bins of x, or of log10 |x|.

Owns the way from exponent buckets to bins, for many tensors at once: an array operation costs about
as much for one of them as for fifty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.buckets import BUCKETS, bucket_of, edges
from keras_initscope.records import Histogram

_Array = NDArray[np.float64]
_Whole = NDArray[np.integer[Any]]

_GREATEST = float(np.finfo(np.float32).max)


def linear_bins(
    histograms: Sequence[Histogram],
    limits: Sequence[tuple[float, float]] | None = None,
    bins: int = 30,
) -> list[_Array]:
    """Rebin each histogram to equal-width bins over the range where its data are.

    A few far values do not stretch the range: where the whole range is more than ten times that of
    the middle 99 %, the range is cut to three times the latter and what lies outside is counted in
    the outermost bins.

    Args:
        histograms: What was counted, one a tensor.
        limits: Least and greatest finite value of each tensor, not finite where they are unknown. A
            bucket is an eighth of an octave wide; without the limits a tensor of ones would look
            spread from 1 to 1.125.
        bins: Number of bins.

    Returns:
        One array a tensor: `(bins, 3)` left edge, right edge and count, edges finite. A single row
        of no width where all values are one and the same, which dashboards draw as a spike;
        `(0, 3)` where there is no finite value.
    """
    data = _rows(histograms, _LINEAR)
    if limits is not None:
        _cut_ends(data, np.asarray(limits, np.float64).reshape(-1, 2)[data.tensors])
    grid = _grid(*_robust_ranges(data), bins)
    tables = _rebin(data, grid, _LINEAR.place[_bucket_of(grid)])
    spikes = grid[:, 0] >= grid[:, -1]
    tables[spikes, 0, 2] = data.totals[spikes]
    lengths = np.where(spikes, 1, bins)
    cut = [table[:length] for table, length in zip(tables, lengths, strict=True)]
    return _one_each(len(histograms), data, cut)


def log_bins(histograms: Sequence[Histogram], bins: int = 30) -> list[_Array]:
    """Rebin log10 |x| of the non-zero values of each histogram to equal-width bins.

    Args:
        histograms: What was counted, one a tensor.
        bins: Number of bins.

    Returns:
        One array a tensor: `(bins, 3)` left edge, right edge (in decades) and count; `(0, 3)` where
        there is no finite non-zero value.
    """
    data = _rows(histograms, _LOGARITHMIC)
    grid = _grid(data.lower[data.first], data.upper[data.last], bins)
    tables = _rebin(data, grid, _LOGARITHMIC.place[_bucket_of(10.0**grid)])
    return _one_each(len(histograms), data, list(tables))


@dataclass(frozen=True, slots=True)
class _Axis:
    """An order of the buckets: the place of each, -1 without one, and the edges of each place."""

    place: _Whole
    lower: _Array
    upper: _Array


def _axes() -> tuple[_Axis, _Axis]:
    """The line of the numbers, and that of their magnitudes' decimal logarithms."""
    half = BUCKETS // 2
    codes = np.arange(half)
    is_finite = codes < bucket_of(np.array(np.inf))
    finite = codes[is_finite]
    near, far = edges(finite)
    place = np.concatenate([half + codes, half - codes])
    place[~np.concatenate([is_finite, is_finite])] = -1
    lower, upper = np.zeros(BUCKETS), np.zeros(BUCKETS)
    lower[half - finite], upper[half - finite] = -far, -near
    lower[half + finite], upper[half + finite] = near, far
    linear = _Axis(place, lower, upper)
    distance = np.where(is_finite & (codes > 0), codes, -1)
    lower, upper = np.zeros(half), np.zeros(half)
    lower[finite[1:]], upper[finite[1:]] = np.log10(near[1:]), np.log10(far[1:])
    return linear, _Axis(np.concatenate([distance, distance]), lower, upper)


_LINEAR, _LOGARITHMIC = _axes()


@dataclass(frozen=True, slots=True)
class _Rows:
    """Occupied places of an axis for several tensors, a row a tensor, all rows in one array.

    `keys`, `lower`, `upper` and `counts` have an entry a place, in order; a key holds the tensor's
    number and the place. `before` is how many values all earlier entries count. `tensors`, `first`
    and `last` have an entry a row: whose it is, and its ends.
    """

    keys: _Whole
    lower: _Array
    upper: _Array
    counts: _Whole
    before: _Whole
    tensors: _Whole
    first: _Whole
    last: _Whole

    @property
    def totals(self) -> _Whole:
        """Number of values in each row."""
        return self.before[self.last + 1] - self.before[self.first]


def _rows(histograms: Sequence[Histogram], axis: _Axis) -> _Rows:
    keys, counts = _in_order(histograms, axis)
    starts = np.flatnonzero(np.diff(keys, prepend=-1))  # x and -x may share a place
    keys, counts = keys[starts], np.add.reduceat(counts, starts) if starts.size else counts
    bounds = np.searchsorted(keys, np.arange(len(histograms) + 1) * BUCKETS)
    tensors = np.flatnonzero(np.diff(bounds))
    places = keys % BUCKETS
    return _Rows(
        keys=keys,
        lower=axis.lower[places],
        upper=axis.upper[places],
        counts=counts,
        before=np.concatenate([[0], np.cumsum(counts)]),
        tensors=tensors,
        first=bounds[tensors],
        last=bounds[tensors + 1] - 1,
    )


def _in_order(histograms: Sequence[Histogram], axis: _Axis) -> tuple[_Whole, _Whole]:
    """Key and count of each occupied bucket that has a place."""
    none = np.zeros(0, np.int64)
    sizes = [histogram.buckets.size for histogram in histograms]
    places = axis.place[np.concatenate([none, *(h.buckets for h in histograms)])]
    counts = np.concatenate([none, *(h.counts for h in histograms)])
    keys = np.repeat(np.arange(len(sizes)) * BUCKETS, sizes) + places
    if places.min(initial=0) < 0:
        keys, counts = keys[places >= 0], counts[places >= 0]
    order = np.argsort(keys, kind="stable")  # which merges what is in order already
    return keys[order], counts[order]


def _cut_ends(data: _Rows, limits: _Array) -> None:
    """Let the ends of each row be where its values end, where that is known."""
    is_known = np.isfinite(limits).all(axis=1)
    least, greatest = limits[is_known].T
    for end in data.first[is_known], data.last[is_known]:
        for edge in data.lower, data.upper:
            edge[end] = np.minimum(np.maximum(edge[end], least), greatest)


def _robust_ranges(data: _Rows) -> tuple[_Array, _Array]:
    running, base, totals = data.before[1:], data.before[data.first], data.totals
    # Whole numbers, lest a row's place among the others decide.
    low = data.lower[np.searchsorted(running, base + np.ceil(0.005 * totals).astype(np.int64))]
    high = data.upper[np.searchsorted(running, base + np.ceil(0.995 * totals).astype(np.int64))]
    width, least, greatest = high - low, data.lower[data.first], data.upper[data.last]
    is_far = greatest - least > 10.0 * width
    return (
        np.where(is_far, np.maximum(low - width, least), least),
        np.where(is_far, np.minimum(high + width, greatest), greatest),
    )


def _grid(low: _Array, high: _Array, bins: int) -> _Array:
    grid = low[:, None] + ((high - low) / bins)[:, None] * np.arange(bins + 1)
    grid[:, -1] = high
    return grid


def _bucket_of(values: _Array) -> NDArray[np.int64]:
    return bucket_of(np.clip(values, -_GREATEST, _GREATEST))


def _rebin(data: _Rows, grid: _Array, places: _Whole) -> _Array:
    """Spread each count evenly from edge to edge; what is outside goes to the end bins.

    Args:
        data: What was counted.
        grid: `(rows, bins + 1)` edges of the bins.
        places: `(rows, bins + 1)` places of these edges on the axis.

    Returns:
        `(rows, bins, 3)` left edges, right edges and counts.
    """
    found = np.searchsorted(data.keys, data.tensors[:, None] * BUCKETS + places, side="right")
    at = np.maximum(found - 1, data.first[:, None])  # the last that begins at or below the edge
    width = data.upper[at] - data.lower[at]
    share = np.ones_like(grid)
    with np.errstate(over="ignore"):  # far beyond it all of it is counted
        np.divide(grid - data.lower[at], width, out=share, where=width > 0)
    cumulative = (data.before[at] - data.before[data.first][:, None]).astype(np.float64)
    cumulative += data.counts[at] * np.clip(share, 0.0, 1.0)
    cumulative[:, 0], cumulative[:, -1] = 0.0, data.totals
    return np.stack([grid[:, :-1], grid[:, 1:], np.diff(cumulative)], axis=-1)


def _one_each(count: int, data: _Rows, tables: Sequence[_Array]) -> list[_Array]:
    """A table for each tensor, empty where it has no row."""
    found = [np.zeros((0, 3))] * count
    for tensor, table in zip(data.tensors, tables, strict=True):
        found[tensor] = table
    return found
