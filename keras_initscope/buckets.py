"""Exponent buckets: the scale on which every histogram is counted, the same for any data.

A float32's sign, exponent and top three mantissa bits name its bucket, so that each power of two is
cut into eight, no value is out of range and counts add up over batches, devices and steps. Owns
what a bucket means and the ways to see counts: equal bins of x, or of log10 |x|.
"""

from __future__ import annotations

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


def collect(values: NDArray[np.float32]) -> list[Histogram]:
    """Count values.

    Args:
        values: `(tensors, values)` array.

    Returns:
        The occupied buckets of each tensor. The bucket of -0.0 is merged into that of +0.0.
    """
    numbers = np.ascontiguousarray(values, np.float32).view(np.uint32) >> _SHIFT
    return [_occupied(np.bincount(row, minlength=BUCKETS)) for row in numbers.astype(np.int64)]


def _occupied(counts: NDArray[np.integer[Any]]) -> Histogram:
    counts[0] += counts[_HALF]
    counts[_HALF] = 0
    buckets = np.flatnonzero(counts)
    return Histogram(buckets=buckets.astype(np.int32), counts=counts[buckets].astype(np.int64))


def edges(buckets: NDArray[np.integer[Any]]) -> tuple[_Array, _Array]:
    """Lower and upper edge of buckets, in the data's unit.

    Args:
        buckets: `(k,)` bucket numbers, non-finite ones excluded.

    Returns:
        Two `(k,)` arrays, lower < upper. The zero bucket reaches from the negative to the positive
        edge of its neighbours, 2^-129 away.
    """
    return _LOWER[buckets], _UPPER[buckets]


def _magnitudes(codes: NDArray[np.integer[Any]]) -> _Array:
    exponent, mantissa = codes >> 3, (codes & 7) / 8.0
    normal = (1.0 + mantissa) * np.exp2(exponent.astype(np.float64) - 127.0)
    return np.where(exponent == 0, mantissa * 2.0**-126, normal)


# Looked up for every tensor of every snapshot, hence tables.
_NEAR, _FAR = _magnitudes(np.arange(_HALF)), _magnitudes(np.arange(1, _HALF + 1))
_LOWER, _UPPER = np.concatenate([_NEAR, -_FAR]), np.concatenate([_FAR, -_NEAR])
_LOWER[0] = -_FAR[0]
_LOG_NEAR, _LOG_FAR = np.log10(_NEAR, where=_NEAR > 0, out=np.full(_HALF, -np.inf)), np.log10(_FAR)


def linear_bins(
    histogram: Histogram, bins: int = 30, limits: tuple[float, float] | None = None
) -> _Array:
    """Rebin to equal-width bins over the range where the data are.

    A few far values do not stretch the range: where the whole range is more than ten times that of
    the middle 99 %, the range is cut to three times the latter and what lies outside is counted in
    the outermost bins.

    Args:
        histogram: What was counted.
        bins: Number of bins.
        limits: Least and greatest finite value, where they are known. A bucket is an eighth of an
            octave wide; without the limits a tensor of ones would look spread from 1 to 1.125.

    Returns:
        `(bins, 3)` array of left edge, right edge and count, edges finite. A single row of no width
        where all values are one and the same, which dashboards draw as a spike; `(0, 3)` where
        there is no finite value.
    """
    lower, upper, counts = _finite(histogram)
    if not counts.size:
        return np.zeros((0, 3))
    if limits is not None and np.isfinite(limits).all():
        least, greatest = limits
        lower = np.minimum(np.maximum(lower, least), greatest)
        upper = np.minimum(np.maximum(upper, least), greatest)
    span = _robust_range(lower, upper, counts)
    if span[0] >= span[1]:
        return np.array([[span[0], span[0], counts.sum()]])
    return _rebin(lower, upper, counts, span, bins)


def log_bins(histogram: Histogram, bins: int = 30) -> _Array:
    """Rebin log10 |x| of the non-zero values to equal-width bins.

    Args:
        histogram: What was counted.
        bins: Number of bins.

    Returns:
        `(bins, 3)` array of left edge, right edge (in decades) and count; `(0, 3)` where there is
        no finite non-zero value.
    """
    codes = histogram.buckets & (_HALF - 1)
    found = np.bincount(codes, weights=histogram.counts, minlength=_HALF)
    folded = found[:_NONFINITE].astype(np.float64)
    folded[0] = 0.0
    occupied = np.flatnonzero(folded)
    if not occupied.size:
        return np.zeros((0, 3))
    lower, upper = _LOG_NEAR[occupied], _LOG_FAR[occupied]
    return _rebin(lower, upper, folded[occupied], (float(lower[0]), float(upper[-1])), bins)


def _finite(histogram: Histogram) -> tuple[_Array, _Array, _Array]:
    """Edges and counts in the order of the values: negative buckets lie the other way round."""
    buckets, counts = histogram.buckets, histogram.counts
    end, start, stop = np.searchsorted(buckets, (_NONFINITE, _HALF, _HALF + _NONFINITE))
    found = np.concatenate([buckets[start:stop][::-1], buckets[:end]])
    numbers = np.concatenate([counts[start:stop][::-1], counts[:end]]).astype(np.float64)
    return _LOWER[found], _UPPER[found], numbers


def _robust_range(lower: _Array, upper: _Array, counts: _Array) -> tuple[float, float]:
    running = np.cumsum(counts)
    first, last = np.searchsorted(running, (0.005 * running[-1], 0.995 * running[-1]))
    low, high = float(lower[first]), float(upper[last])
    width = high - low
    if upper[-1] - lower[0] <= 10.0 * width:
        return float(lower[0]), float(upper[-1])
    return max(low - width, float(lower[0])), min(high + width, float(upper[-1]))


def _rebin(
    lower: _Array, upper: _Array, counts: _Array, span: tuple[float, float], bins: int
) -> _Array:
    """Spread each bucket's count evenly over its width; what is outside goes to the end bins."""
    low, high = span
    grid = low + (high - low) / bins * np.arange(bins + 1)
    grid[-1] = high
    points, heights = np.empty(2 * counts.size), np.empty(2 * counts.size)
    points[::2], points[1::2] = lower, upper
    np.cumsum(counts, out=heights[1::2])
    heights[0], heights[2::2] = 0.0, heights[1:-1:2]
    cumulative = np.interp(grid, points, heights)
    cumulative[0], cumulative[-1] = 0.0, heights[-1]
    table = np.empty((bins, 3))
    table[:, 0], table[:, 1] = grid[:-1], grid[1:]
    np.subtract(cumulative[1:], cumulative[:-1], out=table[:, 2])
    return table
