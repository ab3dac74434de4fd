"""Layers that hold another layer.

Owns TimeDistributed and Bidirectional.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.combining import multiplied, summed
from keras_initscope.prediction.merging import concatenated
from keras_initscope.prediction.primitives import scaled
from keras_initscope.prediction.spatial import resampled
from keras_initscope.prediction.state import Gradient, State, Unknown, state
from keras_initscope.prediction.transfer import UnpredictableError, apply, transfer


@transfer.register(keras.layers.TimeDistributed)
def _(layer: Any, x: State, mask: Any = None, **_: Any) -> Any:
    """The layer at every step: a map with one more axis, taken as the mean over the steps."""
    steps = x.shape[0]
    step = _step_of(x)
    found = apply(layer.layer, step)
    if not isinstance(found, State):
        return found

    def pull(gradient: Gradient) -> tuple[Gradient]:
        return (gradient.changed(gradient.g.mean(axis=0), gradient.r.mean(axis=0)),)

    spread = {name: getattr(found, name)[None] for name in ("q", "p", "r", "mu")}
    if len(found.shape) == 1:
        spread = {name: np.atleast_1d(getattr(found, name)) for name in ("q", "p", "r", "mu")}
    return state(
        (steps, *found.shape),
        **spread,
        sources=found.sources,
        noise=found.noise,
        scatter=found.scatter,
        parents=(found,),
        reason=found.reason,
        pull=pull,
    )


def _step_of(x: State) -> State:
    """One step: what all have in common in the mean."""

    def pull(gradient: Gradient) -> tuple[Gradient]:
        return (gradient.changed(gradient.g[None], gradient.r[None]),)

    maps = {name: np.mean(getattr(x, name), axis=0) for name in ("q", "p", "r", "mu")}
    return state(
        x.shape[1:],
        **maps,
        sources=x.sources,
        noise=x.noise,
        scatter=x.scatter,
        parents=(x,),
        reason=x.reason,
        pull=pull,
    )


@transfer.register(keras.layers.Bidirectional)
def _(layer: Any, x: State, mask: Any = None, initial_state: Any = None, **_: Any) -> Any:
    """One layer along time, one against it; independent weights."""
    if initial_state is not None or layer.return_state:
        raise UnpredictableError("states that come from or go elsewhere")
    ahead, behind = apply(layer.forward_layer, x), apply(layer.backward_layer, x)
    for found in (ahead, behind):
        if isinstance(found, Unknown):
            return found
    if layer.return_sequences:
        behind = resampled(behind, [np.eye(behind.shape[0])[::-1]])
    if layer.merge_mode == "concat":
        return concatenated([ahead, behind], -1)
    if layer.merge_mode == "mul":
        return multiplied(ahead, behind)
    if layer.merge_mode is None:
        return [ahead, behind]
    total = summed([ahead, behind])
    return total if layer.merge_mode == "sum" or isinstance(total, Unknown) else scaled(total, 0.5)
