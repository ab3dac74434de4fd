"""Recurrent layers, step by step.

Owns SimpleRNN, LSTM and GRU; Bidirectional and TimeDistributed are in `wrappers`. Weights are the
same at every step, which wide networks do not notice (Chen et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_initscope.activations import as_nonlinearity
from keras_initscope.prediction.expectations import of_gaussian, of_pair
from keras_initscope.prediction.spatial import resampled
from keras_initscope.prediction.state import Array, Gradient, State, source, state
from keras_initscope.prediction.transfer import UnpredictableError, kernel_of, transfer
from keras_initscope.prediction.weights import Weights, measured, sample_of
from keras_initscope.theory.nonlinearity import Nonlinearity

Triple = Array  # (3,): the moments q, p and r of one step


@dataclass(frozen=True, slots=True)
class Cell:
    """The weights of a cell.

    Args:
        units: Number of units.
        kernel: Of the inputs.
        recurrent: Of the state before.
        biases: Of each gate.
        phi: The activation.
        gate: The activation of the gates.
    """

    units: int
    kernel: Weights
    recurrent: Weights
    biases: list[Weights]
    phi: Nonlinearity
    gate: Nonlinearity


def _moments(phi: Nonlinearity, z: Triple, mean: float) -> tuple[Triple, float]:
    """`q`, `p` and `r` of the output, and its mean slope squared, for Gaussian `z`."""
    variance = np.array(max(z[0] - mean**2, 0.0))
    middle = np.array(mean)
    q = of_gaussian("square", phi, variance, middle)
    pairs = [of_pair(phi, variance, np.array(c - mean**2), middle) for c in z[1:]]
    slope = of_gaussian("slope", phi, variance, middle)
    return np.array([q, *pairs], dtype=float), float(slope)


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell hands to its next step.

    Args:
        h: Moments of the output.
        c: Moments of the cell state.
        ahead: `E c_t g_{t+1}` with the candidate of the next step, for one example and for two:
            not zero where the inputs of two steps are alike.
    """

    h: Triple
    c: Triple
    ahead: Array


def _ahead(held: Held, old: float, new: float, g: Triple) -> Array:
    """`E c_t g_{t+1}`; the likeness of two steps falls off geometrically with their distance."""
    likeness = np.array([g[2] / g[0] if g[0] > 0 else 0.0, 1.0])
    return old * likeness * held.ahead + new * g[[2, 1]]


def _simple(cell: Cell, z: list[Triple], held: Held) -> Any:
    h, slope = _moments(cell.phi, z[0], cell.biases[0].mean)

    def back(g_h: float, _: float) -> Any:
        return [g_h * slope], 0.0, 0.0

    return Held(h, h, held.ahead), back


def _lstm(cell: Cell, z: list[Triple], held: Held) -> Any:
    """`c = f c + i g`, `h = o phi(c)`; the cell state is taken as Gaussian."""
    (i, di), (f, df), (o, do) = (_moments(cell.gate, z[k], cell.biases[k].mean) for k in (0, 1, 3))
    g, dg = _moments(cell.phi, z[2], cell.biases[2].mean)
    mean_i, mean_f = (_mean(cell.gate, z[k], cell.biases[k].mean) for k in (0, 1))
    c = f * held.c + i * g
    c[:2] += 2 * mean_f * mean_i * held.ahead
    ahead = _ahead(held, mean_f, mean_i, g)
    c[2] = min(mean_f * c[0] + mean_i * ahead[0], c[0])  # of this step with the next one
    t, dt = _moments(cell.phi, c, 0.0)

    def back(g_h: float, g_c: float) -> Any:
        inner = g_c + g_h * o[0] * dt
        gates = [inner * g[0] * di, inner * held.c[0] * df, inner * i[0] * dg, g_h * t[0] * do]
        return gates, inner * f[0], 0.0

    return Held(o * t, c, ahead), back


def _mean(phi: Nonlinearity, z: Triple, mean: float) -> float:
    return float(of_gaussian("mean", phi, np.array(max(z[0] - mean**2, 0.0)), np.array(mean)))


