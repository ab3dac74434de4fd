"""Exponent buckets: the scale on which every histogram is counted, the same for any data.

A float32's sign, exponent and top three mantissa bits name its bucket, so that each power of two is
cut into eight, no value is out of range and counts add up over batches, devices and steps. Owns
what a bucket means and the ways to see counts: equal bins of x, or of log10 |x|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.records import Histogram

#: Number of buckets: sign, 8 exponent bits, 3 mantissa bits.
BUCKETS = 1 << 12

_SHIFT = 20  # float32 bits below the third mantissa bit

_HALF = BUCKETS // 2
_NONFINITE = 0xFF << 3  # first bucket of exponent 255

_Array = NDArray[np.float64]
_Whole = NDArray[np.integer[Any]]


def collect(values: NDArray[np.float32]) -> list[Histogram]:
    """Count values.

    Args:
        values: `(tensors, values)` array.

    Returns:
        The occupied buckets of each tensor. The bucket of -0.0 is merged into that of +0.0.
    """
    numbers = np.ascontiguousarray(values, np.float32).view(np.uint32) >> _SHIFT
    return [_occupied(np.bincount(row, minlength=BUCKETS)) for row in numbers.astype(np.int64)]


def _occupied(counts: _Whole) -> Histogram:
    counts[0] += counts[_HALF]
    counts[_HALF] = 0
    buckets = np.flatnonzero(counts)
    return Histogram(buckets=buckets.astype(np.int32), counts=counts[buckets].astype(np.int64))


def edges(buckets: _Whole) -> tuple[_Array, _Array]:
    """Lower and upper edge of buckets, in the data's unit.

    Args:
        buckets: `(k,)` bucket numbers, non-finite ones excluded.

    Returns:
        Two `(k,)` arrays, lower < upper. The zero bucket reaches from the negative to the positive
        edge of its neighbours, 2^-129 away.
    """
    return _LOWER[buckets], _UPPER[buckets]


def _magnitudes(codes: _Whole) -> _Array:
    exponent, mantissa = codes >> 3, (codes & 7) / 8.0
    normal = (1.0 + mantissa) * np.exp2(exponent.astype(np.float64) - 127.0)
    return np.where(exponent == 0, mantissa * 2.0**-126, normal)


# Looked up for every tensor of every snapshot, hence tables.
_CODES = np.arange(_HALF)
_NEAR, _FAR = _magnitudes(_CODES), _magnitudes(_CODES + 1)
_LOWER, _UPPER = np.concatenate([_NEAR, -_FAR]), np.concatenate([_FAR, -_NEAR])
_LOWER[0] = -_FAR[0]
_LOG_NEAR, _LOG_FAR = np.log10(_NEAR, where=_NEAR > 0, out=np.full(_HALF, -np.inf)), np.log10(_FAR)
_IS_FINITE = np.concatenate([_CODES, _CODES]) < _NONFINITE
_PLACE = np.concatenate([_HALF + _CODES, _HALF - 1 - _CODES])  # in the order of the values


def linear_bins(
    histogram: Histogram, bins: int = 30, limits: tuple[float, float] | None = None
) -> _Array:
    """Rebin one histogram to equal-width bins; see `all_linear_bins`."""
    return all_linear_bins([histogram], bins, None if limits is None else [limits])[0]


def all_linear_bins(
    histograms: Sequence[Histogram],
    bins: int = 30,
    limits: Sequence[tuple[float, float]] | None = None,
) -> list[_Array]:
    """Rebin each histogram to equal-width bins over the range where its data are.

    A few far values do not stretch the range: where the whole range is more than ten times that of
    the middle 99 %, the range is cut to three times the latter and what lies outside is counted in
    the outermost bins.

    Args:
        histograms: What was counted, one a tensor.
        bins: Number of bins.
        limits: Least and greatest finite value of each tensor, not finite where they are unknown. A
            bucket is an eighth of an octave wide; without the limits a tensor of ones would look
            spread from 1 to 1.125.

    Returns:
        One array a tensor: `(bins, 3)` left edge, right edge and count, edges finite. A single row
        of no width where all values are one and the same, which dashboards draw as a spike;
        `(0, 3)` where there is no finite value.
    """
    tensors, buckets, counts = _in_one(histograms)
    found = np.flatnonzero(_IS_FINITE[buckets])
    keys = tensors[found] * BUCKETS + _PLACE[buckets[found]]
    found = found[np.argsort(keys, kind="stable")]  # which merges what is in order already
    tensors, buckets = tensors[found], buckets[found]
    lower, upper = _LOWER[buckets], _UPPER[buckets]
    if limits is not None:
        least, greatest = _known(limits)
        lower = np.minimum(np.maximum(lower, least[tensors]), greatest[tensors])
        upper = np.minimum(np.maximum(upper, least[tensors]), greatest[tensors])
    data = _rows_of(tensors, lower, upper, counts[found])
    tables = _rebin(data, *_robust_ranges(data), bins)
    spikes = tables[:, 0, 0] >= tables[:, -1, 1]
    tables[spikes, 0, 2] = data.totals[spikes]
    lengths = np.where(spikes, 1, bins)
    cut = [table[:length] for table, length in zip(tables, lengths, strict=True)]
    return _at(data.tensors, cut, len(histograms))


def log_bins(histogram: Histogram, bins: int = 30) -> _Array:
    """Rebin log10 |x| of one histogram to equal-width bins; see `all_log_bins`."""
    return all_log_bins([histogram], bins)[0]


def all_log_bins(histograms: Sequence[Histogram], bins: int = 30) -> list[_Array]:
    """Rebin log10 |x| of the non-zero values of each histogram to equal-width bins.

    Args:
        histograms: What was counted, one a tensor.
        bins: Number of bins.

    Returns:
        One array a tensor: `(bins, 3)` left edge, right edge (in decades) and count; `(0, 3)` where
        there is no finite non-zero value.
    """
    tensors, buckets, counts = _in_one(histograms)
    keys = tensors * _HALF + (buckets & (_HALF - 1))
    folded = np.bincount(keys, counts, len(histograms) * _HALF).reshape(-1, _HALF)
    folded[:, 0], folded[:, _NONFINITE:] = 0.0, 0.0
    tensors, codes = np.divmod(np.flatnonzero(folded), _HALF)
    numbers = folded[tensors, codes].astype(np.int64)
    data = _rows_of(tensors, _LOG_NEAR[codes], _LOG_FAR[codes], numbers)
    tables = _rebin(data, data.lower[data.first], data.upper[data.last], bins)
    return _at(data.tensors, list(tables), len(histograms))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Occupied buckets of several tensors, a row a tensor, all rows in one array.

    `row`, `lower`, `upper` and `counts` have an entry a bucket, in the order of the values; `before`
    is how many values all earlier buckets hold. `first` and `last` have an entry a row: its ends.
    """

    tensors: _Whole
    row: _Whole
    lower: _Array
    upper: _Array
    counts: _Whole
    before: _Whole
    first: _Whole
    last: _Whole

    @property
    def totals(self) -> _Whole:
        """Number of values in each row."""
        return self.before[self.last + 1] - self.before[self.first]


