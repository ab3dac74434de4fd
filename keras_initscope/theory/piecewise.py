"""The nonlinearities that are straight between their kinks, as rows of data.

Definitions and default parameters are those of `keras.activations`, Keras 3.15, unless a row names
another source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.rows import row


def _straight(
    kinks: Sequence[float],
    slopes: Sequence[float],
    offsets: Sequence[float],
    slope_variance: float = 0.0,
    *,
    shared: bool = False,
) -> Nonlinearity:
    """`slopes[i] x + offsets[i]` between kink `i - 1` (exclusive) and kink `i` (inclusive)."""

    def f(x: Array) -> Array:
        y = slopes[0] * x + offsets[0]
        for kink, slope, offset in zip(kinks, slopes[1:], offsets[1:], strict=True):
            y = np.where(x > kink, slope * x + offset, y)
        return y

    def df(x: Array) -> Array:
        y = np.full_like(x, slopes[0])
        for kink, slope in zip(kinks, slopes[1:], strict=True):
            y = np.where(x > kink, slope, y)
        return y

    if not slope_variance:
        return Nonlinearity(name="", f=f, df=df, kinks=tuple(kinks))
    return Nonlinearity(
        name="",
        f=f,
        df=df,
        kinks=tuple(kinks),
        spread=lambda x: slope_variance * np.minimum(x, 0) ** 2,
        slope_spread=lambda x: np.where(x < 0, slope_variance, 0.0),
        shares_spread=shared,
    )


@row
def linear() -> Nonlinearity:
    """The identity."""
    return _straight([], [1.0], [0.0])


@row
def relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Nonlinearity:
    """`x` above the threshold, `negative_slope (x - threshold)` below, at most `max_value`."""
    below = (negative_slope, -negative_slope * threshold)
    if max_value is None:
        pieces = [(threshold, 1.0, 0.0)]
    elif max_value <= threshold:
        pieces = [(threshold, 0.0, max_value)]
    else:
        pieces = [(threshold, 1.0, 0.0), (max_value, 0.0, max_value)]
    kinks, slopes, offsets = zip(*pieces, strict=True)
    return _straight(kinks, [below[0], *slopes], [below[1], *offsets])


@row
def relu6() -> Nonlinearity:
    """`min(max(x, 0), 6)`."""
    return _straight([0.0, 6.0], [0.0, 1.0, 0.0], [0.0, 0.0, 6.0])


@row
def leaky_relu(negative_slope: float = 0.2) -> Nonlinearity:
    """`x` above zero, `negative_slope x` below."""
    return _straight([0.0], [negative_slope, 1.0], [0.0, 0.0])


@row
def prelu(negative_slope: float = 0.0, variance: float = 0.0) -> Nonlinearity:
    """`a x` below zero with learnt slopes `a`, one a unit (He et al., 2015, eq. 1).

    Takes the mean of the slopes and their variance over the units.
    """
    return _straight([0.0], [negative_slope, 1.0], [0.0, 0.0], variance, shared=True)


@row
def rrelu(lower: float = 1 / 8, upper: float = 1 / 3) -> Nonlinearity:
    """`a x` below zero, `a ~ U(lower, upper)` drawn anew in training (Xu et al., 2015)."""
    mean, variance = (lower + upper) / 2, (upper - lower) ** 2 / 12
    return _straight([0.0], [mean, 1.0], [0.0, 0.0], variance)


@row
def threshold(threshold: float, default_value: float) -> Nonlinearity:
    """`x` above the threshold, `default_value` below: a jump."""
    return _straight([threshold], [0.0, 1.0], [default_value, 0.0])


@row
def hard_tanh() -> Nonlinearity:
    """`x` clipped to [-1, 1]."""
    return _straight([-1.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0])


@row
def hard_sigmoid() -> Nonlinearity:
    """`x/6 + 1/2` clipped to [0, 1]."""
    return _straight([-3.0, 3.0], [0.0, 1 / 6, 0.0], [0.0, 0.5, 1.0])


@row
def sparse_sigmoid() -> Nonlinearity:
    """`(x + 1)/2` clipped to [0, 1] (Blondel et al., 2019)."""
    return _straight([-1.0, 1.0], [0.0, 0.5, 0.0], [0.0, 0.5, 1.0])


@row
def soft_shrink(threshold: float = 0.5) -> Nonlinearity:
    """`x` moved towards zero by the threshold, zero where that would cross it."""
    return _straight([-threshold, threshold], [1.0, 0.0, 1.0], [threshold, 0.0, -threshold])


@row
def hard_shrink(threshold: float = 0.5) -> Nonlinearity:
    """`x` outside [-threshold, threshold], zero inside: two jumps."""
    return _straight([-threshold, threshold], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0])
