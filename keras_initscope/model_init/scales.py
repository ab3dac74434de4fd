"""By which factor a kernel brings the variance of what its layer gives to a target.

Owns the equation and its solution, for one batch of outputs that are at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, sqrt
from typing import Any

from keras import ops
from scipy.optimize import brentq

_REACH = 12.0  # the factor is looked for within e^-12 and e^12 of that for the preactivation


class UnreachableError(Exception):
    """Raised where no factor reaches the target; the message says why."""


def factor_for(
    linear: Any, bias: Any, target: float, function: Callable[[Any], Any] | None = None
) -> float:
    """The positive factor `s` at which `s linear + bias` has the variance `target`.

    `s^2 Var u + 2 s Cov(u, b) + Var b = t`; behind a function the root is found by bisection, and
    all that is evaluated is the function.

    Args:
        linear: What the kernel gives, a float32 tensor.
        bias: What is added to it, or `None`.
        target: The variance wanted.
        function: The activation behind which it is wanted, `None` for in front of it.

    Returns:
        The factor.

    Raises:
        UnreachableError: If there is none.

    Example:

    ```python
    import keras

    from keras_initscope.model_init.scales import factor_for

    outputs = keras.random.normal((100, 10), seed=0)
    assert abs(factor_for(2 * outputs, None, 1.0) * 2 - factor_for(outputs, None, 1.0)) < 1e-5
    ```
    """
    centred = linear - ops.mean(linear)
    own = _finite(ops.mean(ops.square(centred)))
    if own == 0:
        raise UnreachableError("what it gives does not vary on this batch")
    if function is None:
        return _of_line(centred, bias, own, target)
    return _behind(function, linear, bias, sqrt(target / own), target)


def _of_line(centred: Any, bias: Any, own: float, target: float) -> float:
    if bias is None:
        return sqrt(target / own)
    apart = ops.broadcast_to(bias, centred.shape)
    apart = apart - ops.mean(apart)
    shared, rest = _finite(ops.mean(centred * apart)), _finite(ops.mean(ops.square(apart)))
    square = shared**2 - own * (rest - target)
    if square < 0 or sqrt(square) <= shared:
        raise UnreachableError(f"its bias alone has variance {rest:.3g}, beyond the target")
    return (sqrt(square) - shared) / own


def _behind(
    function: Callable[[Any], Any], linear: Any, bias: Any, start: float, target: float
) -> float:
    def excess(logarithm: float) -> float:
        z = start * exp(logarithm) * linear
        found = function(z if bias is None else z + bias)
        return _finite(ops.var(ops.cast(found, "float32"))) / target - 1

    low, high, step = 0.0, 0.0, 0.5
    while excess(low) > 0 and low > -_REACH:
        low -= step
    while excess(high) < 0 and high < _REACH:
        high += step
    if low <= -_REACH or high >= _REACH:
        raise UnreachableError(f"no scale of it gives variance {target:g} behind its activation")
    return start * exp(low if low == high else brentq(excess, low, high, xtol=1e-6))


def _finite(value: Any) -> float:
    found = float(value)
    if not abs(found) < float("inf"):
        raise UnreachableError("what it gives is not finite on this batch")
    return found
