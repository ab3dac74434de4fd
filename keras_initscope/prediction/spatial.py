"""Known linear maps over positions: windows, strides, padding, as one matrix an axis.

Owns the geometry that convolution, pooling, padding, cropping and upsampling share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from keras_initscope.prediction.state import Array, Gradient, State, filtered, parts_of, state


@lru_cache(maxsize=1024)
def window(size: int, taps: int, stride: int, dilation: int, padding: str) -> Array:
    """Which inputs each output of a sliding window sees.

    Args:
        size: Inputs along the axis.
        taps: Length of the window.
        stride: Step from one output to the next.
        dilation: Step from one tap to the next.
        padding: `"valid"`, `"same"` (as TensorFlow pads) or `"causal"`.

    Returns:
        `(outputs, inputs)`, 1 where an input lies in the window of an output, else 0.

    Example:

    ```python
    from keras_initscope.prediction.spatial import window

    assert window(5, 3, 2, 1, "same").sum(axis=1).tolist() == [2, 3, 2]
    ```
    """
    place, inside = _places(size, taps, stride, dilation, padding)
    matrix = np.zeros((len(place), size))
    for tap in range(taps):
        seen = inside[:, tap]
        matrix[np.nonzero(seen)[0], place[seen, tap]] += 1
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1024)
def evenness(size: int, taps: int, stride: int, dilation: int, padding: str) -> float:
    """`sum_t f_t^2`, `f_t` the share of outputs whose tap `t` lies inside the bounds.

    What all positions have in common, the mean of a channel, passes each tap only where it is
    inside. Arguments as for `window`.

    Example:

    ```python
    from keras_initscope.prediction.spatial import evenness

    assert evenness(8, 3, 1, 1, "valid") == 3
    assert evenness(8, 3, 1, 1, "same") == 1 + 2 * (7 / 8) ** 2
    ```
    """
    return float(np.sum(_places(size, taps, stride, dilation, padding)[1].mean(axis=0) ** 2))


def _places(
    size: int, taps: int, stride: int, dilation: int, padding: str
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each tap of each output lies, `(outputs, taps)`, and whether that is inside."""
    reach = (taps - 1) * dilation + 1
    if padding == "valid":
        outputs, before = (size - reach) // stride + 1, 0
    else:
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + reach - size, 0)
        before = reach - 1 if padding == "causal" else total // 2
    if outputs < 1:
        raise ValueError(f"A window of {reach} does not fit into {size} positions.")
    place = (np.arange(outputs) * stride - before)[:, None] + np.arange(taps) * dilation
    return place, (place >= 0) & (place < size)


def likeness(x: State) -> float:
    """`(r - p) / (q - p)`: how much of the signal neighbours share.

    In images it is taken to fall off by that factor with every step, as in a Markov chain. The
    steps of a sequence may be tokens that have looked at each other: all are neighbours.
    """
    if len(x.positions) < 2:
        return 1.0
    signal = float(np.mean(x.q - x.p))
    near = float(np.mean(x.r - x.p))
    return min(max(near / signal, 0.0), 1.0) if signal > 0 else 0.0


def strided(x: State, step: int) -> State:
    """The same tensor, `r` of positions that lie `step` apart."""
    if step == 1 or x.r is x.p:
        return x
    return replace(x, r=x.p + likeness(x) ** (step - 1) * (x.r - x.p))


def within(x: State, matrices: Sequence[Array]) -> State:
    """The same tensor, `r` the mean over all pairs of positions in the windows of `matrices`."""
    alike = likeness(x)
    sizes = [int(np.max(np.count_nonzero(matrix, axis=1))) for matrix in matrices]
    count = prod(sizes)
    if count == 1 or not 0 < alike < 1:
        return x
    places = [np.arange(size) for size in sizes]
    means = [np.mean(alike ** np.abs(np.subtract.outer(place, place))) for place in places]
    pairs = (prod(means) - 1 / count) / (1 - 1 / count)
    return replace(x, r=x.p + pairs / alike * (x.r - x.p))


