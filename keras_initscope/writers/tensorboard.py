"""Snapshots as TensorBoard records: histograms of every tensor, scalars of the whole network.

Owns tags and the layout of the log directory. All that belongs to a step goes into one record, with
histograms already binned, so that a tag costs microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keras_initscope.records import Finding, Quantity, Snapshot, TensorStats
from keras_initscope.writers.bins import linear_bins, log_bins
from keras_initscope.writers.findings import findings_json, findings_page
from keras_initscope.writers.summaries import SummaryFile
from keras_initscope.writers.table import Table
from keras_initscope.writers.tags import Tags

_Bins = NDArray[np.float64]
_Texts = list[tuple[str, str]]

#: What spreads over decades, as gradients do and what an optimizer makes of them: also drawn as the
#: logarithm. Weights and signal are kept near one scale by initializers and activation functions.
_WIDE = {quantity for quantity in Quantity if quantity.is_gradient} | {Quantity.KERNEL_UPDATE}

#: Tensors binned in one go: larger arrays leave the cache and are given back to the system.
_AT_ONCE = 100


class TensorBoardWriter:
    """Writes to `<log_dir>/<run>`.

    Args:
        log_dir: Directory; made if it is not there.
        run: What TensorBoard is to call it.

    Attributes:
        file: Where it all goes, until the writer is closed.
    """

    def __init__(self, log_dir: str, run: str = "train") -> None:
        self.file = SummaryFile(os.path.join(log_dir, run))
        self._tags = Tags()
        self._table = Table(self._tags)
        self._shown: list[tuple[str, str, str]] | None = None

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Write one snapshot, the network's scalars and what is wrong as one record, and flush."""
        if not os.path.isdir(self.file.directory):
            # An open file takes records also after its directory has gone.
            raise FileNotFoundError(f"{self.file.directory!r} has been taken away.")
        known = self._table.shape
        table = self._table.of(snapshot)
        new = self._table.shape != known
        is_measured = snapshot.origin == "measured"
        legend = [("initscope/model", self._table.legend())] if new else []
        pages, texts = self._of_findings(findings)
        self.file.add(
            snapshot.step,
            snapshot.info.time,
            histograms=_histograms([(self._tags[stats.tap], stats) for stats in snapshot.stats]),
            scalars=((f"signal/{name}", number) for name, number in scalars.items()),
            tables=[("initscope/stats" if is_measured else "initscope/theory", table)],
            texts=[*legend, *texts],
            pages=pages,
        )

    def _of_findings(self, findings: Sequence[Finding] | None) -> tuple[_Texts, _Texts]:
        """Page and JSON text of the findings where others are true than before."""
        if findings is None:
            return [], []
        shown = [(finding.code, str(finding.severity), finding.layer) for finding in findings]
        if shown == self._shown:
            return [], []
        self._shown = shown
        return (
            [("findings", findings_page(findings))],
            [("initscope/findings", findings_json(findings))],
        )

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _histograms(tensors: Sequence[tuple[str, TensorStats]]) -> Iterator[tuple[str, _Bins]]:
    """Tag and bins of all that is drawn."""
    drawn = [(tag, stats) for tag, stats in tensors if stats.histogram is not None]
    for start in range(0, len(drawn), _AT_ONCE):
        yield from _binned(drawn[start : start + _AT_ONCE])


def _binned(tensors: Sequence[tuple[str, TensorStats]]) -> Iterator[tuple[str, _Bins]]:
    entries = [(tag, stats, stats.histogram) for tag, stats in tensors if stats.histogram]
    linear = linear_bins([h for *_, h in entries], limits=[_limits(s) for _, s, _ in entries])
    yield from zip((tag for tag, *_ in entries), linear, strict=True)
    wide = [(tag, h) for tag, stats, h in entries if stats.tap.quantity in _WIDE]
    logarithmic = log_bins([h for _, h in wide])
    yield from zip((f"log10_abs_{tag}" for tag, _ in wide), logarithmic, strict=True)


def _limits(stats: TensorStats) -> tuple[float, float]:
    unknown = float("nan")
    return stats.values.get("minimum", unknown), stats.values.get("maximum", unknown)