def _in_one(histograms: Sequence[Histogram]) -> tuple[_Whole, _Whole, _Whole]:
    """Tensor, bucket and count of whatever is occupied."""
    nothing = np.zeros(0, np.int64)
    sizes = [histogram.buckets.size for histogram in histograms]
    return (
        np.repeat(np.arange(len(sizes)), sizes),
        np.concatenate([nothing, *(histogram.buckets for histogram in histograms)]),
        np.concatenate([nothing, *(histogram.counts for histogram in histograms)]),
    )


def _known(limits: Sequence[tuple[float, float]]) -> tuple[_Array, _Array]:
    """Least and greatest values, without bounds where they are unknown."""
    least, greatest = np.asarray(limits, np.float64).reshape(-1, 2).T
    is_known = np.isfinite(least) & np.isfinite(greatest)
    return np.where(is_known, least, -np.inf), np.where(is_known, greatest, np.inf)


def _rows_of(tensors: _Whole, lower: _Array, upper: _Array, counts: _Whole) -> _Rows:
    sizes = np.bincount(tensors)
    present = np.flatnonzero(sizes)
    sizes = sizes[present]
    end = np.cumsum(sizes)
    return _Rows(
        tensors=present,
        row=np.repeat(np.arange(present.size), sizes),
        lower=lower,
        upper=upper,
        counts=counts,
        before=np.concatenate([[0], np.cumsum(counts)]),
        first=end - sizes,
        last=end - 1,
    )


def _at(tensors: _Whole, tables: list[_Array], count: int) -> list[_Array]:
    """One table a tensor, empty where it has no row."""
    found = [np.zeros((0, 3))] * count
    for tensor, table in zip(tensors, tables, strict=True):
        found[tensor] = table
    return found


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


def _rebin(data: _Rows, low: _Array, high: _Array, bins: int) -> _Array:
    """Spread each bucket's count evenly over its width; what is outside goes to the end bins."""
    grid = low[:, None] + ((high - low) / bins)[:, None] * np.arange(bins + 1)
    grid[:, -1] = high
    under = _last_begun(data, low, high, bins)
    width = data.upper[under] - data.lower[under]
    share = np.ones_like(grid)
    np.divide(grid - data.lower[under], width, out=share, where=width > 0)
    cumulative = data.before[under] - data.before[data.first][:, None]
    cumulative = cumulative + data.counts[under] * np.clip(share, 0.0, 1.0)
    cumulative[:, 0], cumulative[:, -1] = 0.0, data.totals
    return np.stack([grid[:, :-1], grid[:, 1:], np.diff(cumulative)], axis=-1)


def _last_begun(data: _Rows, low: _Array, high: _Array, bins: int) -> _Whole:
    """Of each row, the last bucket that begins at or below each of its `bins + 1` edges."""
    width = (high - low)[data.row]
    place = np.zeros_like(width)
    np.divide(data.lower - low[data.row], width, out=place, where=width > 0)
    edge = np.ceil(np.clip(bins * place, 0, bins)).astype(np.int64)
    begun = np.bincount(data.row * (bins + 1) + edge, minlength=low.size * (bins + 1))
    return np.cumsum(begun).reshape(-1, bins + 1) - 1
