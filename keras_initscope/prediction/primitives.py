"""The few moves of one tensor that layers are made of: weighting, activating, scaling, shifting.

Owns how moments and gradients pass through them. Each returns a state that knows the way back.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from keras_initscope.prediction.expectations import of_gaussian, of_pair
from keras_initscope.prediction.state import (
    Array,
    Gradient,
    State,
    filtered,
    parts_of,
    same_moments,
    state,
)
from keras_initscope.theory.callables import from_callable
from keras_initscope.theory.moments import moment
from keras_initscope.theory.nonlinearity import Nonlinearity

_BROAD = 0.3  # relative spread of variances beyond which units are taken group by group
_GROUPS = 24
_SMALL = 1e-4
_STEP = 0.02  # relative, of a variance, to see how a moment changes with it


def fresh(x: State, shape: tuple[int, ...], maps: tuple[Array, Array, Array], **more: Any) -> State:
    """What zero-mean weights that nothing else has used make of `x`: Gaussian, of mean 0.

    Args:
        x: What is weighted.
        shape: Shape of the result.
        maps: `q`, `p` and `r` of the result.
        **more: `pull` and other fields.

    Returns:
        A state whose only source is these weights.
    """
    noise = x.noise + np.log1p(5 / shape[-1]) + np.log1p(unevenness(x))
    scatter = x.scatter + np.log1p(
        2 / shape[-1]
    )  # of the mean square of Gaussians; see `activated`
    more.setdefault("parents", (x,))
    return state(shape, *maps, noise=noise, scatter=scatter, reason=x.reason, **more)


def unevenness(x: State) -> float:
    """Relative variance of `|x|^2` of a vector of inputs: what makes weighted sums no Gaussians.

    Given the input, a sum with Gaussian weights has the variance `|x|^2 E w^2`, and theory takes
    its mean. That variance is `2/n` for `n` Gaussian inputs, and measured of a batch; what weights
    have made of it is counted by the width of their layer.
    """
    if not x.raw:
        return 0.0
    if x.values is None:
        return 2 / x.units
    squares = np.mean(np.square(x.values), axis=-1)
    mean = float(np.mean(squares))
    return float(np.var(squares)) / mean**2 if mean > 0 else 0.0


def weighted_gradient(
    gradient: Gradient, g: Array, r: Array, width: int, weights: object
) -> Gradient:
    """A gradient that passed fresh weights backward, to `width` units; `weights` is their source.

    What they make independent are the gradients of different units. Where the same weights are met
    a second time, as in a layer that is shared, they do not.
    """
    noise = gradient.noise + np.log1p(5 / width)
    return Gradient(g, r, frozenset([weights]), noise, gradient.drift, reason=gradient.reason)


def with_bias(x: State, square: float, mean: float) -> State:
    """`x + b` for biases of a mean square and a mean, the same for all examples and positions.

    `q + E b^2 + 2 mu E b`, and `p`, `r` alike.
    """
    if square == 0:
        return x
    added = square + 2 * x.mu * mean
    m = x.m + float(np.mean(added))
    return replace(x, q=x.q + added, p=x.p + added, r=x.r + added, mu=x.mu + mean, m=m)


def activated(x: State, phi: Nonlinearity) -> State:
    """`f(x)` for Gaussian `x`; for any other the Gaussian of the same mean and variance stands in.

    `E f(x)^2`, `E f(x_a) f(x_b)`, `E f(x)`; backward `g E f'(x)^2` (Schoenholz et al., 2017).
    """
    if phi.name == "linear":
        return replace(x, received=x)
    if x.through is None and broad(x.variances):
        return _group_by_group(x, phi)
    whole, base = (phi, x) if x.through is None else (composed(phi, x.through[0]), x.through[1])
    variance, mean = np.maximum(base.q - base.mu**2, 0.0), base.mu

    def pair(moment: Array) -> Array:
        return of_pair(whole, variance, moment - base.mu**2, mean)

    p = pair(base.p)
    spread = float(np.mean(variance)), float(np.mean(mean))
    excess = max(kurtosis(whole, *spread) - 3, 0.0) / x.units
    return state(
        x.shape,
        of_gaussian("square", whole, variance, mean),
        p,
        p if base.r is base.p else pair(base.r),
        of_gaussian("mean", whole, variance, mean),
        m=_pair_anywhere(whole, base),
        sources=x.sources,
        noise=x.noise,
        scatter=elasticity("square", whole, *spread) ** 2 * base.scatter + np.log1p(excess),
        parents=(x,),
        received=x,
        through=(whole, base),
        reason=x.reason,
        pull=lambda gradient: (_through_slope(gradient, x, phi, whole, base),),
    )


def elasticity(name: str, phi: Nonlinearity, variance: float, mean: float) -> float:
    """`d log E f(z)^2 / d log E z^2`, or with `"slope"` that of `E f'(z)^2`, at a fixed mean.

    A deviation of the signal grows by this factor: 1 where the activation has no scale of its own,
    above 1 for GELU at its usual variances.
    """
    if variance <= 0 or (phi.is_scale_invariant and mean == 0):
        return 1.0 if name == "square" else 0.0
    around = variance * np.array([1 - _STEP, 1 + _STEP])
    low, high = of_gaussian(name, phi, around, np.full(2, mean))
    change = float(np.log1p(2 * _STEP * variance / (variance * (1 - _STEP) + mean**2)))
    if not (low > 0 and high > 0):
        return 1.0 if name == "square" else 0.0
    return float(np.log(high / low)) / change


def kurtosis(phi: Nonlinearity, variance: float, mean: float, centre: float = 0.0) -> float:
    """`E (f - c)^4 / (E (f - c)^2)^2`: what the mean square of `n` units scatters by, times `n`."""
    if phi.spread is not None:
        return 6.0  # that of a rectifier, whose random slopes are not known one by one
    second = float(moment(phi, lambda z: (phi.f(z) - centre) ** 2, variance, mean))
    fourth = float(moment(phi, lambda z: (phi.f(z) - centre) ** 4, variance, mean))
    return fourth / second**2 if second > 0 else 3.0


def broad(variances: Array | None, chance: float = 0.0) -> bool:
    """Whether units differ so much that one Gaussian cannot stand in for all of them."""
    if variances is None or not (mean := float(np.mean(variances))) > 0:
        return False
    return float(np.std(variances)) / mean > _BROAD + chance


def _group_by_group(x: State, phi: Nonlinearity) -> State:
    """`f(x)` where units have variances of their own: the mean over groups of like units."""
    assert x.variances is not None
    mean = float(np.mean(x.variances))
    groups = _groups(x.variances / mean)
    shares = [len(group) / x.units for group in groups]
    made = [activated(_of_variance(x, float(np.mean(x.variances[g])) / mean), phi) for g in groups]
    variances = np.empty(x.units)
    for group, each in zip(groups, made, strict=True):
        variances[group] = float(np.mean(each.q)) - each.m

    def averaged(name: str) -> Array:
        found = zip(shares, made, strict=True)
        return np.asarray(sum(share * getattr(each, name) for share, each in found))

    def pull(gradient: Gradient) -> tuple[Gradient]:
        units = np.ones(x.units) if gradient.units is None else gradient.units
        slopes = np.empty(x.units)
        parts = []
        for group, each in zip(groups, made, strict=True):
            assert each.pull is not None
            (back,) = each.pull(gradient)
            assert back is not None
            weight = float(units[group].sum()) / x.units
            parts.append((weight * back.g, weight * back.r))
            slopes[group] = float(np.mean(back.g)) * units[group]
        g, r = (np.asarray(sum(part)) for part in zip(*parts, strict=True))
        total = float(slopes.mean())
        return (gradient.changed(g, r, units=slopes / total if total > 0 else None),)

    moments = (averaged(name) for name in ("q", "p", "r", "mu"))
    return state(
        x.shape,
        *moments,
        m=float(averaged("m")),
        sources=x.sources,
        noise=x.noise,
        scatter=float(sum(share * each.scatter for share, each in zip(shares, made, strict=True))),
        parents=(x,),
        received=x,
        variances=variances,
        reason=x.reason,
        pull=pull,
    )


def _groups(shares: Array) -> list[Any]:
    """Indices of units whose variances are alike to a factor; the smallest count for nothing."""
    logs = np.log(np.maximum(shares, _SMALL))
    steps = np.linspace(logs.min(), logs.max(), _GROUPS + 1)[1:-1]
    where = np.digitize(logs, steps)
    return [np.flatnonzero(where == each) for each in np.unique(where)]


def _of_variance(x: State, factor: float) -> State:
    """Units whose deviations are the others' times a factor."""
    square = x.mu**2
    q, p, r = (square + factor * (moment - square) for moment in (x.q, x.p, x.r))
    middle = float(np.mean(square))
    return state(
        x.shape,
        q,
        p,
        p if x.r is x.p else r,
        x.mu,
        m=middle + factor * (x.m - middle),
        sources=x.sources,
        scatter=x.scatter,
        reason=x.reason,
    )


