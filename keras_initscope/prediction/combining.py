"""Sums and products of tensors, which may depend on each other.

Owns the cross terms: zero or known where two tensors share no weights or are linear in the same
tensor, unknown else.
"""

from __future__ import annotations

import numpy as np

from keras_initscope.prediction.primitives import scaled_gradient
from keras_initscope.prediction.state import (
    Array,
    Gradient,
    State,
    Unknown,
    added,
    independent,
    joined,
    overlap,
    parts_of,
    state,
)


def summed(terms: list[State], signs: list[float] | None = None) -> State | Unknown:
    """A sum of states: second moments add, cross terms by what the states share.

    `q = sum_i q_i + sum_{i != j} E x_i x_j`; without a common source `E x_i x_j = mu_i mu_j`.
    States that are linear in a common state, as `x + x` or `x + pool(x)`, have the cross term
    of their filters. Anything else is unknown.
    """
    signs = signs or [1.0] * len(terms)
    shape = tuple(int(n) for n in np.broadcast_shapes(*(term.shape for term in terms)))
    signed = list(zip(signs, terms, strict=True))
    totals = [sum(s * s * getattr(t, name) for s, t in signed) for name in ("q", "p", "r", "m")]
    for i, (first, a) in enumerate(signed):
        for second, b in signed[i + 1 :]:
            cross = cross_terms(a, b)
            if cross is None:
                return Unknown("it adds tensors that depend on each other", shape, tuple(terms))
            totals = [
                total + 2 * first * second * each for total, each in zip(totals, cross, strict=True)
            ]
    parts: dict[object, tuple[Array, State]] = {}
    for sign, term in signed:
        for key, (kernel, part) in parts_of(term).items():
            held = parts.get(key)
            parts[key] = (sign * kernel if held is None else added(held[0], sign * kernel), part)
    return state(
        shape,
        totals[0],
        totals[1],
        totals[2],
        sum(s * t.mu for s, t in signed),
        m=float(np.mean(totals[3])),
        sources=joined(*(t.sources for t in terms)),
        noise=_of_shares(terms, "noise"),
        scatter=_of_shares(terms, "scatter"),
        parents=tuple(terms),
        parts=parts,
        reason=next((t.reason for t in terms if t.reason), ""),
        pull=lambda gradient: tuple(
            unbroadcast(scaled_gradient(gradient, s) if s != 1 else gradient, t, shape)
            for s, t in signed
        ),
    )


def _of_shares(terms: list[State], name: str) -> float:
    """That of the branches, weighted with their share of the sum."""
    weights = np.array([float(np.mean(t.q)) for t in terms])
    noises = np.array([getattr(t, name) for t in terms])
    total = weights.sum()
    return float(weights @ noises / total) if total > 0 else float(noises.max())


def cross_terms(a: State, b: State) -> tuple[Array, Array, Array, Array] | None:
    """`E a b` as `q`, `p`, `r` and `m` are of one tensor; `None` where it is not known."""
    if independent(a, b):
        product = a.mu * b.mu
        return product, product, product, product
    totals = [np.zeros(()), np.zeros(()), np.zeros(()), np.zeros(())]
    for key, (left, u) in parts_of(a).items():
        for other, (right, v) in parts_of(b).items():
            if key is other or u.key is v.key:
                whole, same = left.sum() * right.sum(), overlap(left, right)
                own = same * u.q + (whole - same) * u.r
                found = [own, whole * u.p, whole * u.r, whole * np.asarray(u.m)]
            elif independent(u, v):
                found = [left.sum() * right.sum() * u.mu * v.mu] * 4
            else:
                return None
            totals = [total + each for total, each in zip(totals, found, strict=True)]
    return totals[0], totals[1], totals[2], totals[3]


def unbroadcast(gradient: Gradient, x: State, shape: tuple[int, ...]) -> Gradient:
    """The gradient of a tensor that was broadcast to `shape`: a sum over what it was spread on."""
    ours = (1,) * (len(shape) - len(x.shape)) + x.shape
    if ours == shape:
        return gradient
    g, r = (np.broadcast_to(m, shape[:-1]) for m in (gradient.g, gradient.r))
    factor, count = shape[-1] if ours[-1] == 1 else 1, 1
    for axis, (small, large) in enumerate(zip(ours[:-1], shape[:-1], strict=True)):
        if small == 1 and large > 1:
            g, r = g.sum(axis=axis, keepdims=True), r.sum(axis=axis, keepdims=True)
            count *= large
    rank = len(shape) - len(x.shape)
    g, r = (m.reshape(m.shape[rank:]) for m in (g, r))
    return gradient.changed(factor * (g + (count - 1) * r), factor * count * r)


def multiplied(a: State, b: State) -> State | Unknown:
    """A product of independent states: `q_a q_b`; `p`, `r`, `mu` alike; backward `g q_other`."""
    shape = tuple(int(n) for n in np.broadcast_shapes(a.shape, b.shape))
    if not independent(a, b):
        return Unknown("it multiplies tensors that depend on each other", shape, (a, b))
    r = [x.q if np.prod(x.positions) == 1 else x.r for x in (a, b)]  # one gate for all positions

    def pull(gradient: Gradient) -> tuple[Gradient, Gradient]:
        passed = [
            gradient.changed(gradient.g * x.q, gradient.r * near)
            for x, near in ((b, r[1]), (a, r[0]))
        ]
        return unbroadcast(passed[0], a, shape), unbroadcast(passed[1], b, shape)

    return state(
        shape,
        a.q * b.q,
        a.p * b.p,
        r[0] * r[1],
        a.mu * b.mu,
        m=a.m * b.m,
        sources=joined(a.sources, b.sources),
        noise=a.noise + b.noise,
        scatter=a.scatter + b.scatter,
        parents=(a, b),
        reason=a.reason or b.reason,
        pull=pull,
    )
