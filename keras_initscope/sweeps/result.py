"""What a sweep gives back.

Owns the table of its cells and how a person reads it. Runs nothing, writes no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_initscope.sweeps.cells import ERROR, Cell, Plain
from keras_initscope.sweeps.store import Outcome
from keras_initscope.text import aligned, bulleted, cell_text, shortened

Row = Mapping[str, Plain | None]

_LONGEST = 60  # characters of an error in a table


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResult:
    """The table of a sweep; `print(result)` shows it.

    Args:
        settings: Names of the columns that make a cell.
        rows: One a cell, in the order in which they were given: its settings, what the function
            returned, and `error`, empty where it succeeded. A failed cell has `None` for results.
        files: Files written: the table, and the directory of TensorBoard's runs.
    """

    settings: tuple[str, ...]
    rows: tuple[Row, ...]
    files: tuple[Path, ...] = ()

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of the cells that failed."""
        return tuple(row for row in self.rows if row[ERROR])

    @property
    def finished(self) -> tuple[Row, ...]:
        """The rows of the cells that did not."""
        return tuple(row for row in self.rows if not row[ERROR])

    def __str__(self) -> str:
        return rows_text(self.rows) + errors_text(self.rows)


def rows_of(cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> tuple[Row, ...]:
    """Cells and what came of them as rows with the same columns."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.result)
    return tuple(
        {**cell, **{name: outcome.result.get(name) for name in names}, ERROR: outcome.error}
        for cell, outcome in zip(cells, outcomes, strict=True)
    )


def rows_text(rows: Sequence[Row]) -> str:
    """Rows as an aligned table; the errors are shown where there are some, and not in full."""
    shown = [name for name in rows[0] if name != ERROR or any(row[ERROR] for row in rows)]
    cells = [[_text(row[name]) for name in shown] for row in rows]
    left = [any(isinstance(row[name], str) for row in rows) for name in shown]
    return aligned(shown, cells, left)


def errors_text(rows: Sequence[Row]) -> str:
    """Each different error in full, and how many cells have it; empty where there is none."""
    counts = Counter(str(row[ERROR]) for row in rows if row[ERROR])
    points = bulleted(
        f"{count} {'cell' if count == 1 else 'cells'}: {error}" for error, count in counts.items()
    )
    return f"\n\n{points}" if points else ""


def _text(value: Plain | None) -> str:
    return "-" if value is None else shortened(cell_text(value), _LONGEST)
