"""VarianceMonitor: the callback that watches a model while `fit` trains it.

Owns its arguments and where snapshots go. When a fault of its own stops it, training goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import keras

from keras_initscope import graph
from keras_initscope.callbacks import arguments
from keras_initscope.callbacks.background import Background
from keras_initscope.callbacks.outputs import Outputs
from keras_initscope.callbacks.schedule import Budget, EveryEpoch, EverySteps, Schedule
from keras_initscope.callbacks.watch import Audience, Watch, announce, steps_taken, stood_aside
from keras_initscope.graph import LayerNode
from keras_initscope.measurement import backends
from keras_initscope.measurement.meter import Meter, Reading
from keras_initscope.measurement.network import summarize
from keras_initscope.prediction.matching import matched
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.records import ModelInfo, Quantity, Snapshot

#: Tensors' records that `history` holds at most, of some kilobytes each.
_REMEMBERED = 20_000

_PREDICTED = frozenset({Quantity.ACTIVATION, Quantity.ACTIVATION_GRADIENT})


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
            `<log_dir>/depth` variance over depth as theory predicts it and as it is measured, one
            run a curve, `<log_dir>/snapshots.jsonl` all numbers as text.
        update_freq: `"auto"` looks as often as `max_overhead` allows, `"epoch"` at the first step
            of each epoch, an integer `n` at every `n`-th training step.
        quantities: `"all"`, or the names of the `Quantity` members to record, such as
            `["activation", "kernel_gradient"]`.
        layers: Which layers, all by default: a regular expression searched for in the layer's
            path, such as `"block2/.*dense"`, or a function of the Keras layer that returns a bool.
        outputs: `"all"`, or some of `"tensorboard"` (histograms and scalars), `"depth"` (the
            depth profiles) and `"snapshots"` (the lines of text).
        max_overhead: With `update_freq="auto"`, seconds of looking for each second of training,
            beside the first and the last look and the tracing.

    Attributes:
        history: The snapshots of the last `fit`, a list of `keras_initscope.records.Snapshot`. Of
            a long one they are thinned out evenly, first and last kept, so that memory stays
            bounded; `keras_initscope.writers.read_jsonlines` reads all of them from `log_dir`.
        prediction: What theory predicts for the first of them, of the same type, gradients in
            the size that was measured at the outputs; `None` where nothing was predicted, as
            without the output `"depth"`.

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
        outputs: str | Iterable[str] = "all",
        max_overhead: float = 0.01,
    ) -> None:
        super().__init__()
        backends.current()
        self._log_dir = arguments.writable(log_dir)
        self._update_freq = arguments.checked_frequency(update_freq)
        self._quantities = arguments.checked_quantities(quantities)
        self._is_chosen = arguments.checked_layers(layers)
        self._pattern = layers
        self._chosen_outputs = arguments.checked_outputs(outputs)
        self._max_overhead = arguments.checked_overhead(max_overhead)
        self._history: list[Snapshot] = []
        self._prediction: Snapshot | None = None
        self._meter: Meter | None = None
        self._watch: Watch | None = None
        self._outputs: Outputs | None = None
        self._background: Background | None = None
        self._paths: frozenset[str] = frozenset()
        self._reached: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    @property
    def history(self) -> list[Snapshot]:
        """The snapshots of the last `fit`."""
        self._settle()
        return self._history

    @property
    def prediction(self) -> Snapshot | None:
        """What theory predicts for the first of them."""
        self._settle()
        return self._prediction

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stand before the training function."""
        self._release()
        self._history, self._prediction = [], None
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
        self._paths = frozenset(node.path for node in nodes)
        self._background = Background()
        audience = Audience(self._foresee, self._take, self._close)
        self._watch = Watch(self.model, self._meter, self._schedule(), audience, planned, start)

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

    def _foresee(self, batch: Any) -> None:
        """Predict what the first look will see, while the weights are what they are in it."""
        started = time.perf_counter()
        is_wanted = "depth" in self._chosen_outputs and self._quantities & _PREDICTED
        if not (is_wanted and self.model.built):
            return
        try:
            inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            self._prediction = predict_signal(self.model, backends.current().whole(inputs))
        except Exception as error:  # it is but a curve beside the measured one
            announce(
                f"VarianceMonitor draws no prediction for model {self.model.name!r}. Reason: "
                f"{type(error).__name__}: {error}"
            )
        assert self._meter is not None, "a watch has a meter"
        self._meter.setup_seconds += time.perf_counter() - started

    def _take(self, reading: Reading, overhead: float) -> float:
        assert self._background is not None, "looks come from a watch"
        if self._outputs is None:
            self._outputs = Outputs(self._log_dir, self._chosen_outputs, self._model_info())
        self._background.submit(partial(self._note, self._outputs, reading, overhead))
        self._speak()
        return self._background.spent()

    def _note(self, outputs: Outputs, reading: Reading, overhead: float) -> None:
        """Beside training: read a look off and write it."""
        snapshot = reading.snapshot()
        if not self._history and self._prediction is not None:
            self._prediction = self._of_chosen(matched(self._prediction, snapshot))
            outputs.write(self._prediction, {})
        self._history.append(snapshot)
        if len(self._history) * len(snapshot.stats) > _REMEMBERED:
            del self._history[1:-1:2]
        outputs.write(snapshot, {**summarize(snapshot), "monitor_overhead": overhead})

    def _of_chosen(self, snapshot: Snapshot) -> Snapshot:
        stats = tuple(entry for entry in snapshot.stats if entry.tap.layer in self._paths)
        unknown = {path: why for path, why in snapshot.unknown.items() if path in self._paths}
        return replace(snapshot, stats=stats, unknown=unknown)

    def _model_info(self) -> ModelInfo:
        assert self._meter is not None, "snapshots come from a meter"
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        return self._meter.info(steps * epochs if steps and epochs else None)

    def _settle(self) -> None:
        """Wait until what was handed over is in `history` and written."""
        if self._background is not None:
            try:
                self._background.wait()
            except Exception as error:  # a fault of the monitor must not end the fit
                announce(stood_aside(error))
            self._speak()

    def _speak(self) -> None:
        """Say in the thread that trains what went wrong beside it."""
        while self._outputs is not None and self._outputs.complaints:
            announce(self._outputs.complaints.pop())

    def _close(self) -> None:
        self._settle()
        if self._outputs is not None:
            self._outputs.close()
            self._speak()

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.leave()
            self._reached[self._watch.model] = self._watch.step
        self._close()
        if self._background is not None:
            self._background.close()
        self._watch = self._meter = self._outputs = self._background = None
