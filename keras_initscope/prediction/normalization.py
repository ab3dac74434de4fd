"""Normalizations, which set the second moment anew.

Owns BatchNormalization (in training), the normalizations within an example, and the spectral one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.affine import rescaled, times_and_plus
from keras_initscope.prediction.primitives import broad, kurtosis
from keras_initscope.prediction.state import Array, Gradient, State, same_moments, state
from keras_initscope.prediction.transfer import UnpredictableError, apply, resets, transfer
from keras_initscope.prediction.weights import (
    Weights,
    as_array,
    multiplied_by,
    sample_of,
    values_of,
    weights_of,
)

_ONE = Weights(square=1.0, mean=1.0)
_TINY = 1e-12  # as Keras keeps the length of a vector from being zero


def _affine(layer: Any, scale: str = "gamma", shift: str = "beta") -> tuple[Weights, Weights]:
    gamma = _ONE if getattr(layer, scale, None) is None else weights_of(layer, scale)
    return gamma, weights_of(layer, shift)


def _last(axis: Any, x: State) -> bool:
    """Whether an axis, or a list of one, is that of the units."""
    axes = axis if isinstance(axis, tuple | list) else [axis]
    return len(axes) == 1 and axes[0] in (-1, len(x.shape))


def standardized(
    x: State,
    centred: tuple[Array, Array, Array],
    variance: Array,
    affine: tuple[Weights, Weights],
    back: float,
    m: float | None = None,
) -> State:
    """`gamma (x - m) / s + beta`, given the centred moments `q`, `p`, `r` and `s^2`.

    Backward `g gamma^2 / s^2 back`; `back` is what the finite width does to `1 / s^2`.
    A tensor of which nothing is known leaves with `q = gamma^2 + beta^2`. The size of the signal no
    longer scatters, but a mean of `f(x)^2` over `n` units still does, by up to that of `n` squares
    of a rectified Gaussian: `(E f^4 / (E f^2)^2 - 1) / n = 5/n`.
    """
    gamma, beta = affine
    scale = gamma.square / variance
    q, p, r = (scale * moment + beta.square for moment in centred)
    q = np.where(np.isnan(q), gamma.square + beta.square, q)

    def pull(gradient: Gradient) -> tuple[Gradient]:
        return (gradient.times(scale * back, noise=gradient.deviation, drift=0.0),)

    return state(
        x.shape,
        q,
        p,
        p if centred[2] is centred[1] else r,
        np.full_like(q, beta.mean),
        m=float(np.mean(p) if m is None else np.mean(scale) * m + beta.square),
        sources=x.sources,
        noise=float(np.log1p(5 / x.units)),
        parents=(x,),
        reason=x.reason,
        pull=pull,
    )


@resets(keras.layers.BatchNormalization)
@transfer.register(keras.layers.BatchNormalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """Over examples and positions of a channel: `s^2 = mean(q - p)`, whatever is common is lost.

    Backward the squared gradient is divided by `s^2` (Yang et al., 2019, for wide networks).
    """
    if not _last(layer.axis, x):
        raise UnpredictableError(f"it normalizes axis {layer.axis}, which is not that of the units")
    if not layer.trainable:
        return _with_moving_statistics(layer, x)
    variance = np.mean(x.q) - x.m + layer.epsilon
    rest = _left(x)
    r = rest if x.r is x.p else x.r - x.p + rest
    centred = (x.q - x.p + rest, rest, r)
    made = standardized(x, centred, np.asarray(variance), _affine(layer), 1.0, 0.0)
    gamma = _ONE.square if layer.gamma is None else sample_of(layer, "gamma") ** 2
    spread = np.broadcast_to(gamma, (x.units,))
    if x.variances is not None or broad(spread):
        before = np.asarray(variance - layer.epsilon if x.variances is None else x.variances)
        made = replace(made, pull=_back_by_unit(spread, before + layer.epsilon))
    if broad(spread):
        made = replace(made, variances=spread)
    if np.isnan(made.p).any() or np.isnan(x.p).any():
        beta = _affine(layer)[1]
        lost = np.full_like(made.p, beta.square)
        return state(**{**_fields(made), "p": lost, "m": beta.square})
    return made


def _back_by_unit(gamma: Array, variances: Array) -> Callable[[Gradient], tuple[Gradient]]:
    """Every unit is divided by its own deviation: `g gamma_u^2 / s_u^2`."""
    scale = gamma / variances

    def pull(gradient: Gradient) -> tuple[Gradient]:
        passed = scale if gradient.units is None else scale * gradient.units
        factor = float(passed.mean())
        return (gradient.times(factor, units=passed / factor if factor > 0 else None),)

    return pull


def _left(x: State) -> Array:
    """What is constant at a position but not of the mean over all: `p_i - 2 E x_i m + m`.

    `E x_i m` is taken in proportion to `p_i`, so that nothing is left in the mean beyond
    `mean(p) - m`.
    """
    mean = np.mean(x.p)
    share = x.m / mean if mean > 0 else 0.0
    return np.asarray(np.maximum(x.p - 2 * share * x.p + x.m, 0.0) if mean > 0 else 0 * x.p)


def _fields(x: State) -> dict[str, Any]:
    return {
        name: getattr(x, name)
        for name in (
            "shape",
            "q",
            "p",
            "r",
            "mu",
            "m",
            "sources",
            "noise",
            "scatter",
            "parents",
            "pull",
            "reason",
        )
    }


def _with_moving_statistics(layer: Any, x: State) -> State:
    """As it was made it divides by 1; learnt statistics are those of data that nobody gave."""
    mean, variance = sample_of(layer, "moving_mean"), sample_of(layer, "moving_variance")
    if np.any(mean):
        raise UnpredictableError(
            "it is frozen with statistics of data; only measuring tells what they do to this input"
        )
    gamma, beta = _affine(layer)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if np.ptp(scale) > 1e-6 * scale.max():
        raise UnpredictableError(
            "it is frozen with a variance of its own for each unit, which theory does not know of "
            "what it receives"
        )
    return times_and_plus(
        x,
        (gamma.square * scale[0] ** 2, gamma.mean * scale[0]),
        (beta.square, beta.mean),
        gamma.mean * scale[0] * beta.mean,
    )


def _within_groups(
    x: State, positions: int, channels: int, epsilon: float, affine: tuple[Weights, Weights]
) -> State:
    """Mean and variance over `positions` places and `channels` units of one example.

    The mean `m` of a group has `E m^2 = (q + (P-1) r) / (P C) + (1 - 1/C) mu^2`.
    """
    pooled = positions > 1
    q, p, r, mu = ((np.mean(m) if pooled else m) for m in (x.q, x.p, x.r, x.mu))
    rest = (1 - 1 / channels) * mu**2
    own = (q + (positions - 1) * r if pooled else q) / (positions * channels) + rest
    pair, near = p / channels + rest, (own if pooled else r / channels + rest)
    variance = q - own + epsilon
    centred = (x.q - own, x.p - pair, (x.p - pair) if x.r is x.p and not pooled else x.r - near)
    back = _fluctuation(x, positions * channels, True)
    m = x.m - float(np.mean(pair))
    return standardized(x, centred, np.asarray(variance), affine, back, m)


def _fluctuation(x: State, n: int, centred: bool) -> float:
    """`(1 - 2/n) (1 + (k - 1)/n)`, `k` the kurtosis of the units.

    Two directions of `n` are taken out of the gradient, and `E 1/s^2` exceeds `1 / E s^2` by the
    variance of `s^2`: for Gaussian units, `k = 3`, the two make up for each other.
    """
    found = 3.0
    if x.through is not None:
        phi, base = x.through
        mean, variance = float(np.mean(base.mu)), float(np.mean(base.q - base.mu**2))
        if variance > 0 and phi.spread is None:
            found = kurtosis(phi, variance, mean, float(np.mean(x.mu)) if centred else 0.0)
    return max(1 - 2 / n, 0.0) * (1 + (found - 1) / n)


@resets(keras.layers.LayerNormalization)
@transfer.register(keras.layers.LayerNormalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """`q' = gamma^2 + beta^2`, `p' = gamma^2 (p - mu^2) / (q - mu^2) + beta^2`."""
    if getattr(layer, "rms_scaling", False):
        raise UnpredictableError("rms_scaling=True, which Keras deprecates")
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    axes = sorted(axis % (len(x.shape) + 1) for axis in axes)
    if axes[-1] != len(x.shape):
        raise UnpredictableError(f"it normalizes axes {axes}, without that of the units")
    positions = prod(x.shape[axis - 1] for axis in axes[:-1])
    return _within_groups(x, positions, x.units, layer.epsilon, _affine(layer))


@resets(keras.layers.GroupNormalization)
@transfer.register(keras.layers.GroupNormalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """As layer normalization over all positions and `C / groups` units."""
    if not _last(layer.axis, x):
        raise UnpredictableError(f"it normalizes axis {layer.axis}, which is not that of the units")
    groups = x.units if layer.groups == -1 else layer.groups
    return _within_groups(x, prod(x.positions), x.units // groups, layer.epsilon, _affine(layer))


@resets(keras.layers.RMSNormalization)
@transfer.register(keras.layers.RMSNormalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """`q' = gamma^2`, `p' = gamma^2 p / q`: nothing is subtracted."""
    if not _last(layer.axis, x):
        raise UnpredictableError(f"it normalizes axis {layer.axis}, which is not that of the units")
    affine = (_affine(layer, "scale")[0], Weights(square=0.0))
    return _rescaled(x, x.q + layer.epsilon, affine)


@resets(keras.layers.UnitNormalization)
@transfer.register(keras.layers.UnitNormalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """Each vector of units has length 1: `q' = 1/n`, `p' = p / (n q)`."""
    if not _last(layer.axis, x):
        raise UnpredictableError(f"it normalizes axis {layer.axis}, which is not that of the units")
    return _rescaled(x, x.units * x.q + _TINY, (_ONE, Weights(square=0.0)), 1 / x.units)


def _rescaled(
    x: State, square: Array, affine: tuple[Weights, Weights], unknown: float = 1.0
) -> State:
    back = _fluctuation(x, x.units, False)
    made = standardized(x, (x.q, x.p, x.r), square, affine, back, x.m)
    gamma = affine[0]
    q = np.where(np.isnan(x.q), unknown * gamma.square, made.q)
    mu = gamma.mean * x.mu / np.sqrt(square)
    return state(**{**_fields(made), "q": q, "mu": mu})


@transfer.register(keras.layers.SpectralNormalization)
def _(layer: Any, x: Any, **_: Any) -> Any:
    """The kernel is divided by its largest singular value, as far as power iteration finds it."""
    kernel = layer.kernel
    name = "embeddings" if hasattr(layer.layer, "embeddings") else "kernel"
    matrix = sample_of(layer.layer, name).reshape(-1, kernel.shape[-1])
    u = values_of(layer.vector_u)
    for _step in range(layer.power_iterations):
        v = _unit(u @ matrix.T)
        u = _unit(v @ matrix)
    sigma = float(np.squeeze(v @ matrix @ u.T))
    if sigma == 0:  # of a kernel of zeros, which Keras leaves as it is
        return apply(layer.layer, x)
    with multiplied_by(1 / sigma, kernel):
        return apply(layer.layer, x)


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), _TINY)


@transfer.register(keras.layers.Normalization)
def _(layer: Any, x: State, **_: Any) -> State:
    """`(x - mean) / sqrt(variance)` with numbers learnt from the data, or given.

    Where nothing is said of the data they are what it was adapted to: mean 0, variance 1.
    """
    mean, variance = (as_array(m)[0] for m in _learnt(layer))
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    if x.standard and not layer.invert:
        back = float(np.mean(1 / deviation**2))
        return same_moments(
            x,
            q=np.ones_like(x.q),
            p=0 * x.p,
            r=0 * x.r,
            mu=0 * x.mu,
            m=0.0,
            parents=(x,),
            parts=None,
            pull=lambda gradient: (gradient.times(back),),
        )
    return (
        rescaled(x, deviation, mean)
        if layer.invert
        else rescaled(x, 1 / deviation, -mean / deviation)
    )


def _learnt(layer: Any) -> tuple[Any, Any]:
    if getattr(layer, "mean", None) is None:
        raise UnpredictableError("it has not been adapted to data yet")
    return layer.mean, layer.variance
