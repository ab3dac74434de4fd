"""All statistics of a snapshot in one compact table.

Owns which row is which tensor and which column is which statistic.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.records import Snapshot
from keras_initscope.writers.tags import Tags


class Table:
    """Rows of tensors and columns of statistics, which only ever grow.

    Args:
        tags: The names of the rows.
    """

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._rows: dict[str, dict[str, Any]] = {}
        self._columns: list[str] = []

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns so far."""
        return len(self._rows), len(self._columns)

    def of(self, snapshot: Snapshot) -> NDArray[np.float32]:
        """The table of one snapshot, NaN where it says nothing."""
        for stats in snapshot.stats:
            row = {**asdict(stats.tap), "quantity": str(stats.tap.quantity)}
            self._rows.setdefault(self._tags[stats.tap], row)
            self._columns += [name for name in stats.values if name not in self._columns]
        places = {tag: number for number, tag in enumerate(self._rows)}
        table = np.full(self.shape, np.nan, np.float32)
        for stats in snapshot.stats:
            numbers = [stats.values.get(name, np.nan) for name in self._columns]
            with np.errstate(over="ignore"):  # squares of the greatest floats
                table[places[self._tags[stats.tap]]] = numbers
        return table

    def legend(self) -> str:
        """JSON text that says what rows and columns are."""
        rows = [{"tag": tag, **row} for tag, row in self._rows.items()]
        return json.dumps({"tensors": rows, "statistics": self._columns})
