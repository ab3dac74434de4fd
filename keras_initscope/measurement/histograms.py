"""Which elements of a tensor its histogram counts.

Owns sampling, in the graph. Counting, in `buckets`, is the host's: it takes less time than counting
in the graph does, and none of the thread that trains.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
from keras import ops

#: Elements of a tensor that its histogram counts at most.
SAMPLE = 1 << 14

#: Neighbours that are taken together, where the size allows: they lie in the same cache lines.
RUN = 32


def stride_for(size: int, layout: tuple[int, ...], most: int = SAMPLE) -> int:
    """The stride that takes at most `most` of `size` evenly from every channel and position.

    Args:
        size: Number of elements, or of runs of them.
        layout: The tensor's trailing dimensions, those that repeat from example to example.
        most: How many to take.

    Returns:
        A stride coprime to every trailing dimension, so that no column is favoured.
    """
    stride = -(-size // most)
    if stride <= 1:
        return 1
    while any(gcd(stride, dim) > 1 for dim in layout if dim > 1):
        stride += 1
    return stride


def sample(flat: Any, layout: tuple[int | None, ...]) -> Any:
    """At most `SAMPLE` elements of each tensor, evenly spread in runs of neighbours.

    Args:
        flat: `(tensors, elements)` tensor.
        layout: The tensors' trailing dimensions, those that repeat from example to example.

    Returns:
        `(tensors, sampled)` tensor.
    """
    tensors, size = flat.shape
    if size is None:
        size = ops.shape(flat)[1]
        return ops.take(flat, ops.arange(0, size, _stride_in_graph(size, layout)), axis=1)
    if size <= SAMPLE:
        return flat
    length = gcd(size, RUN)
    stride = stride_for(size // length, tuple(dim for dim in layout if dim), SAMPLE // length)
    runs = ops.reshape(flat, (-1, length))
    starts = np.arange(0, size // length, stride, dtype=np.int32)
    places = (np.arange(tensors, dtype=np.int32)[:, None] * (size // length) + starts).ravel()
    return ops.reshape(ops.take(runs, places, axis=0), (tensors, -1))


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
