"""Ask the rules about a network: at step 0 as `inspect` does, and during a fit.

Owns how a network is looked at and what came of it. Knows no rule.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

import keras_initscope as initscope
from benchmarks.zoo.subject import STEPS, Subject
from keras_initscope.diagnosis import Case, diagnose
from keras_initscope.records import Finding, ModelInfo, Report, Snapshot

FALLEN = 0.7  # of the first batch's loss: a network that trains


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the rules say of one network with one seed.

    Args:
        name: Of the network.
        subject: The network.
        seed: Of weights and data.
        look: "start" or "fit".
        findings: What was found, of a fit in any look.
        seconds: Of computing, of the longest diagnosis.
        losses: First and last, where it was trained.
        error: Why there is no verdict.
    """

    name: str
    subject: Subject
    seed: int
    look: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    losses: tuple[float, float] | None = None
    error: str = ""

    @property
    def codes(self) -> set[str]:
        """Of all findings."""
        return {finding.code for finding in self.findings}

    @property
    def is_expected(self) -> bool:
        """Whether the fault, if there is one, can be seen in this look."""
        return self.look in ("fit", self.subject.shows)

    @property
    def is_missed(self) -> bool:
        """Whether a fault was not named."""
        wanted = self.is_expected and not self.subject.is_healthy
        return wanted and not self.error and not self.codes & set(self.subject.wanted)

    @property
    def false_alarms(self) -> tuple[Finding, ...]:
        """What no one should have said."""
        right = {*self.subject.wanted, *self.subject.accepted}
        return tuple(each for each in self.findings if each.code not in right)

    @property
    def has_trained(self) -> bool:
        """Whether the loss has clearly fallen; a fit of adversaries need only stay finite."""
        if self.losses is None:
            return False
        first, last = self.losses
        span = abs(first) if self.subject.loss is not None else 1.0
        return bool(np.isfinite(last)) and (not self.subject.falls or first - last > 0.3 * span)


@dataclass
class Specimen:
    """A subject's model, kept from seed to seed so that it is traced once."""

    subject: Subject
    model: keras.Model = field(init=False)

    def __post_init__(self) -> None:
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        self.model = self.subject.made()
        self._build(self.model)
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        self._state = [np.array(v) for v in optimizer.variables]
        self._logs = tempfile.TemporaryDirectory()
        self.monitor = initscope.VarianceMonitor(self._logs.name, STEPS, outputs=())

    def _build(self, model: keras.Model) -> None:
        if not model.built:
            model(self.subject.examples(0)[0][:1])

    def draw(self, seed: int) -> None:
        """Fresh weights, and an optimizer that has done nothing."""
        keras.utils.set_random_seed(seed)
        fresh = self.subject.made()
        self._build(fresh)
        self.model.set_weights(fresh.get_weights())
        for variable, value in zip(self.model.optimizer.variables, self._state, strict=True):
            variable.assign(value)

    def start(self, seed: int) -> Report:
        """What `inspect` says."""
        return initscope.inspect(self.model, *self.subject.examples(seed))

    def fit(self, seed: int) -> tuple[list[Snapshot], tuple[float, float]]:
        """The looks of a short fit, and its first and last loss."""
        x, y = self.subject.examples(seed)
        options = {"batch_size": self.subject.batch, "epochs": self.subject.epochs, "verbose": 0}
        logs = self.model.fit(x, y, callbacks=[self.monitor], **options)
        history = self.monitor.history
        first = history[0].info.loss if history else None
        means = [float(np.mean(loss)) for loss in logs.history["loss"]]
        return history, (max(means[0], means[0] if first is None else first), means[-1])


def through(info: ModelInfo, history: Sequence[Snapshot]) -> tuple[tuple[Finding, ...], float]:
    """The first finding of each code and layer in a history, and the longest diagnosis."""
    found: dict[tuple[str, str], Finding] = {}
    longest = 0.0
    for i, snapshot in enumerate(history):
        begin = time.thread_time()
        case = Case(model=info, snapshot=snapshot, earlier=tuple(history[:i]))
        for finding in diagnose(case):
            found.setdefault((finding.code, finding.layer), finding)
        longest = max(longest, time.thread_time() - begin)
    return tuple(found.values()), longest


def _repeated(report: Report) -> float:
    case = Case(model=report.model, snapshot=report.measured, predicted=report.predicted)
    begin = time.thread_time()
    diagnose(case)
    return time.thread_time() - begin


def judged(name: str, subject: Subject, seeds: int, fits: int) -> Iterator[Verdict]:
    """What is said of a network at step 0 with so many seeds, and during so many fits."""
    labels: dict[str, Any] = {"name": name, "subject": subject}
    try:
        specimen = Specimen(subject)
        for seed in range(seeds):
            specimen.draw(seed)
            with warnings.catch_warnings(record=True):
                report = specimen.start(seed)
            told = {"findings": report.findings, "seconds": _repeated(report)}
            yield Verdict(**labels, seed=seed, look="start", **told)
            if seed >= fits:
                continue
            info = replace(report.model, planned_steps=STEPS * subject.epochs)
            with warnings.catch_warnings(record=True):
                history, losses = specimen.fit(seed)
            findings, seconds = through(info, history)
            told = {"findings": findings, "seconds": seconds, "losses": losses}
            yield Verdict(**labels, seed=seed, look="fit", **told)
    except Exception as error:  # one that cannot be judged does not end the benchmark
        yield Verdict(**labels, seed=-1, look="start", error=f"{type(error).__name__}: {error}")
