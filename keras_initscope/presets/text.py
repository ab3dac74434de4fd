"""Numbers, tables and suggestions as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches


def cell_text(value: object) -> str:
    """A number in at most four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same columns as an aligned table: text to the left, numbers to the right."""
    if not rows:
        return "(no rows)"
    header = list(rows[0])
    cells = [[cell_text(row[name]) for name in header] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    left = [isinstance(value, str) for value in rows[0].values()]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(line, widths, left) for line in [header, rule, *cells])


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`"Did you mean 'a'? "` for the known names most like a given one, or an empty string."""
    close = get_close_matches(str(name), list(known), cutoff=0.5)
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    padded = (
        text.ljust(width) if to_left else text.rjust(width)
        for text, width, to_left in zip(cells, widths, left, strict=True)
    )
    return "  ".join(padded).rstrip()
