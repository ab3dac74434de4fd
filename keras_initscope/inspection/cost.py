"""What an activation costs on this machine, beside a ReLU.

Owns the timing. Judges nothing: beside the matrix product of a wide layer it may be next to none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
import numpy as np

from keras_initscope import layers
from keras_initscope.measurement import backends
from keras_initscope.records import Cost

Clock = Callable[[], float]

#: Numbers at once: enough that the call itself takes next to nothing of the time.
NUMBERS = 2**20
_ROUNDS = 15
_OWN = {"lecun_tanh": layers.LeCunTanh, "rrelu": layers.RReLU}


def cost_of(activation: Any) -> Cost | None:
    """Time an activation, or remember what was timed of one that has a name.

    Args:
        activation: What `as_nonlinearity` reads.

    Returns:
        What it costs; `None` where it is no function of tensors, where it cannot be differentiated
        and on backends that cannot be measured.
    """
    try:
        return _of_name(activation) if isinstance(activation, str) else timed(_function(activation))
    except Exception:  # the function may be the user's and raise anything
        return None


@lru_cache(maxsize=64)
def _of_name(name: str) -> Cost:
    if name == "relu":  # by definition, whatever a clock says of it beside itself
        return Cost(forward=1.0, training=1.0, numbers=NUMBERS)
    return timed(_function(name))


def timed(function: Callable[[Any], Any], clock: Clock = time.perf_counter) -> Cost:
    """Time a function beside ReLU, each forward and with its derivative, in turns.

    The ratio is the median of those of each turn: whatever else the machine does falls on both.

    Args:
        function: Of a tensor, element by element.
        clock: Seconds.

    Returns:
        What it costs.
    """
    backend = backends.current()
    compiled = _compiled(backend, function), _compiled(backend, keras.activations.relu)
    passes = [each[kind] for kind in (0, 1) for each in compiled]
    values = np.random.default_rng(0).normal(size=NUMBERS)
    x = keras.ops.convert_to_tensor(values, keras.config.floatx())

    def seconds(run: Callable[[Any], Any]) -> float:
        start = clock()
        backend.to_host(run(x)[0])
        return clock() - start

    for run in passes:
        backend.to_host(run(x)[0])  # compiles it
    rounds = np.array([[seconds(run) for run in passes] for _ in range(_ROUNDS)])
    forward, training = np.median(rounds[:, ::2] / rounds[:, 1::2], axis=0)
    return Cost(forward=float(forward), training=float(training), numbers=NUMBERS)


def _compiled(backend: Any, function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Both passes, as `fit` would compile them; the first result is small, to wait for."""

    def forward(x: Any) -> Any:
        outputs = function(x)
        return outputs[:1], outputs

    def training(x: Any) -> Any:
        outputs, slope = backend.with_slope(function, x)
        slope = outputs if slope is None else slope  # of the identity
        return slope[:1], outputs, slope

    if keras.Sequential(name="compiled").jit_compile:
        return backend.inner(forward, jit=True), backend.inner(training, jit=True)
    return backend.shared(forward), backend.shared(training)


def _function(activation: Any) -> Callable[[Any], Any]:
    if isinstance(activation, str):
        return _named(activation)
    if not isinstance(activation, keras.Layer):
        return keras.activations.get(activation)
    if hasattr(activation, "activation"):
        return keras.activations.get(activation.activation)
    copy = type(activation).from_config(activation.get_config())  # calling it would build it
    return lambda x: copy(x[:, None])[:, 0]


def _named(name: str) -> Callable[[Any], Any]:
    if name in _OWN:
        return _OWN[name]()
    registered = keras.saving.get_registered_object(name)
    if registered is not None or hasattr(keras.activations, name):
        return keras.activations.get(registered or name)
    return getattr(keras.ops, name)  # such as "erf" and "sin"
