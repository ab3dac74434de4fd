"""A run that was monitored, from what its log directory holds.

Owns what is said where there is nothing to read.
"""

from __future__ import annotations

from pathlib import Path

from keras_initscope.diagnosis import fit_report
from keras_initscope.inspection.refusal import InspectionError
from keras_initscope.records import FitReport, ModelInfo, Snapshot
from keras_initscope.writers import read_jsonlines
from keras_initscope.writers.jsonlines import NAME


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


def report_of_run(log_dir: Path) -> FitReport:
    """What the looks of a run tell together, read again.

    Args:
        log_dir: As it was given to `VarianceMonitor`.

    Returns:
        The report.

    Raises:
        InspectionError: If the run cannot be read, or not be judged.
    """
    model, snapshots, probe = read_run(log_dir)
    try:
        return fit_report(model, snapshots, probe=probe)
    except Exception as error:  # a rule that lacks a statistic, as of another version
        raise InspectionError(
            f"What was measured of {model.name!r} cannot be judged; it may have been written by "
            f"another version. Reason: {type(error).__name__}: {error}"
        ) from error
