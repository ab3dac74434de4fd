"""Activations, as layers and inside other layers.

Owns elementwise nonlinearities and the softmax.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import ndtr

from keras_initscope.activations import as_nonlinearity
from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.primitives import activated
from keras_initscope.prediction.state import Array, Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer

_REACH = 9.0  # standard deviations
_SCORES = np.linspace(-_REACH, _REACH, 361)
_DENSITY = np.exp(-(_SCORES**2) / 2) / np.exp(-(_SCORES**2) / 2).sum()
_LOGS = np.linspace(-40, 5, 181)  # log(t e^z), of which exp(w - e^w) is smooth on this grid
_STEPS = np.full(len(_LOGS), _LOGS[1] - _LOGS[0])
_SOFTMAX = (keras.activations.softmax,)


def fused(layer: Any, x: State) -> State:
    """The activation that a layer applies to what it has computed."""
    activation = getattr(layer, "activation", None)
    if activation is None:
        return x
    return through(activation, x)


def through(activation: Any, x: State) -> State:
    """Any activation: elementwise by theory, the softmax by its own formula, others unknown."""
    if activation in _SOFTMAX:
        return softmax(x)
    try:
        return replace(activated(x, as_nonlinearity(activation)), received=x)
    except ValueError as error:
        raise UnpredictableError(str(error)) from error


def softmax(x: State) -> State:
    """Softmax over the last axis, of independent Gaussian logits.

    With `v` the variance of the logits, `n` of them: `E s = 1/n`;
    `E s^2 = int_0^inf t E[e^(2z - t e^z)] E[e^(-t e^z)]^(n-1) dt`, since
    `1/S^2 = int t e^(-tS) dt`; two examples whose logits have the covariance `c` have
    `E s_a s_b = (n^2 E s^2)^(c/v) / n^2`, exact at `c = 0` and `c = v`. Backward the mean square of
    the Jacobian `s_i (delta_ij - s_j)`, see `softmax_slope`.
    """
    n = x.units
    variance = np.maximum(x.q - x.mu**2, 0.0)
    q = over_rows(lambda v: softmax_square(v, n), variance)

    def pair(moment: Array) -> Array:
        share = np.divide(
            moment - x.mu**2, variance, out=np.ones_like(variance * moment), where=variance > 0
        )
        return (n * n * q) ** share / n**2

    def pull(gradient: Gradient) -> tuple[Gradient]:
        return (gradient.times(over_rows(lambda v: softmax_slope(v, n), variance)),)

    return state(
        x.shape,
        q,
        pair(x.p),
        pair(x.r),
        1 / n,
        sources=x.sources,
        noise=x.noise,
        parents=(x,),
        received=x,
        reason=x.reason,
        pull=pull,
    )


@lru_cache(maxsize=4096)
def softmax_square(variance: float, n: int) -> float:
    """`E s^2` of one of `n` softmax outputs whose logits are independent `N(0, variance)`.

    With `t = e^-u` and `w = z - u` the integral runs over the logit and over `w`, both of which
    keep their scale whatever the variance, `int e^(2w - e^w) E_z L(z - w)^(n-1) dw` with
    `L(u) = E exp(-e^(z - u))`.

    Example:

    ```python
    from keras_initscope.prediction.activation import softmax_square

    assert abs(softmax_square(0.0, 10) - 0.01) < 1e-6
    ```
    """
    if variance <= 0 or n == 1:
        return 1 / n**2
    deviation = float(np.sqrt(variance))
    u = np.linspace(-_REACH * deviation - 5, _REACH * deviation + 25, 800)
    at = deviation * _SCORES[:, None] - _LOGS
    others = np.minimum(CubicSpline(u, _log_laplace(u, deviation))(at), 0.0)
    found = _DENSITY @ np.exp((n - 1) * others + 2 * _LOGS - np.exp(_LOGS)) @ _STEPS
    return float(np.clip(found, 1 / n**2, 1 / n))


def _log_laplace(u: Array, deviation: float) -> Array:
    """`log E exp(-e^(z - u))`, by the density of `z` or by that of `w = log(t e^z)`.

    The one is smooth on the grid where `z` varies little, the other where it varies much.
    """
    if deviation < 1:
        rest = -np.expm1(-np.exp(deviation * _SCORES - u[:, None])) @ _DENSITY
    else:
        rest = ndtr(-(u[:, None] + _LOGS) / deviation) @ (_STEPS * np.exp(_LOGS - np.exp(_LOGS)))
    return np.asarray(np.log1p(-np.minimum(rest, 1 - 1e-16)))


def alone(activation: Any, x: State) -> State:
    """An activation that is a layer of its own: what it receives is another layer's."""
    return replace(through(activation, x), received=None)


@lru_cache(maxsize=256)
def softmax_slope(variance: float, n: int) -> float:
    """`sum_j E (ds_j/dz_i)^2 = E s_i^2 (1 - 2 s_i + sum_j s_j^2)`, from a fixed set of logits.

    Example:

    ```python
    from keras_initscope.prediction.activation import softmax_slope

    assert abs(softmax_slope(0.0, 10) - 0.009) < 1e-9
    ```
    """
    draws = int(np.clip(400_000 // n, 16, 40_000))
    z = np.sqrt(variance) * np.random.default_rng(0).standard_normal((draws, n))
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    s = weights / weights.sum(axis=1, keepdims=True)
    squares = s**2
    return float(np.mean(squares * (1 - 2 * s + squares.sum(axis=1, keepdims=True))))


@transfer.register(keras.layers.Activation)
def _(layer: Any, x: State, **_: Any) -> State:
    return alone(layer.activation, x)


def _of_layer(layer: Any, x: State, **_: Any) -> State:
    return alone(layer, x)


for _kind in (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
):
    transfer.register(_kind, _of_layer)


@transfer.register(keras.layers.Softmax)
def _(layer: Any, x: State, mask: Any = None, **_: Any) -> Any:
    if layer.axis not in (-1, len(x.shape)):
        raise UnpredictableError(
            f"a softmax over axis {layer.axis}, which is not that of the units"
        )
    return replace(softmax(x), received=None)
