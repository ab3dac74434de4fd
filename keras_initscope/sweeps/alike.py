"""Which networks of a comparison differ in nothing but numbers.

Owns what keeps a network from being trained beside others, and by what two of them are told apart.
Trains nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_initscope.sweeps.cells import SweepError
from keras_initscope.sweeps.identity import fingerprint

#: What Keras does with a model step by step; who changes it wants it done otherwise.
_COURSE = (
    "fit",
    "evaluate",
    "train_step",
    "test_step",
    "make_train_function",
    "make_test_function",
    "compute_metrics",
    "get_metrics_result",
    "reset_metrics",
    "metrics",
)
_NUMBERS = {"seed", "rng_seed", "learning_rate"}


class AloneError(Exception):
    """Why networks have to be trained one by one."""


def kind_of(model: Any) -> str:
    """Digits that two networks share which differ in initial weights, seeds and rate alone.

    Args:
        model: A compiled and built model.

    Returns:
        The digits.

    Raises:
        AloneError: If it cannot be trained beside others, or nobody can tell.
    """
    for reason in _reasons(model):
        raise AloneError(reason)
    layers = model._flatten_layers(include_self=True, recursive=True)
    names = {part.name: f"layer {number}" for number, part in enumerate([*layers, model.optimizer])}
    try:
        whole = [model.get_config(), model.get_compile_config()]
        shapes = [(v.shape, v.dtype, v.trainable) for v in model.variables]
        return fingerprint([_without_numbers(whole, names), shapes])
    # Keras raises the first for classes that define no `get_config`.
    except (NotImplementedError, SweepError, TypeError, ValueError) as error:
        raise AloneError(
            f"nobody can tell by their configuration what they are: {error}"
        ) from error


def _reasons(model: Any) -> Iterator[str]:
    optimizer = model.optimizer
    for name in _COURSE:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            yield f"{type(model).__name__} has a `{name}` of its own"
    if model.run_eagerly or model.steps_per_execution != 1:
        yield "they are compiled to run eagerly, or several steps at once"
    if not model.trainable_variables:
        yield "nothing of them can be trained"
    if not _is_of_keras(optimizer):
        yield f"{type(optimizer).__name__} is no optimizer of Keras' that takes single steps"
    elif optimizer.use_ema or optimizer.gradient_accumulation_steps:
        yield "their optimizer averages weights or gathers gradients"
    elif _spares_weights(optimizer):
        yield "their optimizer spares some weights from decay"


def _is_of_keras(optimizer: Any) -> bool:
    known = getattr(keras.optimizers, type(optimizer).__name__, None)
    return known is type(optimizer) and known is not keras.optimizers.LossScaleOptimizer


def _spares_weights(optimizer: Any) -> bool:
    """What `exclude_from_weight_decay` has set is not in the configuration."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return any(getattr(optimizer, name, None) for name in names)


def _without_numbers(value: Any, names: Mapping[str, str]) -> Any:
    """A configuration without initializers, seeds and rate; layers are numbered, not named.

    A schedule of the learning rate is no number: it stays.
    """
    if isinstance(value, Mapping):
        return {
            names.get(key, key): _without_numbers(each, names)
            for key, each in value.items()
            if not _is_number(key, each)
        }
    if isinstance(value, list | tuple):
        return [_without_numbers(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def _is_number(key: str, value: Any) -> bool:
    if str(key).endswith("initializer"):
        return True
    return key in _NUMBERS and isinstance(value, int | float | None)
