"""A training step rehearsed on stand-ins: what the optimizer would do to the weights.

Owns the stand-ins of weights and optimizers. Never assigns to a variable of the model or of its
optimizers, and measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from keras_initscope.measurement import backends

#: Steps ahead at which a schedule is asked for its rate.
_AHEAD = (0, *(10**k for k in range(6)))


@dataclass(frozen=True, slots=True)
class Applied:
    """What a training step gave to an optimizer, for one variable.

    Args:
        optimizer: The optimizer; `None` where the step has none.
        variable: The variable.
        gradient: The gradient, unscaled.
    """

    optimizer: Any
    variable: Any
    gradient: Any


class Rehearsal:
    """Takes training steps that count for nothing, within `rehearsing`.

    Attributes:
        is_possible: Whether the weights have stand-ins.
        is_at_peak: Whether a rate that a schedule sets was taken to be the greatest to come.
    """

    def __init__(self, is_possible: bool) -> None:
        self.is_possible = is_possible
        self._standing: dict[int, Any] = {}
        self.is_at_peak = False

    def step(self, applied: Sequence[Applied]) -> bool:
        """Let stand-ins of the optimizers apply gradients.

        Args:
            applied: What a training step gave to its optimizers.

        Returns:
            Whether there was an optimizer to rehearse with.
        """
        known = {id(a.optimizer): a.optimizer for a in applied if a.optimizer is not None}
        for key, optimizer in known.items():
            own = [a for a in applied if a.optimizer is optimizer]
            variables = [a.variable for a in own]
            if key not in self._standing:
                self._standing[key] = _standing_for(optimizer, variables)
                self.is_at_peak |= _is_scheduled(optimizer)
            self._standing[key].apply([a.gradient for a in own], variables)
        return bool(known)


@contextmanager
def rehearsing(model: Any) -> Iterator[Rehearsal]:
    """Let the weights of a model have stand-ins for as long as the context lasts.

    Whatever reads, traces or assigns trainable variables meanwhile does so with the stand-ins.

    Args:
        model: A built Keras model. Of one that trains on several devices nothing is replaced.
    """
    is_alone = backends.current().replicas(model) == 1
    variables = model.trainable_variables if is_alone else []
    originals = [variable._value for variable in variables]
    stand_ins = [_copy(variable) for variable in variables]
    try:
        for variable, stand_in in zip(variables, stand_ins, strict=True):
            variable._value = stand_in._value
        yield Rehearsal(is_alone)
    finally:
        for variable, original in zip(variables, originals, strict=True):
            variable._value = original


def _copy(variable: Any) -> Any:
    return keras.Variable(
        keras.ops.copy(variable.value),
        dtype=variable.dtype,
        trainable=variable.trainable,
        name=variable.name,
    )


def _standing_for(optimizer: Any, variables: Sequence[Any]) -> Any:
    """An optimizer like another, as far as that one has come, at the greatest rate to come soon."""
    inner = _inner(optimizer)
    config = {**inner.get_config(), "gradient_accumulation_steps": None, "loss_scale_factor": None}
    if _is_scheduled(optimizer):
        done = int(inner.iterations)
        rates = (float(inner._learning_rate(done + ahead)) for ahead in _AHEAD)
        config["learning_rate"] = max(rates)
    twin = type(inner).from_config(config)
    twin.build(list(variables))
    if inner.built and len(inner.variables) == len(twin.variables):
        for mine, theirs in zip(twin.variables, inner.variables, strict=True):
            mine.assign(theirs)
    return twin


def _inner(optimizer: Any) -> Any:
    """What a loss scale is wrapped around."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _is_scheduled(optimizer: Any) -> bool:
    rate = getattr(_inner(optimizer), "_learning_rate", None)
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
