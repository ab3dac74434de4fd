"""Weights that are met a second time, in another role: they are not independent of the signal.

Owns the search for the variable behind a matrix, which reaches an operation without its name where
it has been transposed. The same layer called twice is no such case.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_initscope import graph
from keras_initscope.prediction.transfer import Walk, current_walk, owner
from keras_initscope.prediction.weights import UnpredictableError, values_of


def refuse_tied(matrix: Any) -> None:
    """Raise where a matrix is another layer's variable, or has met the signal the other way round.

    Args:
        matrix: A variable, or an array that may be the transpose of one.

    Raises:
        UnpredictableError: If it is, naming the variable.
    """
    walk, layer = current_walk(), owner()
    if walk is None:
        return
    own = {id(v) for v in graph.own_variables(layer)} if layer is not None else set()
    found = _variable(matrix, walk)
    if found is None:
        return
    variable, turned = found
    if id(variable) not in own:
        raise UnpredictableError(
            f"it multiplies by {variable.path!r}, which is another layer's, so that its weights "
            "are not independent of the signal"
        )
    if walk.multiplied.setdefault(id(variable), turned) != turned:
        raise UnpredictableError(
            f"it multiplies by {variable.path!r} and by its transpose, which are not independent"
        )


def _variable(matrix: Any, walk: Walk) -> tuple[Any, bool] | None:
    """The variable that a matrix is, and whether it is transposed."""
    if hasattr(matrix, "_value"):
        return matrix, False
    values = values_of(matrix)
    for variable in walk.variables:
        shape = tuple(variable.shape)
        if shape in (values.shape, values.shape[::-1]):
            held = values_of(variable)
            if np.array_equal(held, values):
                return variable, False
            if np.array_equal(held.T, values):
                return variable, True
    return None


def refuse_met(layer: Any, name: str) -> None:
    """Raise where a layer has been called before, its weights in another role."""
    walk = current_walk()
    if walk is not None and id(layer) in walk.outputs:
        raise UnpredictableError(
            f"it multiplies by {getattr(layer, name).path!r}, which made the signal that it meets, "
            "so that its weights are not independent of it"
        )
