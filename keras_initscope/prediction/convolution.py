"""Convolutions of every kind: second moments pass through windows as sums, in maps.

Owns Conv, DepthwiseConv, SeparableConv and ConvTranspose in one to three dimensions (Xiao et al.,
2018, eq. 2.3, with the borders that padding makes).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.activation import fused
from keras_initscope.prediction.primitives import fresh, weighted_gradient, with_bias
from keras_initscope.prediction.spatial import along, evenness, strided, window
from keras_initscope.prediction.state import Array, Gradient, State, source
from keras_initscope.prediction.transfer import UnpredictableError, kernel_of, transfer
from keras_initscope.prediction.weights import Weights, alike, sample_of, weights_of

_UNEVEN = 0.5  # relative spread of the taps' mean squares beyond what chance gives


def convolved(
    x: State,
    channels: int,
    matrices: Sequence[Array],
    forward: float,
    back: float,
    bias: Weights,
    even: float | None = None,
) -> State:
    """`q'(i) = C_in E w^2 sum_window q + E b^2`; backward `C_out E w^2` and the transposed windows.

    Args:
        x: What is convolved.
        channels: Output channels.
        matrices: For each axis which inputs an output sees; see `spatial.window`.
        forward: Channels that an output sees, times `E w^2`.
        back: Channels that see an input, times `E w^2`.
        bias: The biases.
        even: `spatial.evenness` over all axes; `None` where it is not known.
    """
    transposed = [matrix.T for matrix in matrices]
    positions = tuple(len(matrix) for matrix in matrices)
    weights = source()

    def summed(values: Array) -> Array:
        return forward * along(matrices, values, x.positions)

    def pull(gradient: Gradient) -> tuple[Gradient]:
        g, r = (back * along(transposed, m, positions) for m in (gradient.g, gradient.r))
        return (weighted_gradient(gradient, g, r, x.units, weights),)

    p = summed(x.p)
    maps = (summed(x.q), p, p if x.r is x.p else summed(x.r))
    more = {} if even is None else {"m": forward * even * x.m}
    made = fresh(x, (*positions, channels), maps, pull=pull, **more)
    return with_bias(made, bias.square, bias.mean)


def _channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnpredictableError("data_format='channels_first'; build the model with channels last")


def _even(layer: Any, name: str, rank: int) -> None:
    """Every tap of the window must weigh the same, as independent weights do."""
    if alike(layer, name):
        return
    values = sample_of(layer, name)
    squares = np.mean(values**2, axis=tuple(range(rank, values.ndim)))
    chance = 6 * np.sqrt(2 / prod(values.shape[rank:]))
    mean = squares.mean()
    if mean > 0 and np.any(np.abs(squares / mean - 1) > _UNEVEN + chance):
        raise UnpredictableError(
            f"the taps of `{name}` weigh differently, as in a delta-orthogonal kernel"
        )


def _windows(layer: Any, x: State) -> list[Array]:
    return [window(*axis) for axis in _geometry(layer, x)]


def _tuple(strides: Any) -> tuple[int, ...]:
    return strides if isinstance(strides, tuple) else (strides,)


def _evenness(layer: Any, x: State) -> float:
    return prod(evenness(*axis) for axis in _geometry(layer, x))


def _geometry(layer: Any, x: State) -> list[tuple[int, int, int, int, str]]:
    sizes, strides, dilations = (
        getattr(layer, name) for name in ("kernel_size", "strides", "dilation_rate")
    )
    rank = len(x.positions)
    strides, dilations = (v if isinstance(v, tuple) else (v,) * rank for v in (strides, dilations))
    return [
        (size, taps, stride, dilation, layer.padding)
        for size, taps, stride, dilation in zip(x.positions, sizes, strides, dilations, strict=True)
    ]


def _conv(layer: Any, x: State, **_: Any) -> Any:
    _channels_last(layer)
    seen = x.units // layer.groups
    kernel = kernel_of(layer, "kernel")
    _even(layer, "kernel", len(x.positions))
    x = strided(x, max(_tuple(layer.strides)))
    made = convolved(
        x,
        layer.filters,
        _windows(layer, x),
        seen * kernel.square,
        layer.filters // layer.groups * kernel.square,
        weights_of(layer, "bias"),
        _evenness(layer, x),
    )
    return fused(layer, made)


def _depthwise(layer: Any, x: State, **_: Any) -> Any:
    _channels_last(layer)
    return fused(layer, _by_channel(layer, x, "kernel", weights_of(layer, "bias")))


def _by_channel(layer: Any, x: State, name: str, bias: Weights) -> State:
    kernel = kernel_of(layer, name)
    _even(layer, name, len(x.positions))
    x = strided(x, max(_tuple(layer.strides)))
    multiplier = layer.depth_multiplier
    return convolved(
        x,
        x.units * multiplier,
        _windows(layer, x),
        kernel.square,
        multiplier * kernel.square,
        bias,
        _evenness(layer, x),
    )


def _separable(layer: Any, x: State, **_: Any) -> Any:
    _channels_last(layer)
    inner = _by_channel(layer, x, "depthwise_kernel", Weights(square=0.0))
    kernel = kernel_of(layer, "pointwise_kernel")
    ones = [np.eye(size) for size in inner.positions]
    made = convolved(
        inner,
        layer.filters,
        ones,
        inner.units * kernel.square,
        layer.filters * kernel.square,
        weights_of(layer, "bias"),
        1.0,
    )
    return fused(layer, made)


def _transposed(layer: Any, x: State, **_: Any) -> Any:
    """The transpose of the convolution that leads from the output's shape to the input's."""
    _channels_last(layer)
    kernel = kernel_of(layer, "kernel")
    _even(layer, "kernel", len(x.positions))
    positions = layer.compute_output_shape((None, *x.shape))[1:-1]
    rank = len(x.positions)
    strides, dilations = (
        v if isinstance(v, tuple) else (v,) * rank for v in (layer.strides, layer.dilation_rate)
    )
    matrices = [
        _fit(window(size, taps, stride, dilation, layer.padding), count).T
        for size, taps, stride, dilation, count in zip(
            positions, layer.kernel_size, strides, dilations, x.positions, strict=True
        )
    ]
    made = convolved(
        x,
        layer.filters,
        matrices,
        x.units * kernel.square,
        layer.filters * kernel.square,
        weights_of(layer, "bias"),
    )
    return fused(layer, made)


def _fit(matrix: Array, count: int) -> Array:
    """As many outputs as there are; `output_padding` leaves some inputs unseen."""
    return np.vstack([matrix, np.zeros((max(count - len(matrix), 0), matrix.shape[1]))])[:count]


_layers = keras.layers
for _kinds, _rule in (
    ((_layers.Conv1D, _layers.Conv2D, _layers.Conv3D), _conv),
    ((_layers.DepthwiseConv1D, _layers.DepthwiseConv2D), _depthwise),
    ((_layers.SeparableConv1D, _layers.SeparableConv2D), _separable),
    ((_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose), _transposed),
):
    for _kind in _kinds:
        transfer.register(_kind, _rule)
