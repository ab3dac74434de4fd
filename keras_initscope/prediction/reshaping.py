"""Layers that move elements about: reshape, permute, pad, crop, enlarge, repeat.

Owns what becomes of maps and of the unit axis.
"""

from __future__ import annotations

from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.spatial import along, resampled
from keras_initscope.prediction.state import Array, Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer


def reshaped(x: State, shape: tuple[int, ...]) -> State:
    """Another shape for the same elements; where units and positions mix, moments are averaged."""
    forward, backward = _mover(x.shape, shape), _mover(shape, x.shape)
    positional = len(x.shape) > 1 or len(shape) == 1
    through = None
    if x.through is not None and all(m.size == 1 for m in (x.through[1].q, x.through[1].mu)):
        base = x.through[1]
        moved = {name: forward(getattr(base, name)) for name in ("q", "p", "r", "mu")}
        through = (x.through[0], state(shape, **moved, sources=base.sources))
    r = x.r if positional else x.mu**2  # different units of one example
    return state(
        shape,
        forward(x.q),
        forward(x.p),
        forward(r),
        forward(x.mu),
        **({"m": x.m} if shape[-1] == x.shape[-1] else {}),
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        raw=x.raw,
        parents=(x,),
        through=through,
        values=None if x.values is None else np.reshape(x.values, (-1, *shape)),
        reason=x.reason,
        pull=lambda gradient: (
            gradient.changed(
                backward(gradient.g),
                backward(gradient.r if positional else 0 * gradient.r),
                slope=None if gradient.slope is None else backward(gradient.slope),
            ),
        ),
    )


def _mover(source: tuple[int, ...], target: tuple[int, ...]) -> Any:
    def moved(values: Array) -> Array:
        rank = len(target) - 1
        if values.size == 1:
            return values.reshape((1,) * rank)
        if source[-1] == target[-1]:
            return np.broadcast_to(values, source[:-1]).reshape(target[:-1])
        full = np.broadcast_to(values[..., None], source)
        if prod(source) == prod(target):
            return full.reshape(target).mean(axis=-1)
        return np.full((1,) * rank, values.mean())

    return moved


def transposed(x: State, order: tuple[int, ...]) -> State:
    """Axes in another order, counted from 0 without the batch axis."""
    shape = tuple(x.shape[axis] for axis in order)
    back = tuple(int(i) for i in np.argsort(order))
    stays = order[-1] == len(order) - 1

    def moved(values: Array, axes: tuple[int, ...], full: tuple[int, ...]) -> Array:
        if stays:
            return values.transpose(axes[:-1])
        return np.broadcast_to(values[..., None], full).transpose(axes).mean(axis=-1)

    maps = [moved(m, order, x.shape) for m in (x.q, x.p, x.r if stays else x.mu**2, x.mu)]
    return state(
        shape,
        *maps,
        **({"m": x.m} if stays else {}),
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        reason=x.reason,
        pull=lambda gradient: (
            gradient.changed(
                moved(gradient.g, back, shape),
                moved(gradient.r if stays else 0 * gradient.r, back, shape),
            ),
        ),
    )


def padded(x: State, pads: list[tuple[int, int]]) -> State:
    """Zeros around the positions: their second moment is 0. Keeps what max pooling needs."""
    matrices = [
        np.pad(np.eye(size), (pad, (0, 0))) for size, pad in zip(x.positions, pads, strict=True)
    ]
    made = resampled(x, matrices)
    if x.through is None or x.through[0].f(np.zeros(1))[0] != 0:
        return made
    phi, base = x.through
    maps = [along(matrices, m, x.positions) for m in (base.q, base.p, base.r, base.mu)]
    back = [matrix.T for matrix in matrices]

    def pull(gradient: Gradient) -> tuple[Gradient]:
        g = along(back, gradient.g, made.positions)
        slope = gradient.slope
        return (
            gradient.changed(
                g,
                along(back, gradient.r, made.positions),
                slope=None if slope is None else along(back, slope, made.positions),
            ),
        )

    return state(
        made.shape,
        made.q,
        made.p,
        made.r,
        made.mu,
        m=made.m,
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        through=(phi, state(made.shape, *maps, m=base.m, sources=base.sources)),
        reason=x.reason,
        pull=pull,
    )


def cropped(x: State, cuts: list[slice]) -> State:
    """A part of the positions."""
    matrices = [np.eye(size)[cut] for size, cut in zip(x.positions, cuts, strict=True)]
    return resampled(x, matrices)


@transfer.register(keras.layers.Flatten)
def _(layer: Any, x: State, **_: Any) -> State:
    return reshaped(x, (prod(x.shape),))


@transfer.register(keras.layers.Reshape)
def _(layer: Any, x: State, **_: Any) -> State:
    return reshaped(x, tuple(layer.compute_output_shape((None, *x.shape))[1:]))


@transfer.register(keras.layers.Permute)
def _(layer: Any, x: State, **_: Any) -> State:
    return transposed(x, tuple(axis - 1 for axis in layer.dims))


@transfer.register(keras.layers.RepeatVector)
def _(layer: Any, x: State, **_: Any) -> State:
    column = reshaped(x, (1, x.units))
    made = resampled(column, [np.ones((layer.n, 1))])
    return state(**{**_fields(made), "r": made.q})  # every position is the same


def _fields(x: State) -> dict[str, Any]:
    names = (
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
    return {name: getattr(x, name) for name in names}


def _checked(layer: Any) -> None:
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")


def _pairs(value: Any) -> list[tuple[int, int]]:
    value = value if isinstance(value, tuple | list) else [value]
    value = [value] if all(isinstance(n, int) for n in value) and len(value) == 2 else value
    return [tuple(pair) for pair in value]


def _pad(layer: Any, x: State, **_: Any) -> State:
    _checked(layer)
    return padded(x, _pairs(layer.padding))


def _crop(layer: Any, x: State, **_: Any) -> State:
    _checked(layer)
    pairs = zip(_pairs(layer.cropping), x.positions, strict=True)
    return cropped(x, [slice(low, size - high) for (low, high), size in pairs])


def _upsample(layer: Any, x: State, **_: Any) -> State:
    _checked(layer)
    factors = layer.size if isinstance(layer.size, tuple | list) else (layer.size,)
    method = getattr(layer, "interpolation", "nearest")
    if method not in ("nearest", "bilinear"):
        raise UnpredictableError(f"interpolation={method!r}; 'nearest' and 'bilinear' are known")
    make = _repeated if method == "nearest" else _interpolated
    return resampled(x, [make(n, f) for n, f in zip(x.positions, factors, strict=True)])


def _repeated(size: int, factor: int) -> Array:
    return np.repeat(np.eye(size), factor, axis=0)


def _interpolated(size: int, factor: int) -> Array:
    """Linear between the centres of the cells, constant beyond the outermost."""
    place = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(size)))


for _rank in (1, 2, 3):
    transfer.register(getattr(keras.layers, f"ZeroPadding{_rank}D"), _pad)
    transfer.register(getattr(keras.layers, f"Cropping{_rank}D"), _crop)
    transfer.register(getattr(keras.layers, f"UpSampling{_rank}D"), _upsample)
