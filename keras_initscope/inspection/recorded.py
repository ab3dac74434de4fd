"""A run that was monitored, from what its log directory holds.

Owns what is said where there is nothing to read, and the words about a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_initscope.diagnosis.course import Course, replay
from keras_initscope.inspection.refusal import InspectionError
from keras_initscope.measurement.network import summarize
from keras_initscope.records import Finding, ModelInfo, Snapshot
from keras_initscope.text import aligned, bulleted, number_text
from keras_initscope.writers import read_jsonlines
from keras_initscope.writers.jsonlines import NAME

_WIDTH = 100  # characters a line
_STEPS = 12  # lines of the table
#: Column of the table to the scalar of the whole network that it holds.
_COLUMNS = {
    "forward": "forward_slope",
    "backward": "backward_slope",
    "least s": "weakest_signal_share",
    "dead": "dead_fraction",
    "saturated": "saturated_fraction",
}
_LEGEND = (
    "forward, backward: change of the logarithm of the mean square of the preactivations and of "
    "their\ngradients, a layer; 0 keeps the signal, -0.69 halves it. least s: least share of an "
    "activation's mean\nsquare that tells examples apart. dead, saturated: share of the units. "
    "findings: how many at that step."
)


def read_run(log_dir: Path) -> tuple[ModelInfo, list[Snapshot], list[Snapshot]]:
    """What a monitor has written to a log directory.

    Args:
        log_dir: As it was given to `VarianceMonitor`.

    Returns:
        The model; the snapshots, at least one of them measured; and those of the probe.

    Raises:
        InspectionError: If there are none, or if they cannot be read.
    """
    path, probe = log_dir / NAME, log_dir / "probe"
    try:
        model, snapshots = read_jsonlines(str(log_dir))
        of_probe = read_jsonlines(str(probe))[1] if (probe / NAME).is_file() else []
    except (FileNotFoundError, NotADirectoryError) as error:
        below = sorted(repr(str(each.parent)) for each in log_dir.glob(f"*/{NAME}"))
        raise InspectionError(
            f"There is no {NAME} in {str(log_dir)!r}. Expected the log_dir of a VarianceMonitor "
            'with the output "snapshots", which is among those that it has by default.'
            + (f" There is one in {', '.join(below)}." if below else "")
        ) from error
    except (OSError, ValueError) as error:
        raise InspectionError(
            f"What is in {str(log_dir)!r} cannot be read. Reason: {error}"
        ) from error
    if model is None or all(each.origin != "measured" for each in snapshots):
        raise InspectionError(
            f"{str(path)!r} holds no measured snapshot: training ended before its first step was "
            "looked at, or the file was not begun by a VarianceMonitor."
        )
    return model, snapshots, of_probe


def run_text(
    model: ModelInfo, snapshots: Sequence[Snapshot], probe: Sequence[Snapshot] = ()
) -> str:
    """What was found in a run, and how the network stood meanwhile, as plain text.

    Raises:
        InspectionError: If it cannot be judged.
    """
    course = Course(model)
    try:
        looks = list(replay(course, snapshots, probe))
    except Exception as error:  # a rule that lacks a statistic, as of another version
        raise InspectionError(
            f"What was measured of {model.name!r} cannot be judged; it may have been written by "
            f"another version. Reason: {type(error).__name__}: {error}"
        ) from error
    found = bulleted(map(_told, course.findings), _WIDTH) or "Nothing is found to be wrong."
    return "\n\n".join([_headline(model, looks), found, _table(looks), _LEGEND])


def _headline(model: ModelInfo, looks: Sequence[tuple[Snapshot, Sequence[Finding]]]) -> str:
    first, last = looks[0][0], looks[-1][0]
    return (
        f"{model.name}: {len(model.layers)} layers, {len(looks)} snapshots of steps {first.step} "
        f"to {last.step}, loss {number_text(first.info.loss)} to {number_text(last.info.loss)}"
    )


def _told(finding: Finding) -> str:
    return (
        f"{finding.code} {finding.title} ({finding.severity}), first at step {finding.step}, in "
        f"{finding.where}. {finding.message} What to do: {finding.remedy}"
    )


def _table(looks: Sequence[tuple[Snapshot, Sequence[Finding]]]) -> str:
    """How the network stood at some of the steps, first and last among them."""
    places = {round(i * (len(looks) - 1) / (_STEPS - 1)) for i in range(_STEPS)}
    header = ("step", "loss", *_COLUMNS, "findings")
    cells = [_cells(*looks[place]) for place in sorted(places)]
    return aligned(header, cells, [False] * len(header))


def _cells(snapshot: Snapshot, findings: Sequence[Finding]) -> list[str]:
    scalars = summarize(snapshot)
    shown = [snapshot.info.loss, *(scalars.get(name) for name in _COLUMNS.values())]
    return [str(snapshot.step), *map(number_text, shown), str(len(findings))]
