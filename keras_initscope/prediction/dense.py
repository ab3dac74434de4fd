"""Dense and EinsumDense: every unit is a new sum with zero-mean weights.

Owns the transfer of fully connected layers (Poole et al., 2016, eq. 3; Schoenholz et al., 2017,
eq. 10).
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope.fans import einsum_labels
from keras_initscope.prediction.activation import fused
from keras_initscope.prediction.primitives import broad, fresh, weighted_gradient, with_bias
from keras_initscope.prediction.state import Array, Gradient, State, source
from keras_initscope.prediction.transfer import UnpredictableError, kernel_of, transfer
from keras_initscope.prediction.tying import refuse_met
from keras_initscope.prediction.weights import (
    Weights,
    from_initializers,
    measured,
    sample_of,
    values_of,
    weights_of,
)


def connected(x: State, units: int, kernel: Weights, bias: Weights) -> State:
    """`W x + b` on the last axis: `q' = n_in E w^2 q + E b^2`, backward `g n_out E w^2`."""
    factor, back = x.units * kernel.square, units * kernel.square
    weights = source()

    def pull(gradient: Gradient) -> tuple[Gradient]:
        return (
            weighted_gradient(gradient, back * gradient.g, back * gradient.r, x.units, weights),
        )

    maps = (factor * x.q, factor * x.p, factor * x.r)
    made = fresh(x, (*x.positions, units), maps, pull=pull)
    return with_bias(made, bias.square, bias.mean)


@transfer.register(keras.layers.Dense)
def _(layer: Any, x: State, **_: Any) -> Any:
    kernel = kernel_of(layer, "kernel")
    made = connected(x, layer.units, kernel, weights_of(layer, "bias"))
    return fused(layer, _with_columns(made, layer, x.units))


def _with_columns(made: State, layer: Any, fan_in: int) -> State:
    """Actual kernels may have columns that differ beyond chance, and so do the units."""
    if from_initializers():
        return made
    squares = np.mean(values_of(layer.kernel) ** 2, axis=0)
    if not broad(squares, chance=3 * np.sqrt(2 / fan_in)):
        return made
    share = squares / squares.mean()
    pull = made.pull
    assert pull is not None

    def by_unit(gradient: Gradient) -> tuple[Gradient | None, ...]:
        units = 1.0 if gradient.units is None else gradient.units
        return pull(gradient.times(float(np.mean(share * units))))

    return replace(made, variances=share * (float(np.mean(made.q)) - made.m), pull=by_unit)


@transfer.register(keras.layers.EinsumDense)
def _(layer: Any, x: State, **_: Any) -> Any:
    inputs, weights, outputs = einsum_labels(layer.equation, len(x.shape) + 1)
    contracted = [label for label in inputs if label not in outputs]
    if not contracted or any(label in inputs and label in outputs for label in weights):
        raise UnpredictableError(f"the equation {layer.equation!r} shares weights in its own way")
    fan_in = int(np.prod([x.shape[inputs.index(label) - 1] for label in contracted]))
    sizes = dict(zip(weights, layer.kernel.shape, strict=True))
    # Keras draws the kernel as a matrix, so that its fans are those of the contraction.
    kernel = kernel_of(layer, "kernel", (fan_in, prod(layer.kernel.shape) // fan_in))
    return fused(layer, einsummed(x, inputs, outputs, sizes, fan_in, kernel, layer))


def einsummed(
    x: State,
    inputs: str,
    outputs: str,
    sizes: dict[str, int],
    fan_in: int,
    kernel: Weights,
    layer: Any,
) -> State:
    """A contraction of some axes with weights, which brings new axes; others are kept."""
    sizes = {**sizes, **dict(zip(inputs[1:], x.shape, strict=True))}
    shape = tuple(sizes[label] for label in outputs[1:])
    fan_out = int(np.prod([sizes[label] for label in outputs if label not in inputs]))

    def moved(values: Array, source: str, target: str) -> Array:
        """From maps over `source[:-1]` to maps over `target[:-1]`, the batch label left out."""
        full = np.broadcast_to(values[..., None], tuple(sizes[c] for c in source))
        dropped = tuple(i for i, label in enumerate(source) if label not in target)
        full = full.mean(axis=dropped)
        kept = [label for label in source if label in target]
        order = [kept.index(label) for label in target if label in kept]
        full = full.transpose(order)
        spread = full.reshape([sizes[c] if c in kept else 1 for c in target])
        return spread.mean(axis=-1)

    weighted = source()

    def forward(values: Array) -> Array:
        return fan_in * kernel.square * moved(values, inputs[1:], outputs[1:])

    def pull(gradient: Gradient) -> tuple[Gradient]:
        g, r = (
            fan_out * kernel.square * moved(m, outputs[1:], inputs[1:])
            for m in (gradient.g, gradient.r)
        )
        return (weighted_gradient(gradient, g, r, x.units, weighted),)

    made = fresh(x, shape, (forward(x.q), forward(x.p), forward(x.r)), pull=pull)
    bias = weights_of(layer, "bias")
    return with_bias(made, bias.square, bias.mean)


@transfer.register(keras.layers.ReversibleEmbedding)
def _(layer: Any, x: State, reverse: bool = False, **_: Any) -> Any:
    if not reverse:
        return transfer.dispatch(keras.layers.Embedding)(layer, x)
    if layer.tie_weights:
        refuse_met(layer, "embeddings")
    table = sample_of(layer, "embeddings" if layer.tie_weights else "reverse_embeddings")
    return connected(x, layer.input_dim, measured(table, x.units), Weights(square=0.0))