def _pair_anywhere(phi: Nonlinearity, x: State) -> float:
    """`m` of `f(x)`: of two Gaussians of the mean variance."""
    mean = np.asarray(np.mean(x.mu))
    variance = np.maximum(np.mean(x.q) - mean**2, 0.0)
    return float(of_pair(phi, np.asarray(variance), np.asarray(x.m - mean**2), mean))


def _through_slope(
    gradient: Gradient, x: State, phi: Nonlinearity, whole: Nonlinearity, base: State
) -> Gradient:
    def slope(function: Nonlinearity, of: State) -> Array:
        return of_gaussian("slope", function, np.maximum(of.q - of.mu**2, 0.0), of.mu)

    spread = float(np.mean(x.q - x.mu**2)), float(np.mean(x.mu))
    drift = gradient.drift + abs(elasticity("slope", phi, *spread)) * float(np.sqrt(x.scatter))
    if x is base:
        here = slope(phi, x) if gradient.slope is None else gradient.slope
        near = here
        if np.any(gradient.r):
            variance = np.maximum(x.q - x.mu**2, 0.0)
            near = of_pair(phi, variance, x.r - x.mu**2, x.mu, slopes=True)
        return gradient.changed(gradient.g * here, gradient.r * near, drift=drift)
    total = slope(whole, base) if gradient.slope is None else gradient.slope
    own = slope(phi, x)  # x is not Gaussian: this step alone is an estimate, the product is not
    rest = np.divide(total, own, out=np.zeros(np.broadcast(total, own).shape), where=own > 0)
    return gradient.times(own, slope=rest, drift=drift)


