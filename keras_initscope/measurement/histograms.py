"""Histograms in the graph: which elements are counted, and the bucket of each.

Owns sampling and the way from a float's bits to its bucket; `buckets` owns what a bucket means.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from keras import ops

from keras_initscope.buckets import BUCKETS, SHIFT

#: Elements of a tensor that its histogram counts at most.
SAMPLE = 1 << 14


def stride_for(size: int, layout: tuple[int, ...]) -> int:
    """The stride that takes at most `SAMPLE` elements evenly from every channel and position.

    Args:
        size: Number of elements.
        layout: The tensor's trailing dimensions, those that repeat from example to example.

    Returns:
        A stride coprime to every trailing dimension, so that no column is favoured.
    """
    stride = -(-size // SAMPLE)
    if stride <= 1:
        return 1
    while any(gcd(stride, dim) > 1 for dim in layout if dim > 1):
        stride += 1
    return stride


def sample(flat: Any, layout: tuple[int | None, ...]) -> Any:
    """At most `SAMPLE` elements of each tensor, evenly spread.

    Args:
        flat: `(tensors, elements)` tensor.
        layout: The tensors' trailing dimensions, those that repeat from example to example.

    Returns:
        `(tensors, sampled)` tensor.
    """
    size = flat.shape[1]
    if size is None:
        return flat[:, :: _stride_in_graph(ops.shape(flat)[1], layout)]
    return flat[:, :: stride_for(size, tuple(dim for dim in layout if dim))]


def _stride_in_graph(size: Any, layout: tuple[int | None, ...]) -> Any:
    # The stride is looked up by its remainder: the distance to the next coprime number repeats
    # with the product of the distinct prime factors. Larger factors than the cap hardly matter.
    primes = {prime for dim in layout if dim for prime in _prime_factors(dim)}
    period = int(np.prod([prime for prime in sorted(primes) if prime <= 13], dtype=np.int64))
    distances = [
        next(step for step in range(period + 1) if gcd(remainder + step, period) == 1)
        for remainder in range(period)
    ]
    stride = (size + SAMPLE - 1) // SAMPLE
    further = ops.take(ops.array(distances, "int32"), stride % period)
    return ops.maximum(1, ops.where(stride > 1, stride + further, 1))


def _prime_factors(number: int) -> set[int]:
    found, factor = set(), 2
    while number > 1 and factor <= 13:
        if number % factor == 0:
            found.add(factor)
            number //= factor
        else:
            factor += 1
    return found


def bucket_of(bits: Any) -> Any:
    """Bucket numbers of float32 values given as their int32 bit patterns."""
    return ops.bitwise_and(ops.right_shift(bits, SHIFT), BUCKETS - 1)
