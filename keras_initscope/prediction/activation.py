"""Activations, as layers and inside other layers.

Owns elementwise nonlinearities and the softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from scipy.special import ndtr

from keras_initscope.activations import as_nonlinearity
from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.primitives import activated
from keras_initscope.prediction.state import Array, Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer

_REACH = 9.0  # standard deviations
_SCORES = np.linspace(-_REACH, _REACH, 361)
_DENSITY = np.exp(-(_SCORES**2) / 2) / np.exp(-(_SCORES**2) / 2).sum()
_LOGS = np.linspace(-40, 5, 181)  # log w, of which w^k e^-w is smooth on this grid
_STEP = float(_LOGS[1] - _LOGS[0])
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

    With `v` the variance of the logits, `n` of them: `E s = 1/n`; `E s^2` see `softmax_square`; two
    examples whose logits have the covariance `c` have `E s_a s_b = (n^2 E s^2)^(c/v) / n^2`, exact
    at `c = 0` and `c = v`. Backward the mean square of the Jacobian `s_i (delta_ij - s_j)`, see
    `softmax_slope`.
    """
    n = x.units
    variance = np.maximum(x.q - x.mu**2, 0.0)
    q = over_rows(lambda v: softmax_square(v, n), variance)

    def pair(moment: Array) -> Array:
        share = np.divide(
            moment - x.mu**2, variance, out=np.ones_like(variance * moment), where=variance > 0
        )
        return (n * n * q) ** share / n**2

    middle = float(np.mean(variance))
    passed = _elasticity(softmax_square, middle, n) ** 2 * x.scatter

    def pull(gradient: Gradient) -> tuple[Gradient]:
        drift = abs(_elasticity(softmax_slope, middle, n)) * float(np.sqrt(x.scatter))
        slope = over_rows(lambda v: softmax_slope(v, n), variance)
        return (gradient.times(slope, drift=gradient.drift + drift),)

    return state(
        x.shape,
        q,
        pair(x.p),
        pair(x.r),
        1 / n,
        sources=x.sources,
        noise=x.noise,
        scatter=passed,
        parents=(x,),
        received=x,
        reason=x.reason,
        pull=pull,
    )


def _elasticity(moment: Callable[[float, int], float], variance: float, n: int) -> float:
    """`d log moment / d log variance`."""
    if variance <= 0:
        return 0.0
    low, high = (moment(variance * factor, n) for factor in (0.98, 1.02))
    return float(np.log(high / low) / np.log(1.02 / 0.98)) if low > 0 < high else 0.0


def softmax_square(variance: float, n: int) -> float:
    """`E s^2` of one of `n` softmax outputs whose logits are independent `N(0, variance)`.

    `1/S^2 = int t e^(-tS) dt`, hence `int A_2 L^(n-1) du` with `t = e^-u`; see `_Integrands`.

    Example:

    ```python
    from keras_initscope.prediction.activation import softmax_square

    assert abs(softmax_square(0.0, 10) - 0.01) < 1e-6
    ```
    """
    if variance <= 0 or n == 1:
        return 1 / n**2
    of = _Integrands.of(variance)
    return float(np.clip(of.power(2) @ np.exp((n - 1) * of.others), 1 / n**2, 1 / n))


def softmax_slope(variance: float, n: int) -> float:
    """`sum_j E (ds_j/dz_i)^2 = E s_i^2 (1 - 2 s_i + sum_j s_j^2)`, logits as in `softmax_square`.

    `E s^k = int A_k L^(n-1) du / (k-1)!` and `E s_i^2 s_j^2 = int A_2^2 L^(n-2) du / 3!`.

    Example:

    ```python
    from keras_initscope.prediction.activation import softmax_slope

    assert abs(softmax_slope(0.0, 10) - 0.009) < 1e-9
    ```
    """
    if variance <= 0 or n == 1:
        return (1 - 1 / n) / n**2
    of = _Integrands.of(variance)
    rest = np.exp((n - 1) * of.others)
    one = (of.power(2) - of.power(3) + of.power(4) / 6) @ rest
    two = (of.power(2) * of.a[0]) @ np.exp((n - 2) * of.others) * (n - 1) / 6
    return max(float(one + two), 0.0)


@dataclass(frozen=True, slots=True)
class _Integrands:
    """What the moments of a softmax are integrals of, over `u = -log t`.

    Args:
        step: Of the grid of `u`.
        others: `log L = log E e^-w` of one logit, with `w = e^(z - u)`.
        a: `A_k = E w^k e^-w` for `k` = 2, 3 and 4.
    """

    step: float
    others: Array
    a: Array

    def power(self, k: int) -> Array:
        """`A_k du`."""
        return np.asarray(self.a[k - 2] * self.step)

    @classmethod
    @lru_cache(maxsize=512)
    def of(cls, variance: float) -> _Integrands:
        """By the density of `z`, smooth on its grid if `z` varies little, or else of `log w`."""
        deviation = float(np.sqrt(variance))
        u, step = np.linspace(-_REACH * deviation - 5, _REACH * deviation + 25, 800, retstep=True)
        if deviation < 1:
            w = np.exp(deviation * _SCORES - u[:, None])
            a = [(w**k * np.exp(-w)) @ _DENSITY for k in (2, 3, 4)]
            lost = -np.expm1(-w) @ _DENSITY
        else:
            w, at = np.exp(_LOGS), (u[:, None] + _LOGS) / deviation
            density = np.exp(-(at**2) / 2) * _STEP / (deviation * np.sqrt(2 * np.pi))
            a = [density @ (w**k * np.exp(-w)) for k in (2, 3, 4)]
            lost = ndtr(-at) @ (_STEP * w * np.exp(-w))  # of 1 - e^-w, by parts
        return cls(float(step), np.log1p(-np.minimum(lost, 1 - 1e-16)), np.stack(a))


def alone(activation: Any, x: State) -> State:
    """An activation that is a layer of its own: what it receives is another layer's."""
    return replace(through(activation, x), received=None)


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
