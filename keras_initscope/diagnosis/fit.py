"""The diagnosis of a whole fit, while it goes on or from what was written of it.

Owns which looks are judged and how what they find is put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.course import Course, replay
from keras_initscope.diagnosis.scope import coverage
from keras_initscope.records import (
    Finding,
    FitReport,
    ModelInfo,
    Severity,
    Sighting,
    Snapshot,
)

#: Looks that a report is made of at most; of more, evenly spread ones.
_LOOKS = 100


def fit_report(
    model: ModelInfo,
    snapshots: Sequence[Snapshot],
    predicted: Snapshot | None = None,
    probe: Sequence[Snapshot] = (),
) -> FitReport:
    """What the looks of a fit tell together.

    Use it on what `keras_initscope.writers.read_jsonlines` returns, to read a fit again that is
    over; `VarianceMonitor.report()` does the same with the fit that it has watched.

    Args:
        model: The watched model.
        snapshots: Its looks, oldest first. A predicted one among them is what theory says.
        predicted: What theory says of the first look, where it is not among them.
        probe: What was measured on fixed examples, if anything was.

    Returns:
        The report. It is made of a hundred looks at most, spread evenly from first to last.

    Raises:
        ValueError: If nothing was measured.

    Example:

    ```python
    from keras_initscope.diagnosis import fit_report
    from keras_initscope.records import ModelInfo, Snapshot, StepInfo

    looks = [
        Snapshot(step=step, info=StepInfo(loss=2.0, learning_rate=0.1, time=0.0), stats=())
        for step in (0, 100)
    ]
    report = fit_report(ModelInfo(name="net", layers=()), looks)
    assert report.headline.startswith("net: training steps 0 to 100, looked at 2 times")
    ```
    """
    measured = [each for each in snapshots if each.origin == "measured"]
    foreseen = [each for each in snapshots if each.origin == "predicted"]
    if not measured:
        raise ValueError(
            f"A report needs at least one measured snapshot. Received: {len(snapshots)} snapshots, "
            f"{len(foreseen)} of them predicted. Give what `monitor.history` or "
            "`read_jsonlines(log_dir)[1]` holds of a fit that was looked at."
        )
    looks = _spread(measured)
    theory = predicted or (foreseen[-1] if foreseen else None)
    judged = replay(Course(model), [*([theory] if theory else []), *looks], probe)
    checked, unchecked = coverage(replace(_fullest(model, looks), probe=tuple(probe)))
    return FitReport(
        model=model,
        snapshots=looks,
        predicted=theory,
        sightings=_sightings([findings for _, findings in judged]),
        checked=checked,
        unchecked=unchecked,
    )


def _spread(looks: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    count = len(looks)
    if count <= _LOOKS:
        return tuple(looks)
    return tuple(looks[i * (count - 1) // (_LOOKS - 1)] for i in range(_LOOKS))


def _fullest(model: ModelInfo, looks: Sequence[Snapshot]) -> Case:
    """A look of which most quantities were measured: after the last step there are no updates."""
    cases = [Case(model=model, snapshot=look) for look in looks]
    return max(cases, key=lambda case: len(case.quantities))


def _sightings(found: Sequence[tuple[Finding, ...]]) -> tuple[Sighting, ...]:
    """Alarms first, then what is still there, then what is gone."""
    by_code: dict[str, list[Finding]] = {}
    for findings in found:
        for finding in findings:
            by_code.setdefault(finding.code, []).append(finding)
    last = {finding.code for finding in found[-1]}
    sightings = [
        Sighting(
            finding=_gravest(same),
            first_step=same[0].step,
            last_step=same[-1].step,
            looks=len(same),
            is_there=code in last,
        )
        for code, same in by_code.items()
    ]
    return tuple(sorted(sightings, key=_rank))


def _gravest(same: Sequence[Finding]) -> Finding:
    """The first alarm, or else the first warning: closest to the cause."""
    alarms = [finding for finding in same if finding.severity is Severity.ALARM]
    return (alarms or list(same))[0]


def _rank(sighting: Sighting) -> tuple[bool, bool]:
    return sighting.finding.severity is not Severity.ALARM, not sighting.is_there
