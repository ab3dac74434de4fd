"""Where on its curve an activation works: how much of it is flat, and how far it is off zero.

Owns these shares, for Gaussian inputs of mean zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_initscope.theory.gaussian import Function
from keras_initscope.theory.moments import moment, output_mean, second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity

#: The slope, as a share of the greatest, below which an activation counts as flat.
FLAT = 0.05
#: Share of what is flat that lies next to zero, of rectifiers: of a sigmoid it is about a half.
_RECTIFIED = 0.6


def saturated_share(phi: Nonlinearity, q: float) -> float:
    """Share of inputs of variance `q` at which an activation is flat.

    Of a rectifier, which is flat next to zero most of all, what is flat elsewhere.
    """
    greatest = phi.max_slope
    if not np.isfinite(greatest):
        return 0.0
    size = float(np.sqrt(second_moment(phi, q)))

    def flat(x: Any) -> Any:
        return np.abs(phi.df(x)) < FLAT * greatest

    def resting(x: Any) -> Any:
        return flat(x) & (np.abs(phi.f(x)) < FLAT * size)

    def share_of(where: Function) -> float:
        return float(np.clip(moment(phi, lambda x: where(x).astype(float), q), 0.0, 1.0))

    share, next_to_zero = share_of(flat), share_of(resting)
    is_rectifier = next_to_zero > _RECTIFIED * share
    return max(0.0, share - next_to_zero) if is_rectifier else share


def mean_share(phi: Nonlinearity, q: float) -> float:
    """Mean over root mean square of the activations of inputs of variance `q`."""
    with np.errstate(invalid="ignore"):
        size = np.sqrt(second_moment(phi, q))
        return float(output_mean(phi, q) / size) if size else 0.0


def mean_slope(phi: Nonlinearity, q: float) -> float:
    """`E |f'|` for inputs of variance `q`, as a share of the greatest slope."""
    greatest = phi.max_slope
    if not np.isfinite(greatest):
        return 1.0
    return float(moment(phi, lambda x: np.abs(phi.df(x)), q)) / greatest
