"""What the arguments of initializers and layers may be.

Owns the checks that several constructors share: each returns the argument in the plain type that
is saved, or raises and says what was received, what was expected and what to do. Knows no weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, nan
from numbers import Integral, Real
from typing import Any

from keras_initscope.text import did_you_mean

Axes = tuple[int, ...] | None


def number(name: str, value: Any, least: float = -inf, most: float = inf, hint: str = "") -> float:
    """A finite number between two bounds, as a float."""
    found = _as_float(value)
    if not (isfinite(found) and least <= found <= most):
        raise _refusal(name, value, f"a finite number{_between(least, most)}", hint)
    return found


def positive(name: str, value: Any, hint: str = "") -> float:
    """A finite number above zero, as a float."""
    found = _as_float(value)
    if not 0 < found < inf:
        raise _refusal(name, value, "a positive and finite number", hint)
    return found


def factor(name: str, value: Any, hint: str = "") -> float:
    """A finite number other than zero, as a float."""
    found = _as_float(value)
    if not 0 < abs(found) < inf:
        raise _refusal(name, value, "a finite number other than zero", hint)
    return found


def checked_gain(value: Any) -> float:
    """A positive factor of a standard deviation; an activation's name is told where to find it."""
    hint = "The sign of weights has no meaning; for no weights use 'zeros'."
    if isinstance(value, str):
        hint = f"`keras_initscope.gain({value!r})` gives the number for an activation."
    return positive("gain", value, hint)


def whole(name: str, value: Any, least: int = 1, hint: str = "") -> int:
    """An integer of at least `least`, as Python's."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise _refusal(name, value, f"an integer of at least {least}", hint)
    return int(value)


def flag(name: str, value: Any) -> bool:
    """True or False, and nothing that is merely taken for it."""
    if not isinstance(value, bool):
        raise _refusal(name, value, "True or False", "")
    return value


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of several words."""
    known = list(allowed)
    if not isinstance(value, str) or value not in known:
        raise _refusal(name, value, f"one of {known}", did_you_mean(value, known))
    return value


def checked_seed(value: Any) -> Any:
    """Whatever Keras takes as a seed; it takes truth values too, but cannot draw from them."""
    if isinstance(value, bool):
        raise _refusal(
            "seed", value, "an integer, a `keras.random.SeedGenerator` or None", "Use 0 or 1."
        )
    return value


def checked_fans(fans: Any) -> tuple[float, float] | None:
    """Two positive numbers, or none."""
    if fans is None:
        return None
    several = isinstance(fans, Sequence) and not isinstance(fans, str) and len(fans) == 2
    if not several or not all(0 < _as_float(fan) < inf for fan in fans):
        raise ValueError(
            f"Expected fans=(fan_in, fan_out), two positive numbers. Received: fans={fans!r}. "
            "keras_initscope.fans.fans_of(layer) gives those of a layer that is built."
        )
    return float(fans[0]), float(fans[1])


def checked_axes(input_axes: Any, output_axes: Any) -> tuple[Axes, Axes]:
    """Axes that count as inputs and those that count as outputs: both lists, or neither."""
    if (input_axes is None) != (output_axes is None):
        raise ValueError(
            "Expected both `input_axes` and `output_axes`, or neither: one alone does not say what "
            f"the other axes are. Received: input_axes={input_axes!r}, output_axes={output_axes!r}."
        )
    return _axes("input_axes", input_axes), _axes("output_axes", output_axes)


def _axes(name: str, axes: Any) -> Axes:
    if axes is None:
        return None
    listed = isinstance(axes, Sequence) and not isinstance(axes, str)
    if not listed or not all(isinstance(a, Integral) and not isinstance(a, bool) for a in axes):
        raise _refusal(name, axes, "a list of axes, which are integers", "")
    return tuple(int(axis) for axis in axes)


def _as_float(value: Any) -> float:
    """Not a number where it is none: truth values are none here, nor is what has no float."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return nan
    try:
        return float(value)
    except OverflowError:
        return inf


def _between(least: float, most: float) -> str:
    low = f" of at least {least:g}" if least > -inf else ""
    return low + (f"{' and' if low else ' of'} at most {most:g}" if most < inf else "")


def _refusal(name: str, value: Any, expected: str, hint: str) -> ValueError:
    received = f"Expected `{name}` to be {expected}. Received: {name}={value!r}."
    return ValueError(f"{received} {hint}".rstrip())
