"""The mirror image of a layer: what gives tensors of the shape that it receives back.

Owns the transposes of dense and convolutional layers, exact to the last row of the padding, and
what undoes pooling and padding. Knows no model and trains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import keras
from keras import ops

L = keras.layers
_WEIGHTED = (L.Dense, L.Conv1D, L.Conv2D, L.Conv3D)
_CALLS = tuple(kind.call for kind in _WEIGHTED)
_POOLS = (
    *(L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D),
    *(L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D),
)
_PADS = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
Shape = Sequence[int | None]
Cut = tuple[int, int]


def is_weighted(operation: Any) -> bool:
    """Whether it is a dense or convolutional layer that does what Keras' do."""
    return isinstance(operation, _WEIGHTED) and type(operation).call in _CALLS


def is_resized(operation: Any) -> bool:
    """Whether it is a pooling over windows or a padding with zeros."""
    return isinstance(operation, (*_POOLS, *_PADS))


def channel_axis(layer: Any) -> int:
    """The axis of what a layer receives along which its features lie."""
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def transposed(layer: Any, kernel: Any) -> Any:
    """The kernel of a layer in the layout of its mirror image."""
    return ops.transpose(kernel) if isinstance(layer, L.Dense) else kernel


def mirror(layer: Any, shape: Shape, **options: Any) -> list[Any]:
    """Layers that do the transpose of the linear map of a layer, with weights of their own.

    Args:
        layer: A layer for which `is_weighted` or `is_resized`.
        shape: What it receives; the axis of examples comes first.
        **options: For the layer with the weights: `activation`, `name`; `dtype` for all.

    Returns:
        Layers to be called one after the other; the one with weights, if there is one, comes first.

    Raises:
        ValueError: If Keras has no layers for it.
    """
    if isinstance(layer, L.Dense):
        return [L.Dense(shape[-1], **options)]
    channels, dtype = channel_axis(layer), options.get("dtype")
    sizes = list(shape[2:] if channels == 1 else shape[1:-1])
    if isinstance(layer, _PADS):
        return _cut([layer.padding] if len(sizes) == 1 else list(layer.padding), layer, dtype)
    if isinstance(layer, _POOLS):
        axes = zip(sizes, layer.pool_size, layer.strides, layer.strides, strict=True)
        spread = list(layer.strides) if len(sizes) > 1 else layer.strides[0]
        return [
            _resized("UpSampling", layer, spread, dtype),
            *_cut([_cut_of(*axis, layer.padding) for axis in axes], layer, dtype),
        ]
    if layer.groups > 1:
        raise ValueError("Keras has no transposed convolution in groups")
    return _mirrored_convolution(layer, shape[channels], sizes, options)


def _mirrored_convolution(
    layer: Any, channels: int | None, sizes: Shape, options: dict[str, Any]
) -> list[Any]:
    """Keras' own `"same"` is the transpose only where strides divide the size."""
    whole = [size is None or size % n == 0 for size, n in zip(sizes, layer.strides, strict=True)]
    is_same = layer.padding == "same" and all(whole)
    windows = [(n - 1) * rate + 1 for n, rate in zip(layer.kernel_size, layer.dilation_rate)]  # noqa: B905
    reaches = [max(each) for each in zip(windows, layer.strides, strict=True)]
    axes = zip(sizes, windows, layer.strides, reaches, strict=True)
    made = getattr(L, f"Conv{len(sizes)}DTranspose")(
        channels,
        layer.kernel_size,
        strides=layer.strides,
        padding="same" if is_same else "valid",
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
        **options,
    )
    cuts = [_cut_of(*axis, layer.padding) for axis in axes]
    return [made] if is_same else [made, *_cut(cuts, layer, options.get("dtype"))]


def _cut_of(size: int | None, window: int, stride: int, reach: int, padding: str) -> Cut:
    """What must be cut off an axis at its start and at its end, or added where it is negative.

    Args:
        size: The size wanted; where it is not known, one that the windows fill.
        window: Extent of the layer's window.
        stride: Between windows.
        reach: Over how much the mirror image spreads one value.
        padding: That of the layer.
    """
    if size is None:
        size = window if padding == "valid" else stride
    count = (size - window) // stride + 1 if padding == "valid" else ceil(size / stride)
    padded = max((count - 1) * stride + window - size, 0)
    start = {"valid": 0, "same": padded // 2, "causal": window - 1}[padding]
    return start, (count - 1) * stride + reach - start - size


def _cut(cuts: Sequence[Cut], layer: Any, dtype: Any) -> list[Any]:
    """Layers that cut off, and that add zeros."""
    off = [(max(start, 0), max(end, 0)) for start, end in cuts]
    on = [(max(-start, 0), max(-end, 0)) for start, end in cuts]
    return [
        _resized(kind, layer, each[0] if len(cuts) == 1 else each, dtype)
        for kind, each in (("Cropping", off), ("ZeroPadding", on))
        if any(map(any, each))
    ]


def _resized(kind: str, layer: Any, by: Any, dtype: Any) -> Any:
    """A layer over as many axes as `layer` has, in the same order."""
    rank = next(n for n in (1, 2, 3) if any(f"{n}D" in k.__name__ for k in type(layer).__mro__))
    if rank == 1 and channel_axis(layer) == 1:
        raise ValueError(f"Keras has no {kind}1D for channels first")
    options = {} if rank == 1 else {"data_format": layer.data_format}
    name = f"{layer.name}_{kind.lower()}"
    return getattr(L, f"{kind}{rank}D")(by, name=name, dtype=dtype, **options)
