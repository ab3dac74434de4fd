"""Training with the monitor against training without it, and against Keras' own callback.

Every step is timed, so that what happens once (tracing, the look at the initialization, the look at
the end) can be told from what happens again and again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import keras

from benchmarks.measuring import Row, alone, peak, say
from benchmarks.models import MODELS, Case
from keras_initscope import VarianceMonitor

_MONITORED: dict[str, str | int] = {
    "every step": 1,
    "every 10th step": 10,
    "every 100th step": 100,
    '"auto"': "auto",
}
_KERAS = "`TensorBoard(histogram_freq=1)`"
_ROUNDS = 5
_BEGIN = 10  # steps
_LENGTHS = {"every step": (1, 30), "every 10th step": (1, 100)}  # epochs and steps; else:
_LENGTH = (3, 100)
_TARGETS = {"every 100th step": "<= 1.015", '"auto"': "<= 1.01"}


class _Clock(keras.callbacks.Callback):
    """Notes when each training step ends, and when the fit does."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.ends = [time.perf_counter()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())

    @property
    def steps(self) -> list[float]:
        """Seconds from the end of one step to the end of the next, first step first."""
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]


@dataclass
class _Fits:
    """What several fits of one kind took.

    Args:
        per_step: Mean seconds a step in each fit, what happens once left out.
        plain: Seconds of each step that was not looked at.
        looked: Seconds of each step that was.
        setup: Seconds of each fit that its first steps and its end took.
    """

    per_step: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)
    setup: list[float] = field(default_factory=list)


def run(quick: bool) -> Iterator[Row]:
    """Compare the ways to train each model."""
    every_kind = ["plain", *_MONITORED, _KERAS]
    for number, (name, build) in enumerate(MODELS.items()):
        kinds = every_kind if not (quick and number) else ["plain", "every 10th step"]
        found = _measure(name, build(_LENGTH[1]), kinds, 1 if quick else _ROUNDS)
        yield from _rows(name, found)
    for name in list(MODELS)[:1] if quick else MODELS:
        say(f"peak memory of training: {name}")
        without, monitored = (alone(peak_of_fit, name, every) for every in (0, 10))
        yield Row(
            what=f"{name}: peak memory of fit with a look every 10th step",
            result=f"{monitored / without:.2f} x plain ({(monitored - without) / 2**20:+.0f} MiB)",
            target="<= 1.10 x",
        )


def _measure(name: str, case: Case, kinds: list[str], rounds: int) -> dict[str, _Fits]:
    found = {kind: _Fits() for kind in kinds}
    _fit(case, None, (1, 10))  # what is traced once a model is paid by nobody
    for number in range(rounds):
        for kind in kinds:
            say(f"{name}, round {number + 1} of {rounds}: {kind}")
            with tempfile.TemporaryDirectory() as folder:
                _note(found[kind], *_fit(case, _callback(kind, folder), _length(kind)))
    return found


def _length(kind: str) -> tuple[int, int]:
    return _LENGTHS.get(kind, _LENGTH)


def _callback(kind: str, folder: str) -> Any:
    if kind in _MONITORED:
        return VarianceMonitor(folder, update_freq=_MONITORED[kind])
    return keras.callbacks.TensorBoard(folder, histogram_freq=1) if kind == _KERAS else None


def _fit(
    case: Case, callback: Any, length: tuple[int, int]
) -> tuple[list[float], list[int], float]:
    """Seconds of each step, the numbers of the steps looked at, and seconds after the last step."""
    epochs, steps = length
    clock, examples = _Clock(), steps * case.batch_size
    begun = int(case.model.optimizer.iterations.numpy())
    case.model.fit(
        case.x[:examples],
        case.y[:examples],
        batch_size=case.batch_size,
        epochs=epochs,
        callbacks=[clock] if callback is None else [callback, clock],
        verbose=0,
    )
    rest = time.perf_counter() - clock.ends[-1]
    looked = [snapshot.step - begun for snapshot in getattr(callback, "history", [])]
    return clock.steps, looked, rest


def _note(fits: _Fits, steps: list[float], looked: list[int], rest: float) -> None:
    # The first two steps trace, what they leave is written beside the next ones, and the last is
    # looked at whatever the schedule says.
    again = range(_BEGIN, len(steps) - 1)
    fits.per_step.append(sum(steps[i] for i in again) / len(again))
    fits.looked += [steps[i] for i in again if i in looked]
    fits.plain += [steps[i] for i in again if i not in looked]
    fits.setup.append(sum(steps[:_BEGIN]) + steps[-1] + rest)


def _rows(name: str, found: dict[str, _Fits]) -> Iterator[Row]:
    plain = found["plain"]
    step = median(plain.plain)
    yield Row(what=f"{name}: a plain step", result=f"{step * 1e3:.2f} ms")
    for kind in list(found)[1:]:
        yield Row(
            what=f"{name}: fit, {kind}",
            result=f"{_ratio(found[kind], plain):.3f} x plain",
            target=_TARGETS.get(kind, ""),
        )
    monitored = [fits for kind, fits in found.items() if kind in _MONITORED]
    looked = [seconds for fits in monitored for seconds in fits.looked]
    yield Row(
        what=f"{name}: a monitored step",
        result=f"{median(looked) / step:.2f} plain steps",
        target="<= 2.25",
    )
    yield Row(
        what=f"{name}: an unmonitored step",
        result=f"{median(monitored[-1].plain) / step:.3f} plain steps",
        target="<= 1.005",
    )
    once = median(second for fits in monitored for second in fits.setup) - median(plain.setup)
    yield Row(what=f"{name}: once a fit (tracing, first and last look)", result=f"{once:.2f} s")


def _ratio(fits: _Fits, plain: _Fits) -> float:
    """Of fits of one round, one soon after the other: machines are not equally fast all day."""
    return median(a / b for a, b in zip(fits.per_step, plain.per_step, strict=True))


def peak_of_fit(name: str, every: int) -> int:
    """Greatest memory of a process that trains a model, looking every so many steps or never."""
    case = MODELS[name](30)
    with tempfile.TemporaryDirectory() as folder:
        _fit(case, VarianceMonitor(folder, update_freq=every) if every else None, (1, 30))
    return peak()
