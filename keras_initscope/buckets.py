"""Exponent buckets: the scale on which every histogram is counted, the same for any data.

A float32's sign, exponent and top three mantissa bits name its bucket, so that each power of two is
cut into eight, no value is out of range and counts add up over batches, devices and steps. Owns
what a bucket means and the ways to see counts: equal bins of x, or of log10 |x|.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.records import Histogram

#: Number of buckets: sign, 8 exponent bits, 3 mantissa bits.
BUCKETS = 1 << 12
#: float32 bits below the third mantissa bit.
SHIFT = 20

_HALF = BUCKETS // 2
_NONFINITE = 0xFF << 3  # first bucket of exponent 255

_Array = NDArray[np.float64]


def collect(counts: NDArray[np.integer[Any]]) -> list[Histogram]:
    """Make records of what a device counted.

    Args:
        counts: `(tensors, BUCKETS)` counts.

    Returns:
        The occupied buckets of each tensor. The bucket of -0.0 is merged into that of +0.0.
    """
    tensors, occupied = np.nonzero(counts)
    numbers = counts[tensors, occupied].astype(np.int64)
    bounds = np.searchsorted(tensors, np.arange(counts.shape[0] + 1))
    return [
        _merge_zeros(occupied[start:end].astype(np.int32), numbers[start:end])
        for start, end in pairwise(bounds)
    ]


def _merge_zeros(buckets: NDArray[np.int32], counts: NDArray[np.int64]) -> Histogram:
    negative = np.searchsorted(buckets, _HALF)
    if negative < buckets.size and buckets[negative] == _HALF:
        zeros = counts[negative]
        buckets, counts = np.delete(buckets, negative), np.delete(counts, negative)
        if not buckets.size or buckets[0] != 0:
            buckets, counts = np.insert(buckets, 0, 0), np.insert(counts, 0, 0)
        counts[0] += zeros
    return Histogram(buckets=buckets, counts=counts)


def edges(buckets: NDArray[np.integer[Any]]) -> tuple[_Array, _Array]:
    """Lower and upper edge of buckets, in the data's unit.

    Args:
        buckets: `(k,)` bucket numbers, non-finite ones excluded.

    Returns:
        Two `(k,)` arrays, lower < upper. The zero bucket reaches from the negative to the positive
        edge of its neighbours, 2^-129 away.
    """
    near, far = _magnitudes(buckets % _HALF)
    negative = buckets >= _HALF
    lower = np.where(negative, -far, near)
    upper = np.where(negative, -near, far)
    return np.where(buckets == 0, -far, lower), upper


def _magnitudes(codes: NDArray[np.integer[Any]]) -> tuple[_Array, _Array]:
    def magnitude(code: NDArray[np.integer[Any]]) -> _Array:
        exponent, mantissa = code >> 3, (code & 7) / 8.0
        normal = (1.0 + mantissa) * np.exp2(exponent.astype(np.float64) - 127.0)
        return np.where(exponent == 0, mantissa * 2.0**-126, normal)

    return magnitude(codes), magnitude(codes + 1)


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
        lower, upper = np.clip(lower, *limits), np.clip(upper, *limits)
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
    codes = histogram.buckets % _HALF
    chosen = (codes < _NONFINITE) & (codes > 0)
    if not chosen.any():
        return np.zeros((0, 3))
    weights = histogram.counts[chosen].astype(np.float64)
    counts = np.bincount(codes[chosen], weights=weights, minlength=_NONFINITE)
    occupied = np.flatnonzero(counts)
    lower, upper = (np.log10(edge) for edge in _magnitudes(occupied))
    span = (float(lower[0]), float(upper[-1]))
    return _rebin(lower, upper, counts[occupied].astype(np.float64), span, bins)


def _finite(histogram: Histogram) -> tuple[_Array, _Array, _Array]:
    chosen = histogram.buckets % _HALF < _NONFINITE
    lower, upper = edges(histogram.buckets[chosen])
    order = np.argsort(lower)
    counts = histogram.counts[chosen].astype(np.float64)
    return lower[order], upper[order], counts[order]


def _robust_range(lower: _Array, upper: _Array, counts: _Array) -> tuple[float, float]:
    share = np.cumsum(counts) / counts.sum()
    low = float(lower[np.searchsorted(share, 0.005)])
    high = float(upper[np.searchsorted(share, 0.995)])
    width = high - low
    if upper[-1] - lower[0] <= 10.0 * width:
        return float(lower[0]), float(upper[-1])
    return max(low - width, float(lower[0])), min(high + width, float(upper[-1]))


def _rebin(
    lower: _Array, upper: _Array, counts: _Array, span: tuple[float, float], bins: int
) -> _Array:
    """Spread each bucket's count evenly over its width; what is outside goes to the end bins."""
    grid = np.linspace(*span, bins + 1)
    points = np.stack([lower, upper], axis=1).ravel()
    below = np.concatenate([[0.0], np.cumsum(counts)])
    heights = np.stack([below[:-1], below[1:]], axis=1).ravel()
    cumulative = np.interp(grid, points, heights)
    cumulative[0], cumulative[-1] = 0.0, below[-1]
    return np.stack([grid[:-1], grid[1:], np.diff(cumulative)], axis=1)