def along(matrices: Sequence[Array], values: Array, positions: tuple[int, ...]) -> Array:
    """Apply one matrix an axis to a map, `(outputs...)`."""
    result = np.broadcast_to(values, positions)
    for axis, matrix in enumerate(matrices):
        result = np.moveaxis(np.tensordot(matrix, result, axes=(1, axis)), 0, axis)
    return result


def resampled(x: State, matrices: Sequence[Array], kernel: Array | None = None) -> State:
    """`y_o = sum_i A_oi x_i` with known `A`, one matrix an axis.

    `mu' = A mu`, `q' = (A o A) (q - r) + (A 1) A r`, `p' = (A 1) A p`, and `r'` with the inputs
    that neighbours share; backward alike with the transpose of `A`.

    Args:
        x: What is resampled.
        matrices: `(outputs, inputs)` for each axis of positions.
        kernel: The filter that this is at every position, where it is one.

    Returns:
        The state.
    """
    forward = _Square(matrices, x.positions)
    shape = (*forward.outputs, x.units)
    backward = _Square([matrix.T for matrix in matrices], shape[:-1])
    q, r = forward.moments(x.q, x.r)
    p = r if x.r is x.p and forward.disjoint else forward.pairs(x.p)
    parts = None
    if kernel is not None:
        parts = filtered(parts_of(x), lambda held: _convolved(held, kernel))

    def pull(gradient: Gradient) -> tuple[Gradient]:
        g, near = backward.moments(gradient.g, gradient.r)
        if kernel is None:
            return (gradient.changed(g, near),)
        held = gradient.parts or {gradient.key: (np.ones((1,) * len(shape[:-1])), gradient)}
        flipped = np.flip(kernel)
        return (gradient.changed(g, near, parts=filtered(held, lambda k: _convolved(k, flipped))),)

    return state(
        shape,
        q,
        p,
        r,
        along(matrices, x.mu, x.positions),
        m=x.m * forward.mean**2,
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        parts=parts,
        reason=x.reason,
        pull=pull,
    )


class _Square:
    """What a linear map does to second moments."""

    def __init__(self, matrices: Sequence[Array], positions: tuple[int, ...]) -> None:
        self._matrices = matrices
        self._positions = positions
        self._squares = [matrix**2 for matrix in matrices]
        self._total = along(matrices, np.ones(()), positions)
        self.mean = float(self._total.mean())
        self.outputs = tuple(len(matrix) for matrix in matrices)
        shared = [_shared(matrix) for matrix in matrices]
        self._near = [
            [*self._squares[:axis], both, *self._squares[axis + 1 :]]
            for axis, both in enumerate(shared)
            if len(both) > 1
        ]
        self.disjoint = not any(both.any() for both in shared)

    def moments(self, own: Array, near: Array) -> tuple[Array, Array]:
        """Second moment of each output, and cross moment of neighbouring ones."""
        pairs, rest = self.pairs(near), own - near
        squares = pairs + along(self._squares, rest, self._positions)
        if not self.disjoint:
            both = [along(matrices, rest, self._positions) for matrices in self._near]
            pairs = pairs + sum(both) / len(both)
        return squares, pairs

    def pairs(self, near: Array) -> Array:
        """Cross moment of outputs that share no input."""
        return self._total * along(self._matrices, near, self._positions)


def _shared(matrix: Array) -> Array:
    """Products of what an output and its neighbours see, the mean over the neighbours."""
    both = np.zeros_like(matrix)
    both[1:] += matrix[:-1]
    both[:-1] += matrix[1:]
    if len(matrix) > 2:
        both[1:-1] /= 2
    return matrix * both


def _convolved(a: Array, b: Array) -> Array:
    """The filter of two filters in turn, `(n + m - 1)` an axis."""
    size = tuple(n + m - 1 for n, m in zip(a.shape, b.shape, strict=True))
    result = np.zeros(size)
    for index in np.ndindex(*a.shape):
        region = tuple(slice(i, i + m) for i, m in zip(index, b.shape, strict=True))
        result[region] += a[index] * b
    return result
