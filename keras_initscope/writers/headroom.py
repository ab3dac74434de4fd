"""How far the numbers of a layer can go before its type of number gives out.

Owns the limits of types of numbers. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: Least normal number and greatest number of each type (IEEE 754; bfloat16 has float32's exponent).
#: A float64 is left out: its limits are 308 decades off, and it cannot hold their squares.
_RANGES = {
    "float16": (2.0**-14, 65504.0),
    "bfloat16": (2.0**-126, (2 - 2.0**-7) * 2.0**127),
    "float32": (2.0**-126, (2 - 2.0**-23) * 2.0**127),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Headroom:
    """What a type of number can hold, as mean squares.

    Args:
        dtype: Its name.
        least: The square of its least normal number: below it values lose digits, then are 0.
        greatest: The square of its greatest number: above it values are infinite.
    """

    dtype: str
    least: float
    greatest: float


def headroom(dtypes: Iterable[str]) -> Headroom | None:
    """That of the narrowest of some types of numbers, `None` if none of them has any to speak of.

    Args:
        dtypes: Their names.

    Returns:
        Its limits.
    """
    known = [dtype for dtype in dtypes if dtype in _RANGES]
    if not known:
        return None
    dtype = min(known, key=lambda name: _RANGES[name][1])
    least, greatest = _RANGES[dtype]
    return Headroom(dtype=dtype, least=least**2, greatest=greatest**2)
