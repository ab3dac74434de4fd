"""The report at the end of a fit.

Owns which files it goes to. Draws nothing and judges nothing itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from keras_initscope.diagnosis import fit_report
from keras_initscope.records import Finding, ModelInfo, Snapshot
from keras_initscope.records.history import remember
from keras_initscope.writers import pictures_of, save_report
from keras_initscope.writers.summaries import SummaryFile


class ReportWriter:
    """Writes `report.md`, `depth.png` and `heatmap.png` when the fit is over, and to TensorBoard.

    There they are the text `report` and the images `report/depth` and `report/heatmap` of the run
    `train`, at the step of the last look. A fit that was not looked at has no report.

    Args:
        log_dir: Directory; made if it is not there.
        model: The watched model.
        probe: The history of the probe, as it is when the fit is over.
        file: What TensorBoard reads of the run; it is closed with the report. `None` makes one.
    """

    def __init__(
        self,
        log_dir: str,
        model: ModelInfo,
        probe: Sequence[Snapshot] = (),
        file: SummaryFile | None = None,
    ) -> None:
        self._log_dir, self._model, self._probe, self._file = log_dir, model, probe, file
        self._looks: list[Snapshot] = []
        self._predicted: Snapshot | None = None

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Remember a look, of a long fit as many as `VarianceMonitor.history` does."""
        if snapshot.origin == "predicted":
            self._predicted = snapshot
        else:
            remember(self._looks, snapshot)

    def close(self) -> None:
        """Write the report."""
        looks, self._looks = self._looks, []
        if not looks or sys.is_finalizing():  # then nothing can be imported that draws
            return
        report = fit_report(self._model, looks, self._predicted, self._probe)
        pictures = pictures_of(report)
        save_report(report, pictures, self._log_dir)
        file = self._file or SummaryFile(os.path.join(self._log_dir, "train"), beside=True)
        try:
            file.add(
                looks[-1].step,
                looks[-1].info.time,
                pages=[("report", report.markdown())],
                images=[
                    (f"report/{name.removesuffix('.png')}", png) for name, png in pictures.items()
                ],
            )
        finally:
            file.close()
