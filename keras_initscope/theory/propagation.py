"""Signal, gradient and likeness of examples, layer by layer through a deep network.

Owns the walk through depth from given inputs, where `criticality` owns what it tends to. Three
structures are known: plain layers, residual branches that add one part in `depth` each, and plain
layers with a normalization in front of every activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np

from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.moments import (
    cross_moment,
    output_mean,
    second_moment,
    slope_second_moment,
)
from keras_initscope.theory.nonlinearity import Nonlinearity

STRUCTURES = ("plain", "residual", "normalized")
#: Beyond these second moments a walk goes on as it went, for nothing new comes there, and the
#: quadrature grows with the root of them.
_LEAST, _MOST = 1e-30, 1e4
_RANGE = (1e-290, 1e290)
#: What moves by less than this part of itself in a layer rests: in 1000 layers it goes nowhere.
_REST = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Propagation:
    """What a deep network does to signals and gradients.

    Args:
        q: `(depth,)` second moments of the preactivations.
        chi: `(depth - 1,)` factors of the squared gradient on its way back over each layer.
        c: `(depth,)` correlations of two examples that are unlike at the input.
    """

    q: Array
    chi: Array
    c: Array

    @property
    def gradient(self) -> Array:
        """`(depth,)` second moments of the gradients, that of the last layer 1."""
        powers = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(self.chi[::-1], _RANGE[0])))])
        return np.exp(np.clip(powers, *np.log(_RANGE)))[::-1]


def propagation(
    phi: Nonlinearity,
    depth: int,
    weight_variance: float,
    bias_variance: float = 0.0,
    structure: str = "plain",
    correlated: bool = True,
) -> Propagation:
    """Walk through a network of wide layers, from inputs of second moment 1.

    ```
    plain       q' = w E f(z)^2 + b                chi = w E f'(z)^2        z ~ N(0, q)
    residual    q' = q + (w E f(z)^2 + b) / depth  chi = 1 + w E f'(z)^2 / depth
    normalized  q' = 1                             chi = E f'(z)^2 / Var f(z)
    ```

    Args:
        phi: The nonlinearity.
        depth: Number of layers, or of residual branches of one layer.
        weight_variance: Weight variance times fan-in, `w`.
        bias_variance: Bias variance, `b`.
        structure: One of the three.
        correlated: Whether to follow the correlations, which takes most of the time; else `nan`.

    Returns:
        The walk.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    found = propagation(nonlinearity("relu"), depth=11, weight_variance=1.0)
    assert np.isclose(found.q[-1] / found.q[0], 2.0**-10)
    assert np.isclose(found.gradient[0], 2.0**-10)
    ```
    """
    w, b = weight_variance, bias_variance
    q = w + b if structure == "plain" else 1.0
    c = (b / q if structure == "plain" else 0.0) if correlated else nan
    walk, factor = [(q, c)], 1.0
    chis: list[float] = []
    step = lru_cache(maxsize=1)(lambda q, c: _STEP[structure](phi, q, c, w, b, depth))
    for _ in range(depth - 1):
        if _LEAST < q < _MOST or not chis:
            after, likeness, chi = step(q, min(c, 1.0))
            factor = after / q if np.isfinite(after) else _MOST
            c = likeness if abs(likeness - c) > _REST * (1 - c) else c
        if abs(factor - 1) > _REST:
            q = float(np.clip(q * factor, *_RANGE))
        walk.append((q, c))
        chis.append(chi)
    qs, cs = np.array(walk).T
    return Propagation(q=qs, chi=np.nan_to_num(chis, posinf=_RANGE[1]), c=cs)


def _plain(
    phi: Nonlinearity, q: float, c: float, w: float, b: float, depth: int
) -> tuple[float, float, float]:
    after = float(w * second_moment(phi, q)) + b
    shared = w * _shared(phi, q, c) + b
    return after, shared / after if after else 1.0, float(w * slope_second_moment(phi, q))


def _residual(
    phi: Nonlinearity, q: float, c: float, w: float, b: float, depth: int
) -> tuple[float, float, float]:
    added = float(w * second_moment(phi, q)) + b
    shared = w * _shared(phi, q, c) + b
    after = q + added / depth
    chi = 1 + float(w * slope_second_moment(phi, q)) / depth
    return after, (q * c + shared / depth) / after, chi


def _normalized(
    phi: Nonlinearity, q: float, c: float, w: float, b: float, depth: int
) -> tuple[float, float, float]:
    mean = float(output_mean(phi))
    variance = float(second_moment(phi)) - mean**2
    shared = _shared(phi, 1.0, c) - mean**2
    return 1.0, shared / variance, float(slope_second_moment(phi)) / variance


def _shared(phi: Nonlinearity, q: float, c: float) -> float:
    return nan if c != c else float(cross_moment(phi, q, q * c))


_STEP = {"plain": _plain, "residual": _residual, "normalized": _normalized}
