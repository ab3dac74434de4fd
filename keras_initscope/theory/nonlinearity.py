"""One elementwise nonlinearity as a row of data, and what follows from the row alone.

Owns the record and the views of it; the rows themselves are in `piecewise` and `smooth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from keras_initscope.theory.gaussian import REACH, Function

_SIDE = 1e-6  # how far beside a kink to look; well above rounding, well below any feature
_JUMP = 1e-3  # a difference between the two sides that smooth change does not explain


@dataclass(frozen=True, kw_only=True, slots=True)
class Nonlinearity:
    """An elementwise nonlinearity, with what is needed to integrate it exactly.

    Args:
        name: What to call it, its unusual parameters included.
        f: The function, vectorized over NumPy arrays; its mean where it is random.
        df: The derivative that automatic differentiation gives: a jump contributes nothing.
        kinks: Points where the function or one of its derivatives jumps, or that enclose a
            feature much narrower than 1; panels of the quadrature end there.
        width: Widest panel that 16 nodes resolve far from zero.
        reach: Standard deviations that an expectation must cover, for one that grows like `exp`.
        spread: Variance of the output at a given input, for one with random or differing slopes.
        slope_spread: Variance of the derivative at a given input, likewise.
        shares_spread: Whether two examples meet the same slopes, as where they are learnt, rather
            than slopes of their own, as where they are drawn.
        error: Relative error of its expectations.

    Example:

    ```python
    absolute = Nonlinearity(name="abs", f=np.abs, df=np.sign, kinks=(0.0,))
    assert absolute.is_scale_invariant
    assert absolute.max_slope == 1.0
    assert not absolute.is_differentiable_at(0.0)
    ```
    """

    name: str
    f: Function
    df: Function
    kinks: tuple[float, ...] = ()
    width: float = float("inf")
    reach: float = REACH
    spread: Function | None = None
    slope_spread: Function | None = None
    shares_spread: bool = False
    error: float = 1e-14

    @property
    def is_scale_invariant(self) -> bool:
        """Whether `f(a x) = a f(x)` for every `a > 0`, as for ReLU: it has no scale of its own."""
        return _is_scale_invariant(self)

    @property
    def is_continuous(self) -> bool:
        """Whether it has no jump; at a jump two close inputs part for ever."""
        return all(_gap(self, self.f, kink) < _JUMP for kink in self.kinks)

    @property
    def max_slope(self) -> float:
        """Supremum of `|f'|`, what saturation is measured against; infinite for `exp`."""
        return _max_slope(self)

    def is_differentiable_at(self, point: float) -> bool:
        """Whether neither the function nor its derivative jumps at a point.

        Args:
            point: Where to look.

        Returns:
            Whether the derivative there is the same from both sides.
        """
        if all(abs(point - kink) > _SIDE for kink in self.kinks):
            return True
        noise = max(_JUMP, 1e4 * self.error)  # of a derivative by differences, this near a kink
        return _gap(self, self.f, point) < _JUMP and _gap(self, self.df, point) < noise


def _gap(phi: Nonlinearity, function: Function, point: float) -> float:
    """Difference of a function between the two sides of a point."""
    side = max(_SIDE, phi.error)
    left, right = function(np.array([point - side, point + side]))
    return float(abs(right - left))


@lru_cache(maxsize=512)
def _is_scale_invariant(phi: Nonlinearity) -> bool:
    """Compares with the two half-lines through f(1) and f(-1), from 1e-3 to 1e3."""
    powers = [(phi.f, 1)] if phi.spread is None else [(phi.f, 1), (phi.spread, 2)]
    ends, scales = np.array([-1.0, 1.0]), np.geomspace(1e-3, 1e3, 61)[:, None]
    tolerance = max(1e-12, 10 * phi.error)
    with np.errstate(over="ignore"):
        return bool(np.any(phi.f(ends) != 0)) and all(
            np.allclose(g(scales * ends), scales**power * g(ends), rtol=tolerance, atol=0)
            for g, power in powers
        )


@lru_cache(maxsize=512)
def _max_slope(phi: Nonlinearity) -> float:
    """Largest slope on a grid that closes in on it; infinite where it still grows far out."""
    beside = np.add.outer(np.array(phi.kinks), [-_SIDE, _SIDE]).ravel()
    x = np.sort(np.concatenate([np.linspace(-20, 20, 8001), beside]))
    with np.errstate(over="ignore"):
        slopes = np.abs(phi.df(np.array([[-100.0, 100.0], [-400.0, 400.0], [-1e6, 1e6]])))
    near, far, asymptote = slopes.max(axis=1)
    if not far <= 1.5 * near + 1e-9:
        return float("inf")
    largest = float(np.fmax(far, asymptote))
    for _ in range(4):
        slopes = np.abs(phi.df(x))
        peak = int(np.argmax(slopes))
        largest = max(largest, float(slopes[peak]))
        x = np.linspace(x[max(peak - 1, 0)], x[min(peak + 1, len(x) - 1)], 1001)
    return largest
