"""The fans of the layers of Keras.

Owns one rule for each kind of layer that makes weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import keras

from keras_initscope.fans.registry import Fans, own_fans

_OFFSET = "it is added to the outputs: it weights no input"
_SCALE = "it multiplies each output by a factor of its own: nothing is summed"
_STATISTIC = "it is a running statistic, not a weight"
_FIXED = "it is a Fourier basis, not a weight"


def _of_matrix(rows: float, columns: float, parts: int = 1) -> Fans:
    return Fans(fan_in=rows, fan_out=columns, input_axes=(0,), output_axes=(1,), parts=parts)


@own_fans.register(keras.layers.Dense)
def _(layer: Any) -> Mapping[str, Fans | str]:
    rows, columns = layer.kernel.shape
    rank = layer.lora_rank or 0
    return {
        "kernel": _of_matrix(rows, columns),
        "lora_kernel_a": _of_matrix(rows, rank),
        "lora_kernel_b": _of_matrix(rank, columns),
        "bias": _OFFSET,
    }


@own_fans.register(keras.layers.EinsumDense)
def _(layer: Any) -> Mapping[str, Fans | str]:
    rank = layer.lora_rank or 0
    kernel = _of_equation(layer)
    lora: dict[str, Fans | str] = {}
    if rank and isinstance(kernel, Fans):
        shape, last = layer.kernel.shape, len(layer.kernel.shape) - 1
        lora["lora_kernel_a"] = Fans(
            fan_in=prod(shape[:-1]),
            fan_out=rank,
            input_axes=tuple(range(last)),
            output_axes=(last,),
        )
        lora["lora_kernel_b"] = _of_matrix(rank, shape[-1])
    return {"kernel": kernel, "bias": _OFFSET, **lora}


def _of_equation(layer: Any) -> Fans | str:
    shape = layer.get_build_config()["input_shape"]
    inputs, weights, outputs = einsum_labels(layer.equation, len(shape))
    sizes = dict(zip(inputs, shape, strict=True))
    summed = [label for label in inputs if label not in outputs]
    unknown = [label for label in summed if sizes[label] is None]
    if unknown:
        return f"its fan-in depends on the length of the axis `{unknown[0]}` of the inputs"
    new = tuple(i for i, label in enumerate(weights) if label not in inputs)
    return Fans(
        fan_in=prod(sizes[label] for label in summed),
        fan_out=prod(layer.kernel.shape[i] for i in new),
        input_axes=tuple(i for i, label in enumerate(weights) if label in summed),
        output_axes=new,
    )


def einsum_labels(equation: str, rank: int) -> tuple[str, str, str]:
    """The labels of inputs, weights and outputs of an `EinsumDense`, the ellipsis written out.

    Args:
        equation: The layer's `equation`.
        rank: Rank of its inputs, the batch included.

    Returns:
        One letter an axis: of the inputs, of the kernel, of the outputs.

    Example:

    ```python
    from keras_initscope.fans import einsum_labels

    assert einsum_labels("...x,xy->...y", 3) == ("ZYx", "xy", "ZYy")
    ```
    """
    left, outputs = equation.replace(" ", "").split("->")
    inputs, weights = left.split(",")
    missing = rank - len(inputs.replace("...", ""))
    extra = "ZYXWVU"[: max(missing, 0)]
    return inputs.replace("...", extra), weights, outputs.replace("...", extra)


def _window(layer: Any) -> tuple[tuple[int, ...], int, int]:
    """Axes of the window, its number of taps, and the share of outputs that strides leave out."""
    rank = len(layer.kernel_size)
    strides = layer.strides if isinstance(layer.strides, Sequence) else (layer.strides,) * rank
    return tuple(range(rank)), prod(layer.kernel_size), prod(strides)


def _conv(layer: Any) -> Mapping[str, Fans | str]:
    axes, taps, stride = _window(layer)
    inputs, outputs = layer.kernel.shape[-2:]
    rank = layer.lora_rank or 0
    wide = (*axes, len(axes)), (len(axes) + 1,)
    return {
        "kernel": Fans(
            fan_in=taps * inputs,
            fan_out=taps * outputs / layer.groups / stride,
            input_axes=wide[0],
            output_axes=wide[1],
            parts=layer.groups,
            window=len(axes),
        ),
        "lora_kernel_a": Fans(
            fan_in=taps * inputs,
            fan_out=rank,
            input_axes=wide[0],
            output_axes=wide[1],
            window=len(axes),
        ),
        "lora_kernel_b": _of_matrix(rank, outputs),
        "bias": _OFFSET,
    }


def _transposed(layer: Any) -> Mapping[str, Fans | str]:
    axes, taps, stride = _window(layer)
    outputs, inputs = layer.kernel.shape[-2:]
    kernel = Fans(
        fan_in=taps * inputs / stride,
        fan_out=taps * outputs,
        input_axes=(*axes, len(axes) + 1),
        output_axes=(len(axes),),
        window=len(axes),
    )
    return {"kernel": kernel, "bias": _OFFSET}


def _by_channel(layer: Any, multiplier: int) -> Fans:
    axes, taps, stride = _window(layer)
    return Fans(
        fan_in=taps,
        fan_out=taps * multiplier / stride,
        input_axes=axes,
        output_axes=(len(axes) + 1,),
        window=len(axes),
    )


def _depthwise(layer: Any) -> Mapping[str, Fans | str]:
    return {"kernel": _by_channel(layer, layer.depth_multiplier), "bias": _OFFSET}


def _separable(layer: Any) -> Mapping[str, Fans | str]:
    rank = len(layer.kernel_size)
    inputs, outputs = layer.pointwise_kernel.shape[-2:]
    pointwise = Fans(
        fan_in=inputs,
        fan_out=outputs,
        input_axes=tuple(range(rank + 1)),
        output_axes=(rank + 1,),
        window=rank,
    )
    return {
        "depthwise_kernel": _by_channel(layer, layer.depth_multiplier),
        "pointwise_kernel": pointwise,
        "bias": _OFFSET,
    }


def _cell(gates: int) -> Any:
    def fans(cell: Any) -> Mapping[str, Fans | str]:
        rows = cell.kernel.shape[0]
        return {
            "kernel": _of_matrix(rows, cell.units, gates),
            "recurrent_kernel": _of_matrix(cell.units, cell.units, gates),
            "bias": _OFFSET,
        }

    return fans


def _conv_cell(cell: Any) -> Mapping[str, Fans | str]:
    axes, taps, stride = _window(cell)

    def fans(inputs: int, stride: int) -> Fans:
        return Fans(
            fan_in=taps * inputs,
            fan_out=taps * cell.filters / stride,
            input_axes=(*axes, len(axes)),
            output_axes=(len(axes) + 1,),
            parts=4,
            window=len(axes),
        )

    return {
        "kernel": fans(cell.kernel.shape[-2], stride),
        "recurrent_kernel": fans(cell.filters, 1),
        "bias": _OFFSET,
    }


@own_fans.register(keras.layers.Embedding)
def _(layer: Any) -> Mapping[str, Fans | str]:
    """A token looks up one row, so that no sum dilutes it, however large the vocabulary is."""
    rank = layer.lora_rank or 0
    return {
        "embeddings": _of_matrix(1, layer.output_dim),
        "lora_embeddings_a": _of_matrix(1, rank),
        "lora_embeddings_b": _of_matrix(rank, layer.output_dim),
        "reverse_embeddings": _of_matrix(layer.output_dim, layer.input_dim),
    }


@own_fans.register(keras.layers.AdditiveAttention)
def _(layer: Any) -> Mapping[str, Fans | str]:
    units = 1 if layer.scale is None else layer.scale.shape[0]
    return {"scale": Fans(fan_in=units, fan_out=1, input_axes=(0,), output_axes=())}


def _none(**reasons: str) -> Any:
    return lambda layer: reasons


_RULES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("Conv1D", "Conv2D", "Conv3D"), _conv),
    (("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    (("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    (("SeparableConv1D", "SeparableConv2D"), _separable),
    (("SimpleRNNCell",), _cell(1)),
    (("GRUCell",), _cell(3)),
    (("LSTMCell",), _cell(4)),
    (
        ("BatchNormalization", "LayerNormalization", "GroupNormalization"),
        _none(
            gamma=_SCALE,
            beta=_OFFSET,
            **dict.fromkeys(
                ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev"),
                _STATISTIC,
            ),
        ),
    ),
    (("RMSNormalization",), _none(scale=_SCALE)),
    (("SpectralNormalization",), _none(vector_u="it is an estimate of a singular vector")),
    (("Attention",), _none(scale=_SCALE, concat_score_weight=_SCALE)),
    (("PReLU",), _none(alpha="it is the slope of the activation: nothing is summed")),
    (("Normalization",), _none(**dict.fromkeys(("mean", "variance", "count"), _STATISTIC))),
    (("STFTSpectrogram",), _none(real_kernel=_FIXED, imag_kernel=_FIXED)),
)
for _names, _rule in _RULES:
    for _name in _names:
        own_fans.register(getattr(keras.layers, _name), _rule)
# Keras does not export the cell of its convolutional LSTMs.
own_fans.register(inspect.getmodule(keras.layers.ConvLSTM2D.__base__).ConvLSTMCell, _conv_cell)  # type: ignore[union-attr]
