"""The logbook of one fit: what was looked at is read off, remembered and written beside training.

Owns the order of that and the thread it is done in. Looks at nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from keras_initscope.callbacks.background import Background
from keras_initscope.callbacks.outputs import PROBE_WRITERS, Outputs
from keras_initscope.callbacks.watch import announce, stood_aside
from keras_initscope.diagnosis import fit_report
from keras_initscope.diagnosis.course import Course
from keras_initscope.measurement.drift import drifted
from keras_initscope.measurement.meter import Reading
from keras_initscope.measurement.network import summarize
from keras_initscope.prediction.matching import matched
from keras_initscope.records import Finding, FitReport, ModelInfo, Snapshot


class Logbook:
    """Takes looks in the order in which they were had.

    It judges them too. What it finds to be wrong, and what goes wrong with writing, is told by the
    thread that trains, when that asks it to speak.

    Args:
        log_dir: Directory to write to.
        outputs: Names of the writers.
        paths: The layers that a prediction is to show.
        respond: Called with each finding that is new, and whether training is over.
    """

    def __init__(
        self,
        log_dir: str,
        outputs: Iterable[str],
        paths: Iterable[str],
        respond: Callable[[Finding, bool], None],
    ) -> None:
        self._log_dir, self._names, self._paths = log_dir, tuple(outputs), frozenset(paths)
        self._background = Background()
        self._train: Outputs | None = None
        self._probe: Outputs | None = None
        self._prediction: Snapshot | None = None
        self._model: ModelInfo | None = None
        self._course: Course | None = None
        self._respond, self._is_over = respond, False
        self._has_complained = False  # a disk is full for the probe as it is for training
        self._faults: list[str] = []
        self._is_at_fault = False  # the diagnosis; this is told once

    @property
    def history(self) -> list[Snapshot]:
        """What was measured in training."""
        self.settle()
        return [] if self._train is None else self._train.history

    @property
    def probe_history(self) -> list[Snapshot]:
        """What was measured on the probe."""
        self.settle()
        return [] if self._probe is None else self._probe.history

    @property
    def prediction(self) -> Snapshot | None:
        """What was predicted, matched with the first look as soon as there is one."""
        self.settle()
        return self._prediction

    @property
    def findings(self) -> list[Finding]:
        """What was found to be wrong, each thing once."""
        self.settle()
        return [] if self._course is None else self._course.findings

    def report(self) -> FitReport | None:
        """What all looks tell together, `None` before the first one."""
        history, probe = self.history, self.probe_history
        return fit_report(self._model, history, self._prediction, probe) if self._model else None

    def foresee(self, prediction: Snapshot) -> None:
        """Take what is predicted for the first look."""
        self._prediction = prediction

    def take(
        self,
        reading: Reading,
        of_probe: Reading | None,
        costs: Mapping[str, float],
        model: Callable[[], ModelInfo],
    ) -> float:
        """Take a look.

        Args:
            reading: What it left on the device.
            of_probe: The same of the probe, if there is one.
            costs: Scalars to write beside it.
            model: Tells the record of the model; asked at the first look.

        Returns:
            Seconds of computing for earlier looks of which it has not told before.
        """
        if self._train is None:
            parts = self._log_dir, self._names, model()
            self._probe = Outputs(*parts, PROBE_WRITERS)
            self._train = Outputs(*parts, probe=self._probe.history)
            self._model = parts[-1]
            self._course = Course(self._model)
        self._background.submit(partial(self._note, self._train, reading, costs))
        if of_probe is not None and self._probe is not None:
            self._background.submit(partial(_note_probe, self._probe, of_probe))
        self.speak()
        return self._background.spent()

    def _note(self, outputs: Outputs, reading: Reading, costs: Mapping[str, float]) -> None:
        snapshot = reading.snapshot()
        if not outputs.history and self._prediction is not None:
            self._prediction = self._shown(matched(self._prediction, snapshot))
            outputs.write(self._prediction, {})
        scalars = {**summarize(snapshot), **costs}
        findings = self._judged(snapshot, outputs.history)
        if findings is not None:
            scalars["findings"] = float(len(findings))
        outputs.write(snapshot, scalars, findings)

    def _judged(self, snapshot: Snapshot, earlier: list[Snapshot]) -> tuple[Finding, ...] | None:
        assert self._course is not None, "it is begun with the outputs"
        assert self._probe is not None, "it is begun with the outputs"
        try:
            return self._course.take(snapshot, earlier, self._prediction, self._probe.history)
        except Exception as error:  # a rule at fault harms neither training nor what is written
            if not self._is_at_fault:
                self._faults.append(
                    f"VarianceMonitor cannot judge step {snapshot.step}; what it measures is "
                    f"written all the same. Reason: {type(error).__name__}: {error}"
                )
            self._is_at_fault = True
            return None

    def _shown(self, snapshot: Snapshot) -> Snapshot:
        stats = tuple(entry for entry in snapshot.stats if entry.tap.layer in self._paths)
        unknown = {path: why for path, why in snapshot.unknown.items() if path in self._paths}
        return replace(snapshot, stats=stats, unknown=unknown)

    def settle(self) -> None:
        """Wait until what was taken is remembered and written."""
        try:
            self._background.wait()
        except Exception as error:  # a fault of the monitor must not end the fit
            announce(stood_aside(error))
        self.speak()

    def close(self) -> None:
        """Settle, and take no more; training is over."""
        self._is_over = True
        self.settle()
        for outputs in self._opened():
            outputs.close()
        self.speak()
        self._background.close()

    def _opened(self) -> list[Outputs]:
        return [each for each in (self._train, self._probe) if each is not None]

    def speak(self) -> None:
        """Tell what was found since the last time, in the thread that calls this."""
        for outputs in self._opened():
            while outputs.complaints:
                complaint = outputs.complaints.pop()
                if not self._has_complained:
                    announce(complaint)
                self._has_complained = True
        while self._faults:
            announce(self._faults.pop())
        while self._course is not None and self._course.news:
            self._respond(self._course.news.popleft(), self._is_over)


def _note_probe(outputs: Outputs, reading: Reading) -> None:
    snapshot = reading.snapshot()
    if outputs.history:
        snapshot = drifted(snapshot, outputs.history[-1], outputs.history[0])
    outputs.write(snapshot, summarize(snapshot))
