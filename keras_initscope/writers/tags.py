"""By what name a dashboard knows a tensor.

Owns tags. Writes nothing.
"""

from __future__ import annotations

import itertools
import re

from keras_initscope.records import Tap

_UNSAFE = re.compile(r"[^-/\w.]")


class Tags:
    """The tags of the tensors of one run: no two of them share one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], str] = {}

    def __getitem__(self, tap: Tap) -> str:
        """The tensor's tag, numbered where another name comes out the same."""
        key = tap.quantity, tap.depth, tap.name
        if key not in self._known:
            tag, taken = tag_of(tap), set(self._known.values())
            numbered = (f"{tag}_{number}" for number in itertools.count(1))
            free = (each for each in itertools.chain([tag], numbered) if each not in taken)
            self._known[key] = next(free)
        return self._known[key]


def tag_of(tap: Tap) -> str:
    """The tag of one tensor: quantity, depth and layer, in characters that dashboards accept.

    Args:
        tap: The tensor's address.

    Returns:
        For example `"activation/007_block2/dense"`.
    """
    return f"{tap.quantity}/{tap.depth:03d}_{_UNSAFE.sub('_', tap.name)}"
