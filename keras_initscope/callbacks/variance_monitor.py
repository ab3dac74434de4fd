"""VarianceMonitor: the callback that watches a model while `fit` trains it.

Owns its arguments and where snapshots and findings go. When a fault of its own stops it, training
goes on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import keras

from keras_initscope import graph
from keras_initscope.callbacks import arguments
from keras_initscope.callbacks.logbook import Logbook
from keras_initscope.callbacks.response import Response
from keras_initscope.callbacks.schedule import Budget, EveryEpoch, EverySteps, Schedule
from keras_initscope.callbacks.watch import (
    Audience,
    Watch,
    announce,
    steps_taken,
    stood_aside,
    training_function,
)
from keras_initscope.graph import LayerNode
from keras_initscope.measurement import backends
from keras_initscope.measurement.meter import Meter, Reading
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.records import Finding, FitReport, ModelInfo, Quantity, Snapshot

_OF_A_FIT = (
    "_kept",
    "_meter",
    "_probe",
    "_probe_reading",
    "_watch",
    "_logbook",
    "_reached",
    "_model",
)
_PREDICTING = frozenset({"depth", "report"})
_PREDICTED = frozenset({Quantity.ACTIVATION, Quantity.ACTIVATION_GRADIENT})


class VarianceMonitor(keras.callbacks.Callback):
    """Writes what goes on in each layer during `fit` to TensorBoard.

    Add it to `model.fit` and look at TensorBoard's pages Histograms, Distributions and Scalars. For
    each layer it records kernels, biases, preactivations, activations, their gradients and the
    kernels' updates: histograms, moments, the share of dead and saturated units. On a monitored
    step the training step is run once more beforehand on the same batch, without its effects:
    training is bit-identical with and without the monitor. It starts at step 0, before any update,
    and ends with the last step.

    It says what is wrong: in which layer, what shows it, what to do. `initscope rules` lists what
    it looks for. A mechanism by which networks train badly is a warning. It is an alarm where the
    loss does not fall either, or where harm is done whatever the loss does, as by NaN.

    A fault inside the monitor never ends `fit`: it warns once, with the reason, and stands aside.

    Args:
        log_dir: Directory to write to. `<log_dir>/train` gets the TensorBoard records,
            `<log_dir>/depth` variance over depth as theory predicts it and as it is measured, one
            run a curve, `<log_dir>/snapshots.jsonl` all numbers, a line a snapshot.
        update_freq: `"auto"` looks as often as `max_overhead` allows, `"epoch"` at the first step
            of each epoch, an integer `n` at every `n`-th training step.
        quantities: `"all"`, or the names of the `Quantity` members to record, such as
            `["activation", "kernel_gradient"]`.
        layers: Which layers, all by default: a regular expression searched for in the layer's
            path, such as `"block2/.*dense"`, compiled or not, or a function of the Keras layer that
            returns a bool.
        outputs: `"all"`, or some of `"tensorboard"` (histograms and scalars), `"depth"` (the
            depth profiles), `"snapshots"` (the lines of text), `"report"` (at the end of `fit`
            `<log_dir>/report.md` with its pictures, in TensorBoard the text and the images
            `report`) and, which `"all"` leaves out, `"layer_scalars"` (each statistic of each layer
            as a curve, in the run `train/layers`).
        probe: A few hundred examples `(x, y)` to look at as well each time, always the same, so
            that what changes is the network alone: under the same tags in `<log_dir>/probe`, with
            the drift of each layer between looks, in standard deviations of its units.
        max_overhead: With `update_freq="auto"`, seconds of looking for each second of training,
            beside the first and the last look and the tracing.
        on_finding: What to do about something that is wrong. `"warn"` warns, once for each thing,
            and once more when a warning becomes an alarm; `"stop"` does the same, and an alarm ends
            training, a warning alone never does; `"ignore"` says nothing. A function is called with
            each `keras_initscope.records.Finding` that `"warn"` would tell, in the thread that
            trains, a few steps after the one that was looked at; what it raises warns and does not
            end training. Findings are listed in `findings` and written to TensorBoard in any case.

    Attributes:
        history: The snapshots of the last `fit`, a list of `keras_initscope.records.Snapshot`. Of
            a long one they are thinned out evenly, first and last kept, so that memory stays
            bounded; `keras_initscope.writers.read_jsonlines` reads all of them from `log_dir`.
        probe_history: The same of the probe, with the statistics `drift` and `drift_from_start`.
        findings: What was found to be wrong in the last `fit`, a list of
            `keras_initscope.records.Finding`: each thing once, in the order in which it was found,
            with the step at which it was seen first and all else as it was seen last. What has a
            rule and a layer in common is one thing.
        prediction: What theory predicts for the first of them, of the same type, gradients in
            the size that was measured at the outputs; `None` where nothing was predicted, as
            without the outputs `"depth"` and `"report"`.

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
    print(monitor.findings or "Nothing is found to be wrong.")
    ```
    """

    def __init__(
        self,
        log_dir: str | Path = "logs",
        update_freq: str | int = "auto",
        quantities: str | Iterable[str] = "all",
        layers: str | re.Pattern[str] | Callable[[Any], bool] | None = None,
        outputs: str | Iterable[str] = "all",
        max_overhead: float = 0.01,
        probe: Any = None,
        on_finding: str | Callable[[Finding], object] = "warn",
    ) -> None:
        super().__init__()
        backends.current()
        self._log_dir = arguments.writable(log_dir)
        self._update_freq = arguments.checked_frequency(update_freq)
        self._quantities = arguments.checked_quantities(quantities)
        arguments.checked_layers(layers)
        self._pattern = layers
        self._chosen_outputs = arguments.checked_outputs(outputs)
        self._max_overhead = arguments.checked_overhead(max_overhead)
        self._probe_batch = arguments.checked_probe(probe)
        self._on_finding = arguments.checked_response(on_finding)
        self._forget()

    def _forget(self) -> None:
        """Be as before the first fit."""
        self._kept: tuple[Any, Meter | None] = (None, None)
        self._meter: Meter | None = None
        self._probe: Meter | None = None
        self._probe_reading: Reading | None = None
        self._watch: Watch | None = None
        self._logbook: Logbook | None = None
        self._reached: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """A copy is for a training of its own: it takes along nothing of a fit."""
        return {name: value for name, value in self.__dict__.items() if name not in _OF_A_FIT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be a copy."""
        super().__init__()
        self.__dict__.update(state)
        self._forget()

    @property
    def history(self) -> list[Snapshot]:
        """The snapshots of the last `fit`."""
        return [] if self._logbook is None else self._logbook.history

    @property
    def probe_history(self) -> list[Snapshot]:
        """What was measured on the probe in the last `fit`."""
        return [] if self._logbook is None else self._logbook.probe_history

    @property
    def findings(self) -> list[Finding]:
        """What was found to be wrong in the last `fit`, each thing once."""
        return [] if self._logbook is None else self._logbook.findings

    @property
    def prediction(self) -> Snapshot | None:
        """What theory predicts for the first of them."""
        return None if self._logbook is None else self._logbook.prediction

    def report(self) -> FitReport:
        """What all looks of the last `fit` tell together, also while it goes on.

        `print` it, or let a notebook show it: what is wrong comes first, then how the loss went and
        each layer at the first and the last look. `keras_initscope.writers.write_report` writes it
        with its pictures, as the output `"report"` does at the end of a fit.

        Returns:
            The report.

        Raises:
            ValueError: If no step was looked at yet.
        """
        report = None if self._logbook is None else self._logbook.report()
        if report is None:
            raise ValueError(
                "There is nothing to report: this monitor has not looked at any training step. "
                "Expected it among the callbacks of `model.fit(..., callbacks=[monitor])`; call "
                "`report` after that."
            )
        return report

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stand before the training function."""
        self._release()
        self._logbook = None
        try:
            self._begin()
        except Exception as error:  # a fault of the monitor must not end the fit
            announce(stood_aside(error))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that an epoch begins."""
        if self._watch is not None:
            self._watch.begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell what was found, while no further epoch has begun."""
        if self._logbook is not None:
            self._logbook.speak()

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
        self._meter = self._meter_for(nodes)
        steps = self.params.get("steps")
        planned = (int(self.params.get("epochs", 1)), steps and int(steps))
        start = max(steps_taken(self.model), self._reached.get(self.model, 0))
        response = Response(self._on_finding, self._stop_training)
        paths = [node.path for node in nodes]
        self._logbook = Logbook(self._log_dir, self._chosen_outputs, paths, response)
        if self._probe_batch is not None:
            quantities = self._quantities - {Quantity.KERNEL_UPDATE}  # no step follows the look
            self._probe = Meter(self.model, nodes, quantities, _announce_probe, by_unit=True)
        audience = Audience(
            foresee=self._foresee,
            beside=self._look_at_probe,
            take=self._take,
            speak=self._logbook.speak,
            leave=self._logbook.close,
        )
        self._watch = Watch(self.model, self._meter, self._schedule(), audience, planned, start)

    def _stop_training(self) -> None:
        self.model.stop_training = True

    def _meter_for(self, nodes: list[LayerNode]) -> Meter:
        """The last fit's meter as long as Keras too keeps what it has traced, else a new one."""
        function, meter = self._kept
        if function is not training_function(self.model):
            meter = None
        if meter is None or not meter.still_fits(self.model, nodes):
            meter = Meter(self.model, nodes, self._quantities, announce)
        meter.setup_seconds = 0.0
        self._kept = training_function(self.model), meter
        return meter

    def _chosen_nodes(self) -> list[LayerNode]:
        nodes = graph.layers(self.model)
        chosen = [node for node in nodes if arguments.checked_layers(self._pattern)(node)]
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
        is_wanted = _PREDICTING & set(self._chosen_outputs) and self._quantities & _PREDICTED
        if not (is_wanted and self.model.built):
            return
        assert self._logbook is not None, "a watch has a logbook"
        assert self._meter is not None, "a watch has a meter"
        try:
            inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            whole = backends.current().whole(inputs)
            self._logbook.foresee(predict_signal(self.model, whole))
        except Exception as error:  # it is but a curve beside the measured one
            announce(
                f"VarianceMonitor draws no prediction for model {self.model.name!r}. Reason: "
                f"{type(error).__name__}: {error}"
            )
        self._meter.setup_seconds += time.perf_counter() - started

    def _look_at_probe(self, step: int) -> None:
        if self._probe is None or self._probe_batch is None:
            return
        assert self._meter is not None, "a watch has a meter"
        setup = self._probe.setup_seconds
        self._probe.before(self._probe_batch.data)
        self._probe_reading = self._probe.after(step, 0)
        self._meter.setup_seconds += self._probe.setup_seconds - setup

    def _take(self, reading: Reading, overhead: float) -> float:
        assert self._logbook is not None, "a watch has a logbook"
        assert self._meter is not None, "a watch has a meter"
        costs = {"monitor_overhead": overhead, "monitor_setup_seconds": self._meter.setup_seconds}
        return self._logbook.take(reading, self._probe_reading, costs, self._model_info)

    def _model_info(self) -> ModelInfo:
        assert self._meter is not None, "snapshots come from a meter"
        steps, epochs = self.params.get("steps"), self.params.get("epochs")
        return self._meter.info(steps * epochs if steps and epochs else None)

    def _release(self) -> None:
        if self._watch is not None:
            self._watch.leave()
            self._reached[self._watch.model] = self._watch.step
        if self._logbook is not None:
            self._logbook.close()
        self._watch = self._meter = self._probe = self._probe_reading = None


def _announce_probe(message: str) -> None:
    announce(f"Of the probe: {message}")
