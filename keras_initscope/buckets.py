"""Exponent buckets: the scale on which every histogram is counted, the same for any data.

A float32's sign, exponent and top three mantissa bits name its bucket, so that each power of two is
cut into eight, no value is out of range and counts add up over batches, devices and steps. Owns
what a bucket means; how counts are drawn is the writers' business.
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

_Array = NDArray[np.float64]
_Whole = NDArray[np.integer[Any]]


def collect(values: NDArray[np.float32]) -> Histogram:
    """Count values.

    Args:
        values: Of any shape.

    Returns:
        The occupied buckets. The bucket of -0.0 is merged into that of +0.0.
    """
    numbers = np.ascontiguousarray(values, np.float32).view(np.uint32) >> _SHIFT
    counts = np.bincount(numbers.ravel().astype(np.int64), minlength=BUCKETS)
    counts[0] += counts[_HALF]
    counts[_HALF] = 0
    buckets = np.flatnonzero(counts)
    return Histogram(buckets=buckets.astype(np.int32), counts=counts[buckets].astype(np.int64))


def bucket_of(values: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Number of the bucket that each value is in.

    Args:
        values: Array of any shape, in the range of float32.

    Returns:
        Array of the same shape. -0.0 has the bucket `BUCKETS // 2`.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits >> _SHIFT).astype(np.int64)


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


_CODES = np.arange(_HALF)
_NEAR, _FAR = _magnitudes(_CODES), _magnitudes(_CODES + 1)
_LOWER, _UPPER = np.concatenate([_NEAR, -_FAR]), np.concatenate([_FAR, -_NEAR])
_LOWER[0] = -_FAR[0]
