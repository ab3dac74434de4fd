"""What a rule of the user's gave back, before anybody builds on it.

Owns the checks that no tensor can fail.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.state import State, Unknown

_SLACK = 1e-6  # relative; what rounding may do to moments that are equal


def mistake(found: Any, shape: tuple[int, ...] | None) -> str:
    """What is wrong with the return value of a rule; empty if nothing is.

    Args:
        found: What the rule returned.
        shape: Shape of the only output without the batch axis, or `None` if it is not known.
    """
    leaves = keras.tree.flatten(found)
    wrong = [leaf for leaf in leaves if not isinstance(leaf, State | Unknown)]
    if wrong or not leaves:
        received = wrong[0] if wrong else found
        return f"its rule must return a State for each output. Received: {received!r}"
    states = [leaf for leaf in leaves if isinstance(leaf, State)]
    if shape is not None and len(leaves) == 1 and states and states[0].shape != shape:
        return f"its rule gives the shape {states[0].shape}. Expected: {shape}"
    return next(filter(None, map(_impossible, states)), "")


def _impossible(x: State) -> str:
    try:
        q, p, r, mu = x.maps()
    except ValueError:
        return f"its rule gives maps that do not broadcast to the positions {x.positions}"
    slack = _SLACK * np.abs(q)
    if np.any(q < -slack):
        return f"its rule gives a negative second moment, q = {float(np.nanmin(q)):.3g}"
    for name, moment in (("|p|", np.abs(p)), ("|r|", np.abs(r)), ("mu^2", mu**2)):
        if np.any(moment > q + slack):
            return f"its rule gives {name} = {float(np.nanmax(moment)):.3g}, more than q"
    return ""
