"""One network of a comparison: built, looked at, trained and judged.

Owns what a cell of a comparison means. Runs in a worker process, and knows of no other cell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, isfinite, nan
from typing import Any
from weakref import WeakSet

import keras

from keras_initscope.inspection import InspectionError, inspect
from keras_initscope.records import Report
from keras_initscope.sweeps.cells import Plain, SweepError
from keras_initscope.sweeps.data import Parts, parts_of
from keras_initscope.sweeps.grid import Grid, Training

#: Seeds are the process's own: where a backend of joblib runs cells as threads, one at a time.
ALONE = threading.Lock()
#: Models that `build` has returned in this process, and their layers.
_RETURNED: WeakSet[Any] = WeakSet()
_JUDGED = 256  # examples at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Runs a cell of a comparison.

    Args:
        build: Makes a network from the values of a cell.
        data: As `compare` takes it.
        key: Of this comparison alone.
        grid: What names of initializers and activations stand for.
        training: How to train.
    """

    build: Callable[..., Any]
    data: Any
    key: str
    grid: Grid
    training: Training

    def __call__(self, learning_rate: float, seed: int, **arguments: Plain) -> dict[str, Plain]:
        """The columns of one network."""
        with ALONE:
            model, seen = self.begun(learning_rate, seed, **arguments)
            return {**_judged(model, parts_of(self.data, self.key), self.training), **seen}

    def begun(
        self, learning_rate: float, seed: int, **arguments: Plain
    ) -> tuple[Any, dict[str, Plain]]:
        """One network, compiled and seeded for its training, and what was seen in it."""
        keras.utils.set_random_seed(seed)
        model = self._model(learning_rate, seed, arguments)
        seen = _look(model, parts_of(self.data, self.key)) if self.training.look else {}
        keras.utils.set_random_seed(seed)  # whatever the look may have drawn
        return model, seen

    def _model(self, learning_rate: float, seed: int, arguments: dict[str, Any]) -> Any:
        given = dict(arguments)
        if isinstance(self.grid.initializers, Mapping):
            make = self.grid.initializers[given["initializer"]]
            given["initializer"] = make(keras.random.SeedGenerator(seed))
        if isinstance(self.grid.activations, Mapping):
            given["activation"] = self.grid.activations[given["activation"]]
        model = self.build(**given)
        if not isinstance(model, keras.Model):
            raise SweepError(
                f"`build` must return a Keras model. Received: {model!r} (of type "
                f"{type(model).__name__})."
            )
        _check_new(model)
        _compile(model, self.training, learning_rate)
        return model


class _Course(keras.callbacks.Callback):
    """Ends a training after so many steps, or when its loss is no longer a number."""

    def __init__(self, steps: int | None) -> None:
        super().__init__()
        self._steps = steps
        self._taken = 0
        self.loss = nan

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._taken += 1
        self.loss = float((logs or {}).get("loss", nan))
        if self._taken == self._steps or not isfinite(self.loss):
            self.model.stop_training = True


def _check_new(model: Any) -> None:
    """Of each network and layer it is known whether an earlier one of this process trained it."""
    layers = [model, *model._flatten_layers(include_self=False)]
    for layer in layers:
        if layer in _RETURNED and (layer is model or layer.trainable_variables):
            raise SweepError(
                "`build` must return a new model with new layers each time. Received: "
                f"{type(layer).__name__} {layer.name!r}, which it has returned before, so that "
                "this network would go on from where that one has come to. Make it within `build`."
            )
    _RETURNED.update(layers)


def _compile(model: Any, training: Training, learning_rate: float) -> None:
    if training.loss is None:
        if not model.compiled:
            raise SweepError(
                "There is no loss: name one in `Training(loss=...)`, or let `build` compile the "
                "model."
            )
        model.optimizer.learning_rate = learning_rate
        return
    model.compile(
        _optimizer(training.optimizer, learning_rate),
        training.loss,
        metrics=list(training.metrics),
        jit_compile=False,
    )


def _optimizer(optimizer: Any, learning_rate: float) -> Any:
    if not isinstance(optimizer, str):
        return optimizer(learning_rate)
    return keras.optimizers.get(
        {"class_name": optimizer, "config": {"learning_rate": learning_rate}}
    )


def _look(model: Any, parts: Parts) -> dict[str, Plain]:
    """What is wrong before the first step; "not measured" where that cannot be seen."""
    try:
        report = inspect(model, parts.x, parts.y)
    except (InspectionError, RuntimeError):
        return {"findings": "not measured", "signal_left": nan, "gradient_left": nan}
    codes = sorted({finding.code for finding in report.findings})
    signal = _hidden(report, "measured_q")
    gradient = _hidden(report, "measured_gradient")
    return {
        "findings": " ".join(codes) or "none",
        "signal_left": _share(signal[-1:], signal[:1]),
        "gradient_left": _share(gradient[:1], gradient[-1:]),
    }


def _hidden(report: Report, column: str) -> list[float]:
    """Mean squares over depth, without those of the output."""
    found = [getattr(row, column) for row in report.rows]
    return [number for number in found if number is not None][:-1]


def _share(left: list[float], whole: list[float]) -> float:
    """Zero where there was none to begin with: then nothing is left either."""
    if not whole:
        return nan
    return left[0] / whole[0] if whole[0] else 0.0


def _judged(model: Any, parts: Parts, training: Training) -> dict[str, Plain]:
    """Train, then loss and metrics on the examples to judge by."""
    course = _Course(training.steps)
    passes = ceil(len(keras.tree.flatten(parts.x)[0]) / training.batch_size)
    epochs = training.epochs if training.steps is None else ceil(training.steps / passes)
    model.fit(
        parts.x,
        parts.y,
        batch_size=training.batch_size,
        epochs=epochs,
        callbacks=[course],
        verbose=0,
    )
    scores: dict[str, Plain] = model.evaluate(
        parts.test_x, parts.test_y, batch_size=_JUDGED, return_dict=True, verbose=0
    )
    return {**scores, "train_loss": course.loss}
