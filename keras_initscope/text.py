"""Numbers, tables and suggestions as plain text.

Owns how cells are written and lined up. Knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from textwrap import fill

#: A column that must give way is not made narrower than this.
_NARROWEST = 10


def cell_text(value: object) -> str:
    """A number in at most four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same columns as an aligned table: text to the left, numbers to the right."""
    if not rows:
        return "(no rows)"
    cells = [[cell_text(value) for value in row.values()] for row in rows]
    return aligned(list(rows[0]), cells, [isinstance(value, str) for value in rows[0].values()])


def aligned(header: Sequence[str], cells: Sequence[Sequence[str]], left: Sequence[bool]) -> str:
    """A header and rows of cells, each column as wide as it must be.

    Args:
        header: Names of the columns; several may bear the same one.
        cells: The rows.
        left: Whether a column's cells are flush left, for each column.

    Returns:
        The lines, without an end of line after the last.
    """
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(line, widths, left) for line in [header, rule, *cells])


def markdown_table(
    header: Sequence[str], cells: Sequence[Sequence[str]], left: Sequence[bool]
) -> str:
    """The same as a Markdown table."""
    rule = [":--" if to_left else "--:" for to_left in left]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in [header, rule, *cells]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fitted(
    header: Sequence[str], cells: Sequence[Sequence[str]], columns: Sequence[int], width: int
) -> list[list[str]]:
    """Cells shortened in some columns, so that the aligned table is at most `width` wide.

    Args:
        header: Names of the columns.
        cells: The rows.
        columns: Which columns may be shortened, in the order in which they give way.
        width: How wide the table may be. It is wider only where those columns cannot give more.

    Returns:
        The rows.
    """
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for column in columns:
        excess = max(0, sum(widths) + 2 * (len(widths) - 1) - width)
        widths[column] = min(widths[column], max(_NARROWEST, widths[column] - excess))
    return [
        [shortened(cell, widths[i]) if i in columns else cell for i, cell in enumerate(row)]
        for row in cells
    ]


def bulleted(points: Iterable[str], width: int | None = None) -> str:
    """Points as a list, also in Markdown, its lines broken where they would exceed a width."""
    if width is None:
        return "\n".join(f"- {point}" for point in points)
    return "\n".join(
        fill(point, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
        for point in points
    )


def wrapped(text: str, width: int, indent: str = "") -> str:
    """A paragraph with its lines broken at words, the lines after the first one set in."""
    return fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent and indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def number_text(value: float | None, digits: int = 3) -> str:
    """A number in so many significant digits, and a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:#.{digits}g}".rstrip(".") if value else "0"


def shortened(text: str, width: int) -> str:
    """At most `width` characters of a text: both its ends, and an ellipsis for what is between."""
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


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
