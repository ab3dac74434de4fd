"""Pooling: averages by known sums, maxima by the distribution of the largest of `K`.

Owns average and max pooling: windowed, global and adaptive.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import keras
import numpy as np
from scipy.special import ndtr

from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.primitives import line
from keras_initscope.prediction.reshaping import reshaped
from keras_initscope.prediction.spatial import along, resampled, window, within
from keras_initscope.prediction.state import Array, Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer
from keras_initscope.theory.nonlinearity import Nonlinearity

_GRID = 801  # edges of the cells that the distribution within a window is cut into
_NODES, _MASSES = np.polynomial.hermite_e.hermegauss(20)
_MASSES = _MASSES / _MASSES.sum()


def averaged(x: State, matrices: list[Array], kernel: Array | None = None) -> State:
    """The mean over the positions that each window holds; see `spatial.resampled`.

    A mean over all positions keeps `m` of the constant part.
    """
    averages = [m / m.sum(axis=1, keepdims=True) for m in matrices]
    made = resampled(within(x, matrices), averages, kernel)
    if prod(made.positions) > 1:
        return made
    change = x.m - float(np.mean(x.p))
    return replace(made, q=made.q + change, p=made.p + change, r=made.r + change)


def largest(x: State, matrices: list[Array]) -> State:
    """The maximum over the positions that each window holds.

    A window holds `K` values `f(z_i)`, with Gaussian `z_i` that share the part `r` of their second
    moment. Given that part they are independent, and `P(max < y) = P(f(z) < y)^K`. The gradient
    goes to one position of the window, `g / K` in the mean, and there `f'` is what it is at the
    maximum.
    """
    phi, base = (line(1.0), x) if x.through is None else x.through
    base = within(base, matrices)
    positions = tuple(len(matrix) for matrix in matrices)
    inside = np.broadcast_to((base.q > 0) | np.isnan(base.q), x.positions).astype(float)
    count = np.maximum(along(matrices, inside, x.positions), 1.0)

    def mean(values: Array) -> Array:
        return along(matrices, inside * values, x.positions) / count

    q, p, r, mu = (mean(m) for m in (base.q, base.p, base.r, base.mu))
    rows = (count, q - mu**2, r - mu**2, p - mu**2, mu)
    found = [over_rows(lambda *row, i=i: _maximum(phi, *row)[i], *rows) for i in range(5)]
    transposed = [matrix.T for matrix in matrices]

    def pull(gradient: Gradient) -> tuple[Gradient]:
        share = gradient.g / count
        g = inside * along(transposed, share, positions)
        slopes = inside * along(transposed, share * found[4], positions)
        slope = np.divide(slopes, g, out=np.ones_like(g), where=g > 0)
        r = inside * along(transposed, gradient.r / count**2, positions)
        return (gradient.changed(g, r, slope=None if x.through is None else slope),)

    return state(
        (*positions, x.units),
        found[0],
        found[1],
        found[1] if base.r is base.p else found[2],
        found[3],
        m=_anywhere(phi, base, float(count.mean())),
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        reason=x.reason,
        pull=pull,
    )


def _anywhere(phi: Nonlinearity, x: State, count: float) -> float:
    """`m` of the maximum: of two windows of the mean variance."""
    q, r, mu = (float(np.mean(moment)) for moment in (x.q, x.r, x.mu))
    if np.isnan([q, r, mu, x.m]).any():
        return float("nan")
    return _maximum(phi, count, q - mu**2, r - mu**2, x.m - mu**2, mu)[1]


@lru_cache(maxsize=1 << 12)
def _maximum(
    phi: Nonlinearity, count: float, variance: float, near: float, pair: float, mean: float
) -> tuple[float, float, float, float, float]:
    """`q`, `p`, `r` and `mu` of the maximum, and `E f'^2` there."""
    variance, near = max(variance, 0.0), float(np.clip(near, 0.0, max(variance, 0.0)))
    pair = float(np.clip(pair, 0.0, near))
    own, shared, common = np.sqrt([variance - near, near - pair, pair])
    edges = np.linspace(-8, 8, _GRID)
    masses, z = np.diff(ndtr(edges)), (edges[1:] + edges[:-1]) / 2
    around = mean + common * _NODES[:, None, None] + shared * _NODES[None, :, None] + own * z
    first, square, slope = _over_maximum(phi, around, masses, count)
    inner = first @ _MASSES
    return (
        float(_MASSES @ square @ _MASSES),
        float(_MASSES @ inner**2),
        float(_MASSES @ first**2 @ _MASSES),
        float(_MASSES @ inner),
        float(_MASSES @ slope @ _MASSES),
    )


def _over_maximum(
    phi: Nonlinearity, z: Array, masses: Array, count: float
) -> tuple[Array, Array, Array]:
    """Means of the largest of `count` values, of its square and of the squared slope there."""
    values, slopes = phi.f(z), phi.df(z) ** 2
    masses = np.broadcast_to(masses, values.shape)
    order = np.argsort(values, axis=-1, kind="stable")
    values, slopes, masses = (np.take_along_axis(a, order, -1) for a in (values, slopes, masses))
    reached = np.cumsum(masses, axis=-1) / masses.sum(axis=-1, keepdims=True)
    weights = np.diff(reached**count, axis=-1, prepend=0.0)
    return tuple((weights * a).sum(axis=-1) for a in (values, values**2, slopes))


def _sliding(layer: Any, x: State) -> list[Array]:
    if layer.data_format != "channels_last":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")
    rank = len(x.positions)
    strides = layer.pool_size if layer.strides is None else layer.strides
    sizes, strides = (
        v if isinstance(v, tuple) else (v,) * rank for v in (layer.pool_size, strides)
    )
    return [
        window(size, taps, stride, 1, layer.padding)
        for size, taps, stride in zip(x.positions, sizes, strides, strict=True)
    ]


def _whole(layer: Any, x: State) -> list[Array]:
    if layer.data_format != "channels_last":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")
    return [np.ones((1, size)) for size in x.positions]


def _adaptive(layer: Any, x: State) -> list[Array]:
    if layer.data_format != "channels_last":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")
    sizes = layer.output_size
    sizes = sizes if isinstance(sizes, tuple | list) else (sizes,) * len(x.positions)
    return [_cells(n, m) for n, m in zip(x.positions, sizes, strict=True)]


def _cells(inputs: int, outputs: int) -> Array:
    """Cell `o` runs from `floor(o n / m)` to `ceil((o + 1) n / m)`."""
    index = np.arange(inputs)
    starts = np.arange(outputs) * inputs // outputs
    ends = -(-(np.arange(outputs) + 1) * inputs // outputs)
    return ((index >= starts[:, None]) & (index < ends[:, None])).astype(float)


def _average(layer: Any, x: State, **_: Any) -> State:
    matrices = _sliding(layer, x)
    sizes = layer.pool_size if isinstance(layer.pool_size, tuple) else (layer.pool_size,)
    same = all(m.shape[0] == m.shape[1] for m in matrices) and all(size % 2 for size in sizes)
    sizes = tuple(sizes) * (len(x.positions) // len(sizes))
    return averaged(x, matrices, np.full(sizes, 1 / prod(sizes)) if same else None)


def _squeezed(layer: Any, x: State) -> State:
    return x if layer.keepdims else reshaped(x, (x.units,))


def _global_average(layer: Any, x: State, mask: Any = None, **_: Any) -> State:
    if _is_chained(x):
        raise UnpredictableError(
            "it averages positions that depend on each other over any distance (the steps of a "
            "recurrent layer, or a batch whose neighbours are alike), and theory follows neighbours"
        )
    return _squeezed(layer, averaged(x, _whole(layer, x)))


def _is_chained(x: State) -> bool:
    """Whether likeness over any distance came in on the way, where there were positions."""
    seen: set[object] = set()
    stack = [x]
    while stack:
        held = stack.pop()
        if held.key in seen or prod(held.positions) == 1:
            continue
        if held.chained:
            return True
        seen.add(held.key)
        stack.extend(parent for parent in held.parents if isinstance(parent, State))
    return False


def _global_max(layer: Any, x: State, **_: Any) -> State:
    return _squeezed(layer, largest(x, _whole(layer, x)))


_RULES = {
    "AveragePooling{}D": _average,
    "MaxPooling{}D": lambda layer, x, **_: largest(x, _sliding(layer, x)),
    "GlobalAveragePooling{}D": _global_average,
    "GlobalMaxPooling{}D": _global_max,
    "AdaptiveAveragePooling{}D": lambda layer, x, **_: averaged(x, _adaptive(layer, x)),
    "AdaptiveMaxPooling{}D": lambda layer, x, **_: largest(x, _adaptive(layer, x)),
}
for _name, _rule in _RULES.items():
    for _rank in (1, 2, 3):
        transfer.register(getattr(keras.layers, _name.format(_rank)), _rule)
