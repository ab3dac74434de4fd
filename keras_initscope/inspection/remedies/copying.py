"""A copy of a model, with its weights, its random states and what it is compiled with.

Owns how it is made, and that nothing is left of it in the model or in Keras.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.src.backend.common import global_state

from keras_initscope import graph
from keras_initscope.model_init.calibration import build
from keras_initscope.preserved import preserved

_NAMES = "object_name_uids"  # by which Keras numbers layers that nobody named


class NoCopyError(Exception):
    """The model cannot be copied; the message says why."""


@contextmanager
def untouched() -> Iterator[None]:
    """Leave no trace in random number generators and in the names that Keras gives out."""
    held = global_state.get_global_attribute(_NAMES)
    numbers = None if held is None else held.copy()
    with graph.kept_seeds(), preserved([]):
        try:
            yield
        finally:
            global_state.set_global_attribute(_NAMES, numbers)


def copied(model: Any, x: Any) -> Any:
    """A copy that shares no variable with a model.

    It is saved and loaded, so that tables of words and the like come along; or made anew with the
    arguments that it was made with. It is compiled with the same loss and an optimizer of its own,
    without metrics.

    Args:
        model: A built Keras model.
        x: Inputs to build it for.

    Returns:
        The copy.

    Raises:
        NoCopyError: If the model cannot be saved, or what is loaded is another one.
    """
    try:
        copy = _remade(model, x) if _is_bare(model) else _loaded(model)
        _assign(model.variables, copy.variables)
        if model.compiled:
            _compile(model, copy)
    except NoCopyError:
        raise
    except Exception as error:  # the model is the user's and may raise anything
        reason = str(error).strip().splitlines() or [""]
        raise NoCopyError(f"{type(error).__name__}: {reason[0][:200]}") from error
    return copy


def _is_bare(model: Any) -> bool:
    """Whether its class takes plain arguments and none of Keras' own, which loading would give."""
    has_own_config = type(model).get_config is not keras.Model.get_config
    if graph.operations(model) is not None or has_own_config or not model._auto_config:
        return False
    taken = inspect.signature(type(model).__init__).parameters.values()
    return all(each.kind is not each.VAR_KEYWORD for each in taken)


def _remade(model: Any, x: Any) -> Any:
    copy = type(model)(**model._auto_config.config)
    build(copy, x)
    return copy


def _loaded(model: Any) -> Any:
    with (
        tempfile.TemporaryDirectory() as folder,
        keras.saving.custom_object_scope(_own_objects(model)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        file = Path(folder) / "copy.keras"
        keras.saving.save_model(model, file)
        return keras.saving.load_model(file, compile=False, safe_mode=False)


def _own_objects(model: Any) -> dict[str, Any]:
    """Classes and functions of the user's that a model is made of, by their names."""
    parts = [model, *(node.layer for node in graph.layers(model))]
    values = [value for part in parts for value in (part, *vars(part).values())]
    found = [value if hasattr(value, "__name__") else type(value) for value in values]
    return {each.__name__: each for each in found if _is_own(each)}


def _is_own(thing: Any) -> bool:
    home = str(getattr(thing, "__module__", "") or "").partition(".")[0]
    return callable(thing) and home not in ("keras", "builtins", "tensorflow", "")


def _assign(originals: list[Any], copies: list[Any]) -> None:
    """Seeds and averages too, which loading leaves as they are made."""
    shapes = [[tuple(each.shape) for each in group] for group in (originals, copies)]
    if shapes[0] != shapes[1]:
        raise NoCopyError("saved and loaded, it has other variables than it had")
    for original, copy in zip(originals, copies, strict=True):
        copy.assign(original.value)


def _compile(model: Any, copy: Any) -> None:
    if type(model).compile is not keras.Model.compile:
        raise NoCopyError("its class has a `compile` of its own")
    config = dict(model._compile_config.config)
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    config.update(optimizer=optimizer, metrics=None, weighted_metrics=None)
    copy.compile(**config)
    if model.optimizer.built:
        optimizer.build(copy.trainable_variables)
        _assign(model.optimizer.variables, optimizer.variables)
