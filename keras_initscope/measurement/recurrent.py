"""What the activation function of a recurrent cell receives, which runs in a loop out of sight.

Owns the weighted sums of Keras' three cells. Records nothing.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_initscope.graph import overrides

#: Which block of weights, each as wide as the cell, is the candidate's: the new part of the state.
_PLACES = {keras.layers.SimpleRNNCell: 0, keras.layers.LSTMCell: 2, keras.layers.GRUCell: 2}
#: Steps of a sequence that are looked at, at most.
_STEPS = 8


def candidate(layer: Any, sequences: Any, outputs: Any) -> Any:
    """What the cell would receive at steps spread over its inputs, in the state that it ends in.

    Args:
        layer: A recurrent layer that has run.
        sequences: `(batch, steps, features)` what it was given.
        outputs: What it gave.

    Returns:
        `(batch, steps, units)` float32 weighted sums that its `activation` is applied to, with the
        reset gate open and without those of gates; `None` for a cell that is not Keras' own.
    """
    cell = layer.cell
    is_known = type(cell) in _PLACES and not overrides(type(layer), keras.layers.RNN)
    if not is_known or len(sequences.shape) != 3:
        return None
    h = outputs[0] if layer.return_state else outputs
    h = h[:, -1:] if layer.return_sequences else h[:, None]
    return _received(cell, ops.cast(_spread(sequences), "float32"), ops.cast(h, "float32"))


def _spread(sequences: Any) -> Any:
    length = sequences.shape[1]
    return sequences[:, -1:] if length is None else sequences[:, :: -(-length // _STEPS)]


def _received(cell: Any, x: Any, h: Any) -> Any:
    place = _PLACES[type(cell)] * cell.units
    kernel, recurrent, bias = (
        ops.cast(each[..., place : place + cell.units], "float32") for each in _weights(cell)
    )
    return ops.matmul(x, kernel) + ops.matmul(h, recurrent) + bias


def _weights(cell: Any) -> tuple[Any, Any, Any]:
    """Kernels, and the sum of the biases."""
    kernel, recurrent = map(ops.convert_to_tensor, (cell.kernel, cell.recurrent_kernel))
    bias = ops.zeros_like(kernel[0]) if cell.bias is None else ops.convert_to_tensor(cell.bias)
    return kernel, recurrent, ops.sum(ops.reshape(bias, (-1, kernel.shape[-1])), 0)
