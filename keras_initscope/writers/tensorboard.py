"""Snapshots as TensorBoard records: histograms of every tensor, scalars of the whole network.

Owns tags and the layout of the log directory. All that belongs to a step goes into one record, with
histograms already binned, so that a tag costs microseconds.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from keras_initscope.buckets import linear_bins, log_bins
from keras_initscope.records import Snapshot, Tap, TensorStats
from keras_initscope.writers.summaries import SummaryFile

_UNSAFE = re.compile(r"[^-/\w.]")


class TensorBoardWriter:
    """Writes to `<log_dir>/<run>`.

    Args:
        log_dir: Directory; made if it is not there.
        run: What TensorBoard is to call it.
    """

    def __init__(self, log_dir: str, run: str = "train") -> None:
        self._file = SummaryFile(os.path.join(log_dir, run))
        self._tags: dict[tuple[str, int, str], str] = {}

    def write(self, snapshot: Snapshot, scalars: Mapping[str, float]) -> None:
        """Write one snapshot and the network's scalars as one record, and flush."""
        if not os.path.isdir(self._file.directory):
            # An open file takes records also after its directory has gone.
            raise FileNotFoundError(f"{self._file.directory!r} has been taken away.")
        self._file.add(
            snapshot.step,
            snapshot.info.time,
            histograms=(
                pair
                for stats in snapshot.stats
                for pair in _histograms(stats, self._tag(stats.tap))
            ),
            scalars=((f"signal/{name}", number) for name, number in scalars.items()),
        )

    def _tag(self, tap: Tap) -> str:
        """The tensor's tag, numbered where another name comes out the same."""
        key = tap.quantity, tap.depth, tap.name
        if key not in self._tags:
            tag, taken = tag_of(tap), set(self._tags.values())
            numbered = (f"{tag}_{number}" for number in itertools.count(1))
            free = (each for each in itertools.chain([tag], numbered) if each not in taken)
            self._tags[key] = next(free)
        return self._tags[key]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def tag_of(tap: Tap) -> str:
    """The tag of one tensor: quantity, depth and layer, in characters that dashboards accept.

    Args:
        tap: The tensor's address.

    Returns:
        For example `"activation/007_block2/dense"`.
    """
    return f"{tap.quantity}/{tap.depth:03d}_{_UNSAFE.sub('_', tap.name)}"


def _histograms(stats: TensorStats, tag: str) -> Iterator[tuple[str, NDArray[np.float64]]]:
    if stats.histogram is None:
        return
    unknown = float("nan")
    limits = stats.values.get("minimum", unknown), stats.values.get("maximum", unknown)
    yield tag, linear_bins(stats.histogram, limits=limits)
    if stats.tap.quantity.is_gradient:
        yield f"log10_abs_{tag}", log_bins(stats.histogram)
