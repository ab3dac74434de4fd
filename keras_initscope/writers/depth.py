"""Depth profiles in TensorBoard: how variance goes through the layers, predicted and measured.

Owns the runs under `<log_dir>/depth`. Their scalars have the depth of a layer for their step, so
that the pages Time Series and Scalars draw prediction and measurement as curves in one chart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from keras_initscope.records import Finding, Quantity, Snapshot
from keras_initscope.writers.summaries import SummaryFile

#: Tag to the quantities whose variance it shows; of those that a layer has, the first.
_TAGS = {
    "activation_variance": (Quantity.ACTIVATION,),
    "gradient_variance": (Quantity.PREACTIVATION_GRADIENT, Quantity.ACTIVATION_GRADIENT),
}


class DepthWriter:
    """Writes to `<log_dir>/depth/theory` and `<log_dir>/depth/step_N`.

    The tags are `depth/activation_variance`, `depth/gradient_variance` (by the preactivation, or by
    the output of a layer that has none) and the decimal logarithm of both, in which a signal that
    dies or explodes on its way is a straight line.

    More than a few curves cannot be told apart: of the measured steps it draws the first, the first
    of each decade (1, 10, 100 ...) and the last.

    Args:
        log_dir: Directory; made if it is not there.
    """

    def __init__(self, log_dir: str) -> None:
        self._directory = os.path.join(log_dir, "depth")
        self._due = 0
        self._last: Snapshot | None = None

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Draw the curves of one snapshot, at once or as the last one when closed."""
        if snapshot.origin == "predicted":
            self._draw("theory", snapshot)
        elif snapshot.step < self._due:
            self._last = snapshot
        else:
            self._draw(f"step_{snapshot.step}", snapshot)
            self._due, self._last = 10 ** len(str(snapshot.step)) if snapshot.step else 1, None

    def close(self) -> None:
        """Draw the last curve."""
        if self._last is not None:
            self._draw(f"step_{self._last.step}", self._last)
        self._last = None

    def _draw(self, run: str, snapshot: Snapshot) -> None:
        points = _points(snapshot)
        if not points:
            return
        file = SummaryFile(os.path.join(self._directory, run))
        try:
            file.add(0, snapshot.info.time)
            for depth in sorted(points):
                file.add(depth, snapshot.info.time, scalars=points[depth])
        finally:
            file.close()


def _points(snapshot: Snapshot) -> dict[int, list[tuple[str, float]]]:
    """Depth to tags and numbers."""
    points: dict[int, list[tuple[str, float]]] = {}
    for name, quantities in _TAGS.items():
        for depth, variance in _variances(snapshot, quantities).items():
            found = points.setdefault(depth, [])
            found.append((f"depth/{name}", variance))
            if variance > 0:
                found.append((f"depth/log10_{name}", float(np.log10(variance))))
    return points


def _variances(snapshot: Snapshot, quantities: Sequence[Quantity]) -> dict[int, float]:
    return {
        entry.tap.depth: entry.values["variance"]
        for quantity in reversed(quantities)
        for entry in snapshot.stats
        if entry.tap.quantity is quantity and not entry.tap.part and "variance" in entry.values
    }