def _gru(cell: Cell, z: list[Triple], held: Held) -> Any:
    """`h = u h + (1 - u) phi(x + r U h)`."""
    h = held.h
    (u, du), (r, dr) = (_moments(cell.gate, z[k], cell.biases[k].mean) for k in (0, 1))
    mean = _mean(cell.gate, z[0], cell.biases[0].mean)
    loop = cell.units * cell.recurrent.square * h
    candidate, dc = _moments(cell.phi, z[2] + r * loop, cell.biases[2].mean)
    rest = 1 - 2 * mean + u
    new = u * h + rest * candidate
    new[:2] += 2 * (mean - u[:2]) * held.ahead
    ahead = _ahead(held, mean, 1 - mean, candidate)
    new[2] = min(mean * new[0] + (1 - mean) * ahead[0], new[0])

    def back(g_h: float, _: float) -> Any:
        inner = g_h * rest[0] * dc
        gates = [g_h * (h[0] + candidate[0]) * du, inner * loop[0] * dr, inner]
        return gates, 0.0, g_h * u[0] + inner * (r[0] - 1) * cell.units * cell.recurrent.square

    return Held(new, new, ahead), back


def _run(cell: Cell, step: Any, x: State, sequences: bool) -> State:
    """Along time and back: `z_t = W x_t + U h_{t-1} + b`, with a fresh sum for each gate."""
    steps, gates = x.shape[0], len(cell.biases)
    moments = np.stack([x.maps()[i] for i in range(3)], axis=1) * x.units * cell.kernel.square
    held = Held(np.zeros(3), np.zeros(3), np.zeros(2))
    outputs, backs = [], []
    for t in range(steps):
        loop = cell.units * cell.recurrent.square * held.h
        z = [moments[t] + bias.square + loop for bias in cell.biases]
        if step is _gru:
            z[2] = z[2] - loop
        held, back = step(cell, z, held)
        outputs.append(held.h)
        backs.append(back)
    found = np.array(outputs)
    shape = (steps, cell.units) if sequences else (cell.units,)
    q, p, r = found.T if sequences else found[-1]
    loop_back, weights = cell.units * cell.recurrent.square, source()

    def pull(gradient: Gradient) -> tuple[Gradient]:
        given = np.broadcast_to(gradient.g, (steps,)) if sequences else np.zeros(steps)
        g_h, g_c, g_x = 0.0, 0.0, np.zeros(steps)
        for t in reversed(range(steps)):
            last = float(gradient.g) if t == steps - 1 and not sequences else 0.0
            at, g_c, direct = backs[t](g_h + given[t] + last, g_c)
            g_x[t] = cell.units * cell.kernel.square * sum(at)
            g_h = loop_back * sum(at) + direct
        noise = gradient.noise + np.log1p(5 / x.units)
        return (Gradient(g_x, 0 * g_x, frozenset([weights]), noise, reason=gradient.reason),)

    return state(
        shape,
        q,
        p,
        r,
        chained=sequences,
        noise=x.noise + gates * np.log1p(5 / cell.units),
        parents=(x,),
        reason=x.reason,
        pull=pull,
    )


def _cell_of(layer: Any, x: State, gates: int) -> Cell:
    cell = layer.cell
    if cell.dropout or cell.recurrent_dropout:
        raise UnpredictableError("dropout inside a recurrent layer")
    biases = _biases(cell, gates)
    return Cell(
        cell.units,
        kernel_of(cell, "kernel"),
        kernel_of(cell, "recurrent_kernel"),
        biases,
        as_nonlinearity(cell.activation),
        as_nonlinearity(getattr(cell, "recurrent_activation", None)),
    )


def _biases(cell: Any, gates: int) -> list[Weights]:
    if not cell.use_bias:
        return [Weights(square=0.0)] * gates
    values = sample_of(cell, "bias")
    if values.ndim == 2:  # a GRU that resets after the product has two
        values = values.sum(axis=0)
    return [measured(part) for part in np.split(values, gates)]


def _rule(step: Any, gates: int) -> Any:
    def rule(layer: Any, x: State, initial_state: Any = None, mask: Any = None, **_: Any) -> Any:
        if initial_state is not None or layer.stateful:
            raise UnpredictableError("a state that comes from elsewhere")
        if layer.return_state:
            raise UnpredictableError("return_state=True")
        x = _reversed(x) if layer.go_backwards else x
        return _run(_cell_of(layer, x, gates), step, x, layer.return_sequences)

    return rule


def _reversed(x: State) -> State:
    return resampled(x, [np.eye(x.shape[0])[::-1]])


transfer.register(keras.layers.SimpleRNN, _rule(_simple, 1))
transfer.register(keras.layers.LSTM, _rule(_lstm, 4))
transfer.register(keras.layers.GRU, _rule(_gru, 3))


def _unknown(reason: str) -> Any:
    def rule(layer: Any, *_: Any, **__: Any) -> Any:
        raise UnpredictableError(reason)

    return rule


for _name in ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"):
    transfer.register(
        getattr(keras.layers, _name), _unknown("no theory of convolutional LSTMs here")
    )
transfer.register(keras.layers.RNN, _unknown("a cell of your own; register a rule for its class"))
