"""What is found in the course of a run: each finding once, however often it is seen.

Owns when two findings are the same one. Judges nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import diagnose, is_explained
from keras_initscope.records import Finding, ModelInfo, Severity, Snapshot
from keras_initscope.records.history import remember


@dataclass(kw_only=True, slots=True)
class _Known:
    """A finding as it was seen last, all layers that it ever named, and whether it ever alarmed."""

    finding: Finding
    layers: frozenset[str]
    has_alarmed: bool


class Course:
    """Judges the snapshots of one run, in the order in which they were made.

    A finding is one that is known already if it has its code and a layer in common with it: the
    first layer of a signal that dies may be another one at each look.

    Args:
        model: The record of the model.

    Attributes:
        news: What nobody was told of yet: findings seen for the first time, and warnings that have
            become alarms. Whoever tells takes them out.
    """

    def __init__(self, model: ModelInfo) -> None:
        self._model = model
        self._known: list[_Known] = []
        self.news: deque[Finding] = deque()

    @property
    def findings(self) -> list[Finding]:
        """All that was found, each once as it was seen last, with the step of the first time."""
        return [known.finding for known in self._known]

    def take(
        self,
        snapshot: Snapshot,
        earlier: Sequence[Snapshot],
        predicted: Snapshot | None,
        probe: Sequence[Snapshot] = (),
    ) -> tuple[Finding, ...]:
        """Judge a snapshot.

        Args:
            snapshot: What was measured.
            earlier: What was measured before, oldest first.
            predicted: What theory says of the initialization.
            probe: What was measured on fixed examples before, oldest first.

        Returns:
            What is wrong at this step.
        """
        found = diagnose(
            Case(
                model=self._model,
                snapshot=snapshot,
                earlier=tuple(earlier),
                predicted=predicted,
                probe=tuple(probe),
            )
        )
        for finding in found:
            if not self._is_explained(finding):
                self._note(finding)
        return found

    def _is_explained(self, finding: Finding) -> bool:
        """Whether it follows from what did harm before: a NaN in the data is one in all weights."""
        alarms = {known.finding.code for known in self._known if known.has_alarmed}
        return is_explained(finding, alarms)

    def _note(self, finding: Finding) -> None:
        same = [known for known in self._known if _is_same(known, finding)]
        is_alarm = finding.severity is Severity.ALARM
        has_alarmed = any(known.has_alarmed for known in same)
        if not same or (is_alarm and not has_alarmed):
            self.news.append(finding)
        entry = _Known(
            finding=replace(finding, step=same[0].finding.step) if same else finding,
            layers=frozenset(finding.layers).union(*(known.layers for known in same)),
            has_alarmed=is_alarm or has_alarmed,
        )
        place = self._known.index(same[0]) if same else len(self._known)
        self._known = [known for known in self._known if known not in same]
        self._known.insert(place, entry)


def _is_same(known: _Known, finding: Finding) -> bool:
    shared = known.layers.intersection(finding.layers)
    return known.finding.code == finding.code and bool(
        shared or not known.layers or not finding.layers
    )


def replay(
    course: Course, snapshots: Iterable[Snapshot], probe: Iterable[Snapshot] = ()
) -> Iterator[tuple[Snapshot, tuple[Finding, ...]]]:
    """Judge a run that is over, as it would have been judged meanwhile.

    Args:
        course: Of a run of which nothing was judged yet.
        snapshots: What was predicted and measured, in that order.
        probe: What was measured on fixed examples.

    Yields:
        Each measured snapshot, and what was wrong then.
    """
    earlier: list[Snapshot] = []
    predicted: Snapshot | None = None
    fixed: list[Snapshot] = []
    ahead = deque(probe)
    for snapshot in snapshots:
        if snapshot.origin == "predicted":
            predicted = snapshot
        else:
            while ahead and ahead[0].step < snapshot.step:
                remember(fixed, ahead.popleft())
            yield snapshot, course.take(snapshot, earlier, predicted, fixed)
            remember(earlier, snapshot)
