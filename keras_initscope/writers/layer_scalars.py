"""Every statistic of every tensor as a curve of its own.

Owns the run `<log_dir>/train/layers`. It is written where a user asks for it: of a deep network
these are thousands of charts, and the table that every run has holds the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from keras_initscope.records import Finding, Snapshot
from keras_initscope.writers.summaries import SummaryFile
from keras_initscope.writers.tags import Tags


class LayerScalarsWriter:
    """Writes scalars such as `variance/activation/007_block2/dense`.

    Args:
        log_dir: Directory; made if it is not there.
    """

    def __init__(self, log_dir: str) -> None:
        self._file = SummaryFile(os.path.join(log_dir, "train", "layers"))
        self._tags = Tags()

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Write all numbers of one measured snapshot as one record, and flush."""
        if snapshot.origin != "measured":
            return
        self._file.add(
            snapshot.step,
            snapshot.info.time,
            scalars=(
                (f"{name}/{self._tags[stats.tap]}", number)
                for stats in snapshot.stats
                for name, number in stats.values.items()
            ),
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
