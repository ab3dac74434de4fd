"""Layers with several inputs.

Owns Add, Subtract, Average, Multiply, Concatenate, Maximum, Minimum and Dot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from scipy.special import ndtr

from keras_initscope.prediction.combining import multiplied, summed
from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.primitives import scaled
from keras_initscope.prediction.state import (
    Array,
    Gradient,
    State,
    Unknown,
    independent,
    joined,
    state,
)
from keras_initscope.prediction.transfer import UnpredictableError, transfer

_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(24)
_MASSES = _MASSES / _MASSES.sum()


@transfer.register(keras.layers.Add)
def _(layer: Any, inputs: list[State], **_: Any) -> State | Unknown:
    return summed(list(inputs))


@transfer.register(keras.layers.Subtract)
def _(layer: Any, inputs: list[State], **_: Any) -> State | Unknown:
    return summed(list(inputs), [1.0, -1.0])


@transfer.register(keras.layers.Average)
def _(layer: Any, inputs: list[State], **_: Any) -> State | Unknown:
    total = summed(list(inputs))
    return total if isinstance(total, Unknown) else scaled(total, 1 / len(inputs))


@transfer.register(keras.layers.Multiply)
def _(layer: Any, inputs: list[State], **_: Any) -> State | Unknown:
    product: State | Unknown = inputs[0]
    for x in inputs[1:]:
        product = multiplied(product, x) if isinstance(product, State) else product
    return product


@transfer.register(keras.layers.Concatenate)
def _(layer: Any, inputs: list[State], **_: Any) -> State:
    return concatenated(list(inputs), layer.axis)


def concatenated(inputs: list[State], axis: int) -> State:
    """Side by side: over units the size-weighted mean, over positions one map after another."""
    axis = axis if axis < 0 else axis - len(inputs[0].shape) - 1
    make = _beside if axis == -1 else _behind
    return make(inputs, axis)


def _beside(inputs: list[State], axis: int) -> State:
    sizes = np.array([x.units for x in inputs], dtype=float)
    shares = sizes / sizes.sum()

    def mean(name: str) -> Array:
        return np.asarray(sum(s * getattr(x, name) for s, x in zip(shares, inputs, strict=True)))

    edges = np.cumsum([0, *(x.units for x in inputs)])
    made = _side_by_side(
        inputs,
        (*inputs[0].positions, int(edges[-1])),
        [mean(name) for name in ("q", "p", "r", "mu", "m")],
        lambda gradient: tuple(
            _piece(gradient, slice(start, end)) for start, end in pairwise(edges.tolist())
        ),
    )
    return replace(made, variances=np.concatenate([_variances(x) for x in inputs]))


def _variances(x: State) -> Array:
    return np.full(x.units, float(np.mean(x.q)) - x.m) if x.variances is None else x.variances


def _piece(gradient: Gradient, where: slice) -> Gradient:
    """That of some of the units: fresh weights make it independent of other units'."""
    sources = gradient.sources
    own = None if sources is None else frozenset((source, where.start) for source in sources)
    if gradient.units is None:
        return gradient.changed(gradient.g, gradient.r, slope=gradient.slope, sources=own)
    units = gradient.units[where]
    share = float(units.mean())
    relative = units / share if share > 0 else None
    return gradient.times(share, slope=gradient.slope, sources=own, units=relative)


def _behind(inputs: list[State], axis: int) -> State:
    place = len(inputs[0].shape) + axis
    edges = np.cumsum([0, *(x.shape[place] for x in inputs)])
    maps = [np.concatenate([x.maps()[i] for x in inputs], axis=place) for i in range(4)]
    shares = np.diff(edges) / edges[-1]
    means = np.array([float(np.mean(x.mu)) for x in inputs])
    alike = np.array([x.m for x in inputs]) - means**2
    maps.append(np.asarray(shares**2 @ alike + (shares @ means) ** 2))
    shape = (*inputs[0].shape[:place], int(edges[-1]), *inputs[0].shape[place + 1 :])

    def pull(gradient: Gradient) -> tuple[Gradient, ...]:
        whole = (np.broadcast_to(m, shape[:-1]) for m in (gradient.g, gradient.r))
        pieces = (np.split(m, edges[1:-1], axis=place) for m in whole)
        return tuple(gradient.changed(g, r) for g, r in zip(*pieces, strict=True))

    return _side_by_side(inputs, shape, maps, pull)


