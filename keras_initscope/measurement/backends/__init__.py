"""The frameworks' verbs, one module each: the only place that speaks to a framework directly."""

from __future__ import annotations

import importlib
from types import ModuleType

import keras

_AVAILABLE = ("tensorflow",)


def current() -> ModuleType:
    """The verbs of the backend that Keras runs on.

    Returns:
        The module.

    Raises:
        RuntimeError: If there is none for it.
    """
    name = keras.backend.backend()
    if name not in _AVAILABLE:
        raise RuntimeError(
            f"Measuring a model needs one of the Keras backends {list(_AVAILABLE)}. Received: "
            f"keras.backend.backend() == {name!r}. Set the environment variable "
            f"KERAS_BACKEND={_AVAILABLE[0]} before Keras is imported; initializers and layers "
            "work on every backend."
        )
    return importlib.import_module(f"{__name__}.{name}")
