"""What TensorFlow's errors say."""

from __future__ import annotations

import re

import tensorflow as tf

_LONGEST = 300  # characters of an error message that are shown
#: How the lines begin that say where an error happened: in a graph, or in a layer.
_WHERE = (
    "Graph execution error",
    "Detected at node",
    "File ",
    "<stack traces",
    "[[",
    "(0)",
    "(1)",
    "Exception encountered when calling",
)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def is_end_of_data(error: BaseException) -> bool:
    """Whether the error only says that an iterator has no more batches."""
    return isinstance(error, StopIteration | tf.errors.OutOfRangeError)


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that a batch does not suit a model, rather than that it fails."""
    return isinstance(error, ValueError | LookupError | tf.errors.InvalidArgumentError)


def message(error: BaseException) -> str:
    """The line of an error's text that says what is wrong, not where."""
    lines = [_STYLE.sub("", line).strip() for line in str(error).splitlines()]
    found = next((line for line in lines if line and not line.startswith(_WHERE)), "")
    if len(found) > _LONGEST:  # as of labels out of range, which TensorFlow lists one and all
        found = f"{found[:_LONGEST]} ..."
    return f"{type(error).__name__}: {found}" if found else type(error).__name__