def _side_by_side(
    inputs: list[State], shape: tuple[int, ...], maps: list[Array], pull: Callable[..., Any]
) -> State:
    same = all(x.r is x.p for x in inputs)
    q, p, r, mu, m = maps
    return state(
        shape,
        q,
        p,
        p if same else r,
        mu,
        m=float(m),
        sources=joined(*(x.sources for x in inputs)),
        noise=float(np.mean([x.noise for x in inputs])),
        scatter=float(np.mean([x.scatter for x in inputs])),
        parents=tuple(inputs),
        reason=next((x.reason for x in inputs if x.reason), ""),
        pull=pull,
    )


@transfer.register(keras.layers.Maximum)
def _(layer: Any, inputs: list[State], **_: Any) -> State:
    return _greatest(list(inputs), 1.0)


@transfer.register(keras.layers.Minimum)
def _(layer: Any, inputs: list[State], **_: Any) -> State:
    return _greatest(list(inputs), -1.0)


def _greatest(inputs: list[State], sign: float) -> State:
    """Of two independent tensors, each taken as Gaussian (Clark, 1961, eqs. 2 to 5).

    Backward, the gradient goes to the greater one, with the probability that it is.
    """
    if len(inputs) != 2 or not independent(*inputs):
        raise UnpredictableError("the greatest of more than two tensors, or of dependent ones")
    if inputs[0].shape != inputs[1].shape:
        raise UnpredictableError("the greatest of tensors of different shapes")
    a, b = inputs
    moments = [x.q - x.mu**2 for x in inputs]
    rows = (*moments, a.p - a.mu**2, b.p - b.mu**2, sign * a.mu, sign * b.mu)
    near = (*moments, a.r - a.mu**2, b.r - b.mu**2, sign * a.mu, sign * b.mu)
    mean, square, chance = (
        over_rows(lambda u, v, _c, _d, m, n, i=i: _clark(u, v, m, n)[i], *rows) for i in range(3)
    )
    p = over_rows(_clark_pair, *rows)
    return state(
        a.shape,
        square,
        p,
        p if a.r is a.p and b.r is b.p else over_rows(_clark_pair, *near),
        sign * mean,
        sources=joined(a.sources, b.sources),
        noise=max(a.noise, b.noise),
        scatter=max(a.scatter, b.scatter),
        parents=(a, b),
        pull=lambda gradient: (
            gradient.times(chance),
            gradient.times(1 - chance),
        ),
    )


def _clark(u: Any, v: Any, m: Any, n: Any) -> tuple[Any, Any, Any]:
    """Mean and second moment of the greater of `N(m, u)`, `N(n, v)`; the chance of the first."""
    theta = np.sqrt(np.maximum(u + v, 1e-300))
    alpha = (m - n) / theta
    density = np.exp(-(alpha**2) / 2) / np.sqrt(2 * np.pi)
    chance = ndtr(alpha)
    mean = m * chance + n * (1 - chance) + theta * density
    square = (m * m + u) * chance + (n * n + v) * (1 - chance) + (m + n) * theta * density
    return mean, square, chance


def _clark_pair(u: float, v: float, c: float, d: float, m: float, n: float) -> float:
    """`E max_a max_b`: given what two examples share, they are independent."""
    c, d = float(np.clip(c, 0, u)), float(np.clip(d, 0, v))
    first, second = m + np.sqrt(c) * _NODES[:, None], n + np.sqrt(d) * _NODES[None, :]
    mean = _clark(u - c, v - d, first, second)[0]
    return float(_MASSES @ mean**2 @ _MASSES)


@transfer.register(keras.layers.Dot)
def _(layer: Any, inputs: list[State], **_: Any) -> State:
    """`sum_k x_k y_k` over the units of independent tensors: `q' = n q_x q_y` around `n mu mu`."""
    a, b = inputs
    axes = layer.axes if isinstance(layer.axes, tuple | list) else (layer.axes,) * 2
    last = [axis % (len(x.shape) + 1) == len(x.shape) for axis, x in zip(axes, inputs, strict=True)]
    if len(a.shape) != 1 or len(b.shape) != 1 or not all(last) or layer.normalize:
        raise UnpredictableError("only the inner product of two vectors is known, not normalized")
    if not independent(a, b):
        raise UnpredictableError("it multiplies tensors that depend on each other")
    n, mean = a.units, a.units * a.mu * b.mu

    def cross(name: str) -> Array:
        own = getattr(a, name) * getattr(b, name)
        return np.asarray(n * (own - a.mu**2 * b.mu**2) + mean**2)

    return state(
        (1,),
        cross("q"),
        cross("p"),
        None,
        mean,
        sources=joined(a.sources, b.sources),
        noise=a.noise + b.noise + np.log1p(5 / n),
        scatter=a.scatter + b.scatter + np.log1p(5 / n),
        parents=(a, b),
        pull=lambda gradient: (
            gradient.times(b.q),
            gradient.times(a.q),
        ),
    )
