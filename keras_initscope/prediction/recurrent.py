"""Recurrent layers, step by step.

Owns SimpleRNN, LSTM and GRU; Bidirectional and TimeDistributed are in `wrappers`. Weights are the
same at every step, which wide networks do not notice (Chen et al., 2018).
"""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class Back:
    """What a step does to gradients; of each factor the mean and the mean square.

    Args:
        keep: From what is kept at the next step to this one: the forget gate of an LSTM.
        into: From the output to what is kept.
        through: Mean factor from what is kept to the weighted sums.
        weighted: `E (dL/dz)^2`, summed over gates, out of `E d^2` and `E e^2`.
        direct: Correction of what the output receives from the next step.
        joint: Mean of the product of `keep` and `through` of one step, over that of their means.
        loop: Mean factor of what goes through the recurrent kernel: the reset gate of a GRU.
    """

    keep: tuple[float, float]
    into: tuple[float, float]
    through: float
    weighted: Callable[[float, float], float]
    direct: Callable[[float], float] = lambda _: 0.0
    joint: float = 1.0
    loop: float = 1.0


def _ahead(held: Held, old: float, new: float, g: Triple) -> Array:
    """`E c_t g_{t+1}`; the likeness of two steps falls off geometrically with their distance."""
    likeness = np.array([g[2] / g[0] if g[0] > 0 else 0.0, 1.0])
    return old * likeness * held.ahead + new * g[[2, 1]]


def _simple(cell: Cell, z: list[Triple], held: Held) -> tuple[Held, Back]:
    """`h = phi(z)`; what is kept is `z`, for one step."""
    h, slope = _moments(cell.phi, z[0], cell.biases[0].mean)
    into = (_mean_slope(cell.phi, z[0], cell.biases[0].mean), slope)
    return Held(h, h, held.ahead), Back((0.0, 0.0), into, 1.0, lambda kept, _: kept)


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

    def weighted(kept: float, out: float) -> float:
        return kept * float(g[0] * di + held.c[0] * df + i[0] * dg) + out * float(t[0] * do)

    mean_o = _mean(cell.gate, z[3], cell.biases[3].mean)
    into = (mean_o * _mean_slope(cell.phi, c, 0.0), float(o[0]) * dt)
    through = mean_i * _mean_slope(cell.phi, z[2], cell.biases[2].mean)
    return Held(o * t, c, ahead), Back((mean_f, float(f[0])), into, through, weighted)


def _mean_slope(phi: Nonlinearity, z: Triple, mean: float) -> float:
    variance, middle = np.array(max(z[0] - mean**2, 0.0)), np.array(mean)
    return float(np.sqrt(of_pair(phi, variance, np.zeros(()), middle, slopes=True)))


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

    def weighted(kept: float, _: float) -> float:
        inner = kept * rest[0] * dc
        return float(kept * (h[0] + candidate[0]) * du + inner * (loop[0] * dr + 1))

    def direct(kept: float) -> float:  # the candidate sees the state before through the reset gate
        return float(kept * rest[0] * dc * (r[0] - 1) * cell.units * cell.recurrent.square)

    through = (1 - mean) * _mean_slope(cell.phi, z[2] + r * loop, cell.biases[2].mean)
    joint = float((mean - u[0]) / (mean - mean**2)) if 0 < mean < 1 else 1.0
    back = Back(
        (mean, float(u[0])),
        (1.0, 1.0),
        through,
        weighted,
        direct,
        joint,
        _mean(cell.gate, z[1], cell.biases[1].mean),
    )
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
    weights = source()

    def pull(gradient: Gradient) -> tuple[Gradient]:
        z = _backward(backs, cell.units * cell.recurrent.square, _given(gradient, steps, sequences))
        across = cell.units * cell.kernel.square * z
        g = np.diagonal(across).copy()
        r = (across.sum(axis=1) - g) / max(steps - 1, 1)
        noise = gradient.noise + np.log1p(5 / x.units)
        return (gradient.changed(g, r, sources=frozenset([weights]), noise=noise, across=across),)

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


def _given(gradient: Gradient, steps: int, sequences: bool) -> Array:
    """`E dL/dh_t dL/dh_s` as it comes from outside, for each pair of steps."""
    if not sequences:
        found = np.zeros((steps, steps))
        found[-1, -1] = float(gradient.g)
        return found
    if gradient.across is not None:
        return gradient.across
    g, r = (np.broadcast_to(moment, (steps,)) for moment in (gradient.g, gradient.r))
    found = np.sqrt(np.abs(np.outer(r, r)))
    np.fill_diagonal(found, g)
    return found


def _backward(backs: list[Back], loop: float, given: Array) -> Array:
    """`E dL/dz_t dL/dz_s`, summed over gates, for each pair of steps.

    What the cell keeps receives `d_t = k_{t+1} d_{t+1} + i_t e_t`, where `e_t` is the gradient of
    the output: the given one, and that through the recurrent kernel. Gates of two steps are taken
    as independent, so that pairs of steps see the means of `k` and `i`, and a step by itself
    their squares.
    """
    steps = len(backs)
    keep, into, through, joint, loops = (
        np.array([getattr(back, name) for back in backs])
        for name in ("keep", "into", "through", "joint", "loop")
    )
    held = _held(keep[:, 0])
    reach = held * into[:, 0]
    out, kept, z = given.astype(float), np.zeros((steps, steps)), np.zeros((steps, steps))
    for t in reversed(range(steps)):
        later = slice(t + 1, steps)
        if t + 1 < steps:
            out[t, t + 1 : -1] += loop * loops[t + 1] * loops[t + 2 :] * z[t + 1, t + 2 :]
            out[t, t] += loop * z[t + 1, t + 1] + backs[t + 1].direct(kept[t + 1, t + 1])
            both = reach[later, later] @ out[t, later]
            kept[t, later] = keep[t + 1, 0] * kept[t + 1, later] + into[t, 0] * both
            kept[t, t] = keep[t + 1, 1] * kept[t + 1, t + 1]
            kept[t, t] += 2 * keep[t + 1, 0] * into[t, 0] * both[0]
            kept[later, t], out[later, t] = kept[t, later], out[t, later]
        kept[t, t] += into[t, 1] * out[t, t]
        passed = held[t, later] * np.diagonal(kept)[later]
        z[t, later] = through[t] * through[later] * (kept[t, later] + (joint[later] - 1) * passed)
        z[t, t] = backs[t].weighted(kept[t, t], out[t, t])
        z[:, t] = z[t]
    return z


def _held(keep: Array) -> Array:
    """The share of what is kept at `s` that is kept at `t <= s`: the product of all `keep`."""
    found = np.eye(len(keep))
    for t in reversed(range(len(keep) - 1)):
        found[t, t + 1 :] = keep[t + 1] * found[t + 1, t + 1 :]
    return found


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
transfer.register(
    keras.layers.RNN,
    _unknown("no theory of cells here, but of whole layers; register a rule for a class of yours"),
)
