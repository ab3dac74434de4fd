"""Whether networks that are trained together do at first what each would do by itself.

Owns what is compared and how closely. One network of a stack computes for all: what is neither in a
configuration nor in a variable, such as a number that a function closes over, would be that one's
for all of them. Every loss is compared, for it would show in each; of one network the whole step,
as a check of the computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_initscope.sweeps.alike import AloneError
from keras_initscope.sweeps.stack import Stack

_LOSS = 1e-3  # relative
_CHANGE, _WEIGHT = 1e-2, 1e-5  # of a variable, relative to its change and to itself
_NOISE = 1e-5  # a gradient so small beside the largest is rounding, which Adam makes a whole step


def believed(stack: Stack, models: Sequence[Any]) -> set[int]:
    """Places of the networks whose first step is their own.

    Args:
        stack: The networks together, after one step.
        models: Each by itself, before it; one of them takes it.

    Returns:
        Their places.

    Raises:
        AloneError: If the step of the one is another.
    """
    losses = stack.losses()
    own = [_own_loss(model, *stack.batch(place)) for place, model in enumerate(models)]
    found = {place for place, loss in enumerate(own) if _is_same(loss, losses[place])}
    finite = [place for place in found if isfinite(own[place])]
    if finite:
        _check(stack, models[finite[-1]], finite[-1])
    return found


def _own_loss(model: Any, x: Any, y: Any) -> float:
    mapping = [(variable, variable.value) for variable in model.variables]
    with keras.StatelessScope(mapping, collect_losses=True):
        return float(_loss(model, x, y))


def _loss(model: Any, x: Any, y: Any) -> Any:
    y_pred = model(x, **({"training": True} if model._call_has_training_arg else {}))
    return model.compute_loss(x, y, y_pred, None, training=True)


def _is_same(own: float, found: float) -> bool:
    if isfinite(own) and isfinite(found):
        return abs(own - found) <= _LOSS * abs(own)
    return isfinite(own) == isfinite(found)


def _check(stack: Stack, model: Any, place: int) -> None:
    own = [*model.trainable_variables, *model.non_trainable_variables]
    before = [variable.numpy() for variable in own]
    sizes = _own_step(model, *stack.batch(place))
    least = [_NOISE * max(sizes)] * len(sizes)
    is_noise = [size <= limit for size, limit in zip(sizes, least, strict=True)]
    is_noise += [False] * len(model.non_trainable_variables)
    after = stack.weights(place)
    for variable, start, found, noise in zip(own, before, after, is_noise, strict=True):
        if not noise and not _is_close(variable.numpy(), found, start):
            raise AloneError(f"a step changes {variable.path} otherwise when they are on their own")


def _own_step(model: Any, x: Any, y: Any) -> list[float]:
    """Take it as Keras does, and give the size of each gradient."""
    trained = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.optimizer.scale_loss(_loss(model, x, y))
    gradients = tape.gradient(loss, [variable.value for variable in trained])
    model.optimizer.apply(gradients, trained)
    return [0.0 if each is None else float(tf.linalg.global_norm([each])) for each in gradients]


def _is_close(own: np.ndarray, found: np.ndarray, start: np.ndarray) -> bool:
    own, found, start = (np.asarray(each, float) for each in (own, found, start))
    if not np.isfinite(own).all():
        return not np.isfinite(found).all()
    allowed = _CHANGE * np.linalg.norm(own - start) + _WEIGHT * np.linalg.norm(start)
    return bool(np.linalg.norm(found - own) <= allowed)
