"""The directory of a preset's files, and its table as a file."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

from keras_initscope.presets.result import PresetError, Row


def open_log_dir(log_dir: str | Path) -> Path:
    """Make a directory if need be, and make sure before the work that it can be written."""
    folder = Path(log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PresetError(
            f"`log_dir` must be a directory that can be written. Received: {str(log_dir)!r}, "
            f"where writing fails with: {error.strerror or error}. Name another directory."
        ) from error
    return folder


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows with the same columns as comma-separated values."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    return path
