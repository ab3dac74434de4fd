"""VarianceMonitor: the callback that watches a model while `fit` trains it.

Owns its arguments and where snapshots go. When a fault of its own stops it, training goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import keras

from keras_initscope import graph
from keras_initscope.callbacks.schedule import Budget, EveryEpoch, EverySteps, Schedule
from keras_initscope.callbacks.watch import Watch, announce, steps_taken, stood_aside
from keras_initscope.graph import LayerNode
from keras_initscope.measurement import backends
from keras_initscope.measurement.meter import Meter
from keras_initscope.measurement.network import summarize
from keras_initscope.records import ModelInfo, Quantity, Snapshot
from keras_initscope.writers import JSONLinesWriter, TensorBoardWriter


class _Writer(Protocol):
    def write(self, snapshot: Snapshot, scalars: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class VarianceMonitor(keras.callbacks.Callback):
    """Writes what goes on in each layer during `fit` to TensorBoard.

    Add it to `model.fit` and look at TensorBoard's pages Histograms, Distributions and Scalars. For
    each layer it records kernels, biases, preactivations, activations, their gradients and the
    kernels' updates: histograms, moments, the share of dead and saturated units. On a monitored
    step the training step is run once more beforehand on the same batch, without its effects:
    training is bit-identical with and without the monitor. It starts at step 0, before any update,
    and ends with the last step.

    A fault inside the monitor never ends `fit`: it warns once, with the reason, and stands aside.

    Args:
        log_dir: Directory to write to. `<log_dir>/train` gets the TensorBoard records,
            `<log_dir>/snapshots.jsonl` the same numbers as text.
        update_freq: `"auto"` looks as often as `max_overhead` allows, `"epoch"` at the first step
            of each epoch, an integer `n` at every `n`-th training step.
        quantities: `"all"`, or the names of the `Quantity` members to record, such as
            `["activation", "kernel_gradient"]`.
        layers: Which layers, all by default: a regular expression searched for in the layer's
            path, such as `"block2/.*dense"`, or a function of the Keras layer that returns a bool.
        max_overhead: With `update_freq="auto"`, seconds of looking for each second of training,
            beside the first and the last look and the tracing.

    Attributes:
        history: The snapshots of the last `fit`, a list of `keras_initscope.records.Snapshot`.

    Raises:
        ValueError: If an argument makes no sense.
        OSError: If `log_dir` cannot be written to.
        RuntimeError: If Keras runs on a backend that cannot be measured.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_initscope as initscope

    model = keras.Sequential(
        [keras.layers.Dense(16, activation="tanh"), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = np.random.normal(size=(64, 8)), np.ones((64, 1))
    monitor = initscope.VarianceMonitor("logs/run1")
    model.fit(x, y, callbacks=[monitor], verbose=0)
    print(monitor.history[0].profile("activation", "variance"))
    ```
    """

    def __init__(
        self,
        log_dir: str | Path = "logs",
        update_freq: str | int = "auto",
        quantities: str | Iterable[str] = "all",
        layers: str | Callable[[Any], bool] | None = None,
        max_overhead: float = 0.01,
    ) -> None:
        super().__init__()
        backends.current()
        self._log_dir = _writable(log_dir)
        self._update_freq = _checked_frequency(update_freq)
        self._quantities = _checked_quantities(quantities)
        self._is_chosen = _checked_layers(layers)
        self._pattern = layers
        self._max_overhead = _checked_overhead(max_overhead)
        self.history: list[Snapshot] = []
        self._meter: Meter | None = None
        self._watch: Watch | None = None
        self._writers: list[_Writer] | None = None
        self._is_told = False
        self._reached: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stand before the training function."""
        self._release()
        self.history, self._is_told = [], False
        try:
            self._begin()
        except Exception as error:  # a fault of the monitor must not end the fit
            announce(stood_aside(error))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that an epoch begins."""
        if self._watch is not None:
            self._watch.begin_epoch(epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Look a last time where the last step was not looked at, and leave."""
        try:
            if self._watch is not None and self._watch.active:
                self._watch.finish()
        except Exception as error:  # a fault of the monitor must not end the fit
            announce(stood_aside(error))
        self._release()

    def _begin(self) -> None:
        nodes = self._chosen_nodes()
        if not nodes:
            return
        self._meter = Meter(self.model, nodes, self._quantities, announce)
        steps = self.params.get("steps")
        planned = (int(self.params.get("epochs", 1)), steps and int(steps))
        start = max(steps_taken(self.model), self._reached.get(self.model, 0))
        self._watch = Watch(self.model, self._meter, self._schedule(), self._emit, planned, start)

    def _chosen_nodes(self) -> list[LayerNode]:
        nodes = graph.layers(self.model)
        chosen = [node for node in nodes if self._is_chosen(node)]
        if not chosen:
            announce(
                f"VarianceMonitor watches nothing: layers={self._pattern!r} matches no layer of "
                f"model {self.model.name!r}. Its layers are {[node.path for node in nodes]}."
            )
        return chosen

    def _schedule(self) -> Schedule:
        if self._update_freq == "auto":
            return Budget(self._max_overhead)
        if self._update_freq == "epoch":
            return EveryEpoch()
        return EverySteps(int(self._update_freq))

    def _emit(self, snapshot: Snapshot, overhead: float) -> None:
        self.history.append(snapshot)
        scalars = {**summarize(snapshot), "monitor_overhead": overhead}
        for writer in self._opened():
            try:
                writer.write(snapshot, scalars)
            except Exception as error:  # a full disk, a directory taken away: others may go on
                self._drop(writer, error)

    def _opened(self) -> list[_Writer]:
        if self._writers is None:
            self._writers = []
            for open_writer in (self._open_tensorboard, self._open_json_lines):
                try:
                    self._writers.append(open_writer())
                except Exception as error:  # the snapshots are still in `history`
                    self._say_not_written(error)
        return list(self._writers)

    def _open_tensorboard(self) -> _Writer:
        return TensorBoardWriter(self._log_dir)

    def _open_json_lines(self) -> _Writer:
        return JSONLinesWriter(self._log_dir, self._model_info())

    def _model_info(self) -> ModelInfo:
        assert self._meter is not None, "snapshots come from a meter"
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        return self._meter.info(steps * epochs if steps and epochs else None)

    def _drop(self, writer: _Writer, error: Exception) -> None:
        assert self._writers is not None
        self._writers.remove(writer)
        self._say_not_written(error)
        self._close(writer)

    def _say_not_written(self, error: Exception) -> None:
        if not self._is_told:
            announce(
                f"VarianceMonitor cannot write all to {self._log_dir!r}; the snapshots of this fit "
                f"are in `history` all the same. Reason: {type(error).__name__}: {error}"
            )
        self._is_told = True

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.leave()
            self._reached[self._watch.model] = self._watch.step
        for writer in self._writers or []:
            self._close(writer)
        self._watch = self._meter = self._writers = None

    def _close(self, writer: _Writer) -> None:
        try:
            writer.close()
        except Exception as error:  # what could not be flushed is lost, training is not
            self._say_not_written(error)


def _writable(log_dir: str | Path) -> str:
    """The directory as a string; raises while it is still early where it can never be written."""
    if not isinstance(log_dir, str | os.PathLike):
        raise TypeError(
            "Argument `log_dir` must be a path. Received: "
            f"log_dir={log_dir!r} (of type {type(log_dir).__name__})"
        )
    if "://" in str(log_dir):
        raise ValueError(
            "Argument `log_dir` must be a directory of this machine; copy it to remote storage "
            f"afterwards. Received: log_dir={str(log_dir)!r}"
        )
    path = Path(log_dir).absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f"Argument `log_dir` must be a directory or the name of a new one. Received: "
            f"log_dir={str(log_dir)!r}, but {str(there)!r} is a file."
        )
    if not os.access(there, os.W_OK):
        raise PermissionError(
            f"Argument `log_dir` must be writable. Received: log_dir={str(log_dir)!r}, but "
            f"nothing may be written in {str(there)!r}."
        )
    return str(log_dir)


def _checked_frequency(update_freq: str | int) -> str | int:
    if update_freq in ("auto", "epoch"):
        return update_freq
    if isinstance(update_freq, int) and not isinstance(update_freq, bool) and update_freq > 0:
        return update_freq
    raise ValueError(
        'Argument `update_freq` must be "auto", "epoch" or a positive number of training steps. '
        f"Received: update_freq={update_freq!r}"
    )


def _checked_quantities(quantities: str | Iterable[str]) -> frozenset[Quantity]:
    names = [str(quantity) for quantity in Quantity]
    if quantities == "all":
        return frozenset(Quantity)
    chosen = [quantities] if isinstance(quantities, str) else list(quantities)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise ValueError(
            f'Argument `quantities` must be "all" or some of {names}. Received: '
            f"quantities={quantities!r}"
        )
    return frozenset(Quantity(name) for name in chosen)


def _checked_layers(
    layers: str | Callable[[Any], bool] | None,
) -> Callable[[LayerNode], bool]:
    if layers is None:
        return lambda node: True
    if callable(layers):
        return lambda node: bool(layers(node.layer))
    if isinstance(layers, str):
        try:
            pattern = re.compile(layers)
        except re.error as error:
            raise ValueError(
                f"Argument `layers` is no regular expression: {error}. Received: layers={layers!r}"
            ) from error
        return lambda node: pattern.search(node.path) is not None
    raise ValueError(
        "Argument `layers` must be a regular expression, a function of a layer or None. Received: "
        f"layers={layers!r} (of type {type(layers).__name__})"
    )


def _checked_overhead(max_overhead: float) -> float:
    if not (isinstance(max_overhead, Real) and 0.0 < max_overhead < float("inf")):
        raise ValueError(
            "Argument `max_overhead` must be a positive share of the training time, such as 0.01. "
            f"Received: max_overhead={max_overhead!r}"
        )
    return float(max_overhead)
