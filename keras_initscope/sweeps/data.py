"""The data of a comparison, from arrays or from a function that returns them.

Owns which shapes of data are taken. Loads what a function loads once a process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_initscope.sweeps.cells import SweepError

_SHAPES = (
    "(x, y), ((x, y), (test_x, test_y)), or a function without arguments that returns either, such "
    "as `keras.datasets.mnist.load_data`"
)
_loaded: dict[str, Parts] = {}


class Parts(NamedTuple):
    """Examples to train on, and those to judge by, which may be the same."""

    x: Any
    y: Any
    test_x: Any
    test_y: Any


def parts_of(data: Any, key: str = "") -> Parts:
    """The arrays of data, whatever of the ways it is given in.

    Args:
        data: Arrays, or a function that returns them.
        key: By what it is known, so that a process does not call it for each network.

    Returns:
        The arrays.

    Raises:
        SweepError: If it is something else.
    """
    if not callable(data):
        return _parted(data)
    if key not in _loaded:
        parts = _parted(data())
        _loaded.clear()
        _loaded[key] = parts
    return _loaded[key]


def _parted(data: Any) -> Parts:
    pairs = _pairs(data)
    if pairs is None:
        raise SweepError(f"`data` must be {_SHAPES}. Received: {_words(data)}.")
    (x, y), (test_x, test_y) = pairs[0], pairs[-1]
    parts = Parts(*(keras.tree.map_structure(np.asarray, each) for each in (x, y, test_x, test_y)))
    for inputs, targets in ((parts.x, parts.y), (parts.test_x, parts.test_y)):
        counts = {len(array) for array in keras.tree.flatten((inputs, targets))}
        if len(counts) != 1 or 0 in counts:
            raise SweepError(
                "All arrays of a part of the data must have as many examples, and at least one. "
                f"Received: {sorted(counts)}."
            )
    return parts


def _pairs(data: Any) -> list[tuple[Any, Any]] | None:
    if not isinstance(data, tuple | list) or len(data) != 2:
        return None
    if all(isinstance(part, tuple | list) and len(part) == 2 for part in data):
        return [tuple(part) for part in data]
    return [tuple(data)]


def _words(data: Any) -> str:
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {len(data)}"
    return f"{type(data).__name__}"


Data = Any | Callable[[], Any]
