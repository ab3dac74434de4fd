"""The nonlinearities that are curved, as rows of data.

Definitions and default parameters are those of `keras.activations`, Keras 3.15, unless a row names
another source. All are written so that they stay finite for any finite input but `exponential`.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf as gauss_erf
from scipy.special import expit, ndtr

from keras_initscope.theory.gaussian import Array
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.rows import row

_ELU_SCALE, _ELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al., 2017


def _graded(scale: float) -> tuple[float, ...]:
    """Panel ends around zero for a feature narrower than 1: 0, +-scale, +-2 scale, ..."""
    steps = [scale * 2**k for k in range(64) if scale * 2**k < 1]
    return tuple(sorted({0.0, *steps, *(-step for step in steps)}))


def _exponential_unit(alpha: float, rate: float, scale: float = 1.0) -> Nonlinearity:
    """`x` above zero, `alpha (exp(rate x) - 1)` below, times a scale."""

    def f(x: Array) -> Array:
        return scale * np.where(x > 0, x, alpha * np.expm1(rate * np.minimum(x, 0)))

    def df(x: Array) -> Array:
        return scale * np.where(x > 0, 1.0, alpha * rate * np.exp(rate * np.minimum(x, 0)))

    return Nonlinearity(name="", f=f, df=df, kinks=_graded(1 / rate))


@row
def elu(alpha: float = 1.0) -> Nonlinearity:
    """`x` above zero, `alpha (exp(x) - 1)` below (Clevert et al., 2016)."""
    return _exponential_unit(alpha, 1.0)


@row
def selu() -> Nonlinearity:
    """ELU whose scales make mean 0 and variance 1 a fixed point (Klambauer et al., 2017)."""
    return _exponential_unit(_ELU_ALPHA, 1.0, _ELU_SCALE)


@row
def celu(alpha: float = 1.0) -> Nonlinearity:
    """`x` above zero, `alpha (exp(x / alpha) - 1)` below (Barron, 2017)."""
    return _exponential_unit(alpha, 1 / alpha)


@row
def parametric_elu(alpha: float = 1.0, beta: float = 1.0) -> Nonlinearity:
    """`alpha/beta x` above zero, `alpha (exp(x/beta) - 1)` below (Trottier et al., 2017, eq. 2)."""
    return _exponential_unit(beta, 1 / beta, alpha / beta)


@row
def tanh() -> Nonlinearity:
    """The hyperbolic tangent."""
    return Nonlinearity(name="", f=np.tanh, df=lambda x: 1 - np.tanh(x) ** 2)


@row
def lecun_tanh() -> Nonlinearity:
    """`1.7159 tanh(2x/3)`, which maps +-1 to +-1 (LeCun et al., 1998, section 4.4)."""
    return Nonlinearity(
        name="",
        f=lambda x: 1.7159 * np.tanh(2 * x / 3),
        df=lambda x: 1.7159 * 2 / 3 * (1 - np.tanh(2 * x / 3) ** 2),
    )


@row
def tanh_shrink() -> Nonlinearity:
    """`x - tanh(x)`."""
    return Nonlinearity(name="", f=lambda x: x - np.tanh(x), df=lambda x: np.tanh(x) ** 2)


@row
def sigmoid() -> Nonlinearity:
    """`1 / (1 + exp(-x))`."""
    return Nonlinearity(name="", f=expit, df=lambda x: expit(x) * expit(-x))


@row
def log_sigmoid() -> Nonlinearity:
    """`-log(1 + exp(-x))`."""
    return Nonlinearity(name="", f=lambda x: -np.logaddexp(0, -x), df=lambda x: expit(-x))


@row
def softplus() -> Nonlinearity:
    """`log(1 + exp(x))`."""
    return Nonlinearity(name="", f=lambda x: np.logaddexp(0, x), df=expit)


@row
def squareplus(b: float = 4.0) -> Nonlinearity:
    """`(x + sqrt(x^2 + b)) / 2` (Barron, 2021)."""
    return Nonlinearity(
        name="",
        f=lambda x: (x + np.sqrt(x * x + b)) / 2,
        df=lambda x: (1 + x / np.sqrt(x * x + b)) / 2,
        kinks=_graded(b**0.5) if b < 1 else (),
    )


@row
def sparse_plus() -> Nonlinearity:
    """`(x + 1)^2 / 4` between -1 and 1, zero below, `x` above."""
    return Nonlinearity(
        name="",
        f=lambda x: np.where(x < 1, np.clip(x + 1, 0, 2) ** 2 / 4, x),
        df=lambda x: np.clip(x + 1, 0, 2) / 2,
        kinks=(-1.0, 1.0),
    )


@row
def softsign() -> Nonlinearity:
    """`x / (1 + |x|)`."""
    return Nonlinearity(
        name="", f=lambda x: x / (1 + np.abs(x)), df=lambda x: (1 + np.abs(x)) ** -2.0, kinks=(0.0,)
    )


@row
def silu() -> Nonlinearity:
    """`x sigmoid(x)`, also called swish (Ramachandran et al., 2017)."""
    return Nonlinearity(
        name="", f=lambda x: x * expit(x), df=lambda x: expit(x) * (1 + x * expit(-x))
    )


@row
def hard_silu() -> Nonlinearity:
    """`x hard_sigmoid(x)`, also called hard swish (Howard et al., 2019)."""
    return Nonlinearity(
        name="",
        f=lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
        df=lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
        kinks=(-3.0, 3.0),
    )


@row
def mish() -> Nonlinearity:
    """`x tanh(softplus(x))` (Misra, 2019)."""

    def df(x: Array) -> Array:
        gate = np.tanh(np.logaddexp(0, x))
        return gate + x * (1 - gate**2) * expit(x)

    return Nonlinearity(name="", f=lambda x: x * np.tanh(np.logaddexp(0, x)), df=df)


@row
def gelu(approximate: bool = False) -> Nonlinearity:
    """`x P(z <= x)`, or its approximation by a tanh (Hendrycks & Gimpel, 2016)."""
    if approximate:
        return _tanh_gelu()
    return Nonlinearity(
        name="",
        f=lambda x: x * ndtr(x),
        df=lambda x: ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    )


def _tanh_gelu() -> Nonlinearity:
    scale, cubic = np.sqrt(2 / np.pi), 0.044715

    def gate(x: Array) -> Array:
        return np.tanh(scale * (x + cubic * x**3))

    def df(x: Array) -> Array:
        g = gate(x)
        return (1 + g) / 2 + x / 2 * (1 - g * g) * scale * (1 + 3 * cubic * x * x)

    return Nonlinearity(name="", f=lambda x: x / 2 * (1 + gate(x)), df=df)


@row
def exponential() -> Nonlinearity:
    """`exp(x)`; its moments overflow above a variance of 120."""
    return Nonlinearity(name="", f=np.exp, df=np.exp, reach=32.0)


@row
def erf() -> Nonlinearity:
    """The error function, whose correlation map is an arc sine (Williams, 1997)."""
    return Nonlinearity(name="", f=gauss_erf, df=lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x))


@row
def sin() -> Nonlinearity:
    """The sine (Sitzmann et al., 2020), all of whose moments are exponentials."""
    return Nonlinearity(name="", f=np.sin, df=np.cos, width=6.0)
