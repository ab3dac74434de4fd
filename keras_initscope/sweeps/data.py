"""The data of a comparison, from arrays or from a function that returns them.

Owns which shapes of data are taken. Loads what a function loads once a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_initscope.sweeps.cells import SweepError

_SHAPES = (
    "(x, y), ((x, y), (test_x, test_y)), or a function without arguments that returns either, such "
    "as `keras.datasets.mnist.load_data`, where several inputs or targets are a list or dictionary "
    "of arrays. Of a `tf.data.Dataset` or a generator give the arrays"
)
_IN_LISTS = (int, float, complex, str, bytes, np.generic)
_loaded: dict[str, Parts | Exception] = {}


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
        Exception: What the function raises; it is not called again.
    """
    if not callable(data):
        return _parted(data)
    if key not in _loaded:
        _loaded.clear()
        try:
            _loaded[key] = _parted(data())
        except Exception as error:  # the function is the user's; it fails once, not for each cell
            _loaded[key] = error
    found = _loaded[key]
    if isinstance(found, Exception):
        raise found
    return found


def _parted(data: Any) -> Parts:
    pairs = _pairs(data)
    if pairs is None:
        raise SweepError(f"`data` must be {_SHAPES}. Received: {_words(data)}.")
    (x, y), (test_x, test_y) = pairs[0], pairs[-1]
    parts = Parts(*(_arrays(each) for each in (x, y, test_x, test_y)))
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
    if all(isinstance(part, tuple) and len(part) == 2 for part in data):  # lists: several inputs
        return list(data)
    return [tuple(data)]


def _arrays(value: Any) -> Any:
    """The same with arrays in place of what is one, such as a list of lists of numbers."""
    if isinstance(value, Mapping):
        return {name: _arrays(each) for name, each in value.items()}
    if isinstance(value, list | tuple) and not _is_of_numbers(value):
        return [_arrays(each) for each in value]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise SweepError(
            f"A list of numbers in `data` must have rows of the same length. NumPy says: {error}."
        ) from error
    if not array.ndim:
        raise SweepError(
            f"`data` must be {_SHAPES}. Received: {value!r} (of type {type(value).__name__}) in "
            "place of an array."
        )
    return array


def _is_of_numbers(value: Any) -> bool:
    """Whether a list is an array in words, as its first number tells, and not one of arrays."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, (*_IN_LISTS, list, tuple))  # of lists the empty one


def _words(data: Any) -> str:
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {len(data)}"
    return f"{type(data).__name__}"


Data = Any | Callable[[], Any]
