"""How far the numbers of a layer can go before its type of number gives out.

Owns which of several types is the narrowest. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from keras_initscope.records import LIMITS


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
    known = [dtype for dtype in dtypes if dtype in LIMITS]
    if not known:
        return None
    dtype = min(known, key=lambda name: LIMITS[name][1])
    least, greatest = LIMITS[dtype]
    return Headroom(dtype=dtype, least=least**2, greatest=greatest**2)