@lru_cache(maxsize=512)
def composed(outer: Nonlinearity, inner: Nonlinearity) -> Nonlinearity:
    """`outer(inner(x))` as one nonlinearity, its kinks found."""
    if outer.spread is not None or inner.spread is not None:
        raise ValueError(f"Random slopes cannot be composed: {outer.name} after {inner.name}.")
    return from_callable(lambda x: outer.f(inner.f(x)), f"{outer.name} of {inner.name}")


@lru_cache(maxsize=512)
def line(factor: float, shift: float = 0.0) -> Nonlinearity:
    """`factor x + shift`."""
    return Nonlinearity(
        name=f"{factor:g} x + {shift:g}",
        f=lambda x: factor * x + shift,
        df=lambda x: np.full_like(x, factor),
    )


@lru_cache(maxsize=512)
def scaled_after(factor: float, phi: Nonlinearity) -> Nonlinearity:
    """`factor f(x)`."""
    spread, slopes = phi.spread, phi.slope_spread
    return replace(
        phi,
        name=f"{factor:g} {phi.name}",
        f=lambda x: factor * phi.f(x),
        df=lambda x: factor * phi.df(x),
        spread=None if spread is None else lambda x: factor**2 * spread(x),
        slope_spread=None if slopes is None else lambda x: factor**2 * slopes(x),
    )


def scaled(x: State, factor: float) -> State:
    """`factor x` for a number: `factor^2 q`, and a gradient `factor^2 g`."""
    if factor == 1:
        return same_moments(
            x,
            variances=x.variances,
            parents=(x,),
            pull=lambda gradient: (gradient,),
            parts=parts_of(x),
        )
    square = factor**2
    through = None
    if x.through is not None:
        through = (scaled_after(factor, x.through[0]), x.through[1])
    return same_moments(
        x,
        q=square * x.q,
        p=square * x.p,
        r=square * x.r,
        mu=factor * x.mu,
        m=square * x.m,
        variances=None if x.variances is None else square * x.variances,
        parents=(x,),
        through=through,
        parts=filtered(parts_of(x), lambda kernel: factor * kernel),
        pull=lambda gradient: (scaled_gradient(gradient, factor),),
    )


def scaled_gradient(gradient: Gradient, factor: float) -> Gradient:
    """A gradient times a number."""
    parts = filtered(gradient_parts(gradient), lambda kernel: factor * kernel)
    return gradient.times(factor**2, parts=parts)


def gradient_parts(gradient: Gradient) -> Any:
    """The independent gradients that one is a linear combination of, like `parts_of`."""
    if gradient.parts is not None:
        return gradient.parts
    return {gradient.key: (np.ones((1,) * gradient.g.ndim), gradient)}


def shifted(x: State, mean: Any, square: Any) -> State:
    """`x + c` for known numbers `c`, given their mean and mean square over units."""
    if np.ndim(square) == 0 and np.isclose(square, mean**2) and square != 0:
        through = (line(1.0, float(mean)), x) if x.through is None else None
        if x.through is not None:
            through = (composed(line(1.0, float(mean)), x.through[0]), x.through[1])
    else:
        through = None
    added = square + 2 * x.mu * mean
    return same_moments(
        x,
        q=x.q + added,
        p=x.p + added,
        r=x.r + added,
        mu=x.mu + mean,
        m=x.m + float(np.mean(added)),
        variances=x.variances,
        parents=(x,),
        through=through,
        parts=None,
        pull=lambda gradient: (gradient,),
    )
