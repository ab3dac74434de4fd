"""Layers whose preactivation is linear in one kernel, and cells that have one kernel a gate.

Owns which weight scales what a layer gives, and how its bias lies beside it. Changes nothing.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
from keras import ops

from keras_initscope import graph
from keras_initscope.prediction.weights import as_array

L = keras.layers
_KERNELS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((L.SeparableConv1D, L.SeparableConv2D), "pointwise_kernel"),
    ((L.Embedding,), "embeddings"),
    (
        (
            L.Dense, L.EinsumDense, L.Conv1D, L.Conv2D, L.Conv3D, L.Conv1DTranspose,
            L.Conv2DTranspose, L.Conv3DTranspose, L.DepthwiseConv1D, L.DepthwiseConv2D,
        ),
        "kernel",
    ),
)  # fmt: skip
_CELLS = (L.SimpleRNNCell, L.GRUCell, L.LSTMCell)
# Keras does not export the cell of its convolutional LSTMs.
_CONV_CELL = inspect.getmodule(L.ConvLSTM2D.__base__).ConvLSTMCell  # type: ignore[union-attr]


def scaling_kernel(layer: Any) -> Any:
    """The variable that scales what a layer gives before its bias, `None` where there is none."""
    for kinds, name in _KERNELS:
        base = next((each for each in type(layer).__mro__ if each in kinds), None)
        if base is not None and not graph.overrides(type(layer), base):
            return getattr(layer, f"_{name}" if hasattr(layer, f"_{name}") else name)
    return None


def bias_of(layer: Any, outputs: Any) -> Any:
    """What a layer adds to each of its outputs, in a shape that broadcasts; `None` for nothing."""
    bias = getattr(layer, "bias", None)
    if bias is None or not as_array(bias).any():
        return None
    bias = ops.cast(bias, "float32")
    if getattr(layer, "data_format", None) == "channels_first" and len(bias.shape) == 1:
        return ops.reshape(bias, (-1,) + (1,) * (len(outputs.shape) - 2))
    return bias


def cells_of(layer: Any) -> list[Any]:
    """The cells of a recurrent layer, of which each hands its outputs to the next."""
    cell = getattr(layer, "cell", None) if isinstance(layer, L.RNN) else None
    if isinstance(cell, L.StackedRNNCells):
        return list(cell.cells)
    return [] if cell is None else [cell]


def has_gates(cell: Any) -> bool:
    """Whether it is a cell of Keras, which sums up its inputs gate by gate."""
    kinds = (*_CELLS, _CONV_CELL)
    base = next((each for each in type(cell).__mro__ if each in kinds), None)
    return base is not None and not graph.overrides(type(cell), base)


def received_by_gates(cell: Any, sequence: Any) -> list[Any]:
    """What a sequence adds to the preactivation of each gate of a cell, all steps at once."""
    kernel = ops.cast(cell.kernel, "float32")
    x = ops.cast(sequence, "float32")
    if isinstance(cell, _CONV_CELL):
        x = ops.reshape(x, (-1, *x.shape[2:]))
        options = {"padding": cell.padding, "data_format": cell.data_format}
        rate = cell.dilation_rate
        summed = ops.conv(x, kernel, strides=cell.strides, dilation_rate=rate, **options)
    else:
        summed = ops.matmul(x, kernel)
    is_first = getattr(cell, "data_format", None) == "channels_first"
    return list(ops.split(summed, gates_of(cell), axis=1 if is_first else -1))


def gates_of(cell: Any) -> int:
    """How many gates a cell has."""
    units = cell.filters if isinstance(cell, _CONV_CELL) else cell.units
    return int(cell.kernel.shape[-1] // units)
