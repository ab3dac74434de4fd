"""Cells: the settings that a sweep runs over, as plain values.

Owns what a cell and its result may be, and how both are told in a line. Runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import Any

import numpy as np

from keras_initscope.text import cell_text

Plain = str | int | float | bool
Cell = Mapping[str, Plain]

_MOST_BITS = 10_000  # Python writes no number of more than 4300 digits

#: The column of a table that says why a cell failed; no setting or result may have this name.
ERROR = "error"


class SweepError(ValueError):
    """What was asked of a sweep cannot be done; the message says why and what can."""


def checked_cells(cells: Iterable[Cell]) -> tuple[dict[str, Plain], ...]:
    """The cells as dictionaries of plain values, all with the same names and no two alike."""
    if not isinstance(cells, Iterable):
        raise SweepError(
            "The cells must be a list of mappings of the function's arguments. Received: "
            f"{cells!r} (of type {type(cells).__name__})."
        )
    found = tuple(_checked_cell(number, cell) for number, cell in enumerate(cells))
    if not found:
        raise SweepError("A sweep needs at least one cell. Received: none.")
    seen: dict[str, int] = {}
    for number, cell in enumerate(found):
        if cell.keys() != found[0].keys():
            raise SweepError(
                "All cells must have the same names. Received: "
                f"{sorted(found[0])} in cell 0, {sorted(cell)} in cell {number}."
            )
        first = seen.setdefault(key_of(cell), number)
        if first != number:
            raise SweepError(
                f"Cells {first} and {number} are the same: {cell}. Leave one out; to repeat "
                "something at random, give each cell a seed of its own."
            )
    return found


def key_of(cell: Cell) -> str:
    """What tells the values of a cell from those of another, whatever their order."""
    return hashlib.sha256(json.dumps(dict(cell), sort_keys=True).encode()).hexdigest()[:16]


def checked_result(result: Any, cell: Cell) -> dict[str, Plain]:
    """What a cell gave, as plain values; NumPy's scalars become Python's."""
    if not isinstance(result, Mapping):
        raise SweepError(
            "The function must return a mapping of names to texts, numbers or truth values. "
            f"Received: {result!r} (of type {type(result).__name__})."
        )
    plain = checked_entries("The function's result", result)
    if twice := plain.keys() & cell.keys():
        raise SweepError(
            f"The function's result has the names {sorted(twice)}, which the cell has as well. "
            "Name the results otherwise."
        )
    return plain


def checked_entries(whose: str, entries: Mapping[Any, Any]) -> dict[str, Plain]:
    """A mapping as plain values by names, none of which is that of the errors."""
    plain = {name: _plain(value) for name, value in entries.items()}
    for name, value in plain.items():
        _check_name(whose, name)
        _check_value(whose, name, value)
    return plain


def as_float(value: Plain) -> float:
    """A number as one; infinite where it is too large."""
    try:
        return float(value)
    except OverflowError:
        return inf


def words_of(error: BaseException) -> str:
    """What an exception of the user's says, which may raise another or be no text to be written."""
    try:
        text = str(error)
    except Exception as second:  # the user's own class may raise anything
        text = f"(it cannot be shown: its text raises {type(second).__name__})"
    return text.encode(errors="backslashreplace").decode()


def line_of(values: Mapping[str, Plain | None]) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name}={cell_text(value)}" for name, value in values.items())


def _checked_cell(number: int, cell: Any) -> dict[str, Plain]:
    if not isinstance(cell, Mapping):
        raise SweepError(
            f"Each cell must be a mapping of the function's arguments. Received: {cell!r} as cell "
            f"{number} (of type {type(cell).__name__})."
        )
    plain = checked_entries(f"Cell {number}", cell)
    for name, value in plain.items():
        if type(value) is int and not isfinite(as_float(value)):
            raise SweepError(
                f"Cell {number} must have whole numbers of at most 308 digits. Received: one of "
                f"{value.bit_length()} bits as {name}. Make it within the function from a smaller "
                "one."
            )
    return plain


def _check_name(whose: str, name: Any) -> None:
    if not isinstance(name, str) or name == ERROR or not _is_encodable(name):
        raise SweepError(
            f"{whose} must have names that are texts other than {ERROR!r}. Received: {name!r}."
        )


def _check_value(whose: str, name: str, value: Any) -> None:
    if not isinstance(value, str | int | float):
        raise SweepError(
            f"{whose} must have texts, numbers and truth values only. Received: {name}={value!r} "
            f"(of type {type(value).__name__}). Name what is not plain, and look it up in the "
            "function."
        )
    if isinstance(value, str) and not _is_encodable(value):
        raise SweepError(
            f"{whose} must have texts that UTF-8 can write. Received: {name}={value!r}, which has "
            "half a character (a lone surrogate). Leave it out of the text."
        )
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise SweepError(
            f"{whose} must have whole numbers of at most {_MOST_BITS} bits. Received: one of "
            f"{value.bit_length()} as {name}. Give its logarithm, or write it as a text."
        )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
