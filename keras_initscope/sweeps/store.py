"""The finished cells of a sweep on disk: a file each, whole or not there.

Owns the files below `log_dir` but for those of TensorBoard, and whether they are of this sweep.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from keras_initscope.sweeps.cells import Cell, Plain, SweepError, checked_result, key_of
from keras_initscope.sweeps.identity import Identity

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one cell.

    Args:
        result: What the function returned; empty where it failed.
        error: Why it failed in one line, or empty.
        traceback: The same with all calls.
        seconds: How long it took.
    """

    result: Mapping[str, Plain]
    error: str = ""
    traceback: str = ""
    seconds: float = 0.0


class Store:
    """The files of one sweep.

    Args:
        log_dir: Directory; made if need be.
        identity: What results depend on beside the cell.
        tell: Takes a line about a file that cannot be used.
        meaning: What a cell's values stand for, of which those of other cells do not depend.

    Raises:
        SweepError: If the directory cannot be written, or holds another sweep or a table of none.
    """

    def __init__(
        self,
        log_dir: str | Path,
        identity: Identity,
        tell: Callable[[str], None],
        meaning: Callable[[Cell], Identity] = lambda cell: {},
    ) -> None:
        if not isinstance(log_dir, str | PathLike):
            raise SweepError(
                f"`log_dir` must be the path of a directory, or None. Received: {log_dir!r}."
            )
        self.folder = Path(log_dir)
        self._tell = tell
        self._meaning = meaning
        self._identity = dict(identity)
        self._digest = hashlib.sha256(repr(sorted(self._identity.items())).encode()).hexdigest()[
            :16
        ]
        self._cells = self.folder / "cells"
        self._about = self.folder / "sweep.json"
        self._table = self.folder / "table.csv"
        self._check_ours()
        self._open()

    def finished(self, cells: Sequence[Cell]) -> dict[int, Outcome]:
        """Number of each cell that has a result on disk, to it; of others that are not whole."""
        found = {number: self._read(cell) for number, cell in enumerate(cells)}
        return {number: outcome for number, outcome in found.items() if outcome is not None}

    def write(self, cell: Cell, outcome: Outcome) -> None:
        """Keep what came of a cell. A file is there when it is on the disk, and not before."""
        content = {
            "format": _FORMAT,
            "sweep": self._digest,
            "cell": dict(cell),
            "meaning": dict(self._meaning(cell)),
            **asdict(outcome),
        }
        _write_whole(self._path(cell), json.dumps(content) + "\n")

    def write_table(self, rows: Sequence[Mapping[str, Plain | None]]) -> Path:
        """The table as comma-separated values; empty where there is nothing.

        It holds these rows alone, in place of those of an earlier call.
        """
        with self._table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return self._table

    def _check_ours(self) -> None:
        for path in (self._about, self._table):
            _check_file(path)
        if self._table.exists() and not self._about.exists():
            raise SweepError(
                f"{str(self._table)!r} is not of a sweep, for there is no {self._about.name} "
                "beside it, and would be overwritten. Name another `log_dir`, or move that file."
            )

    def _open(self) -> None:
        try:
            self._cells.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._cells):
                pass
        except OSError as error:
            raise SweepError(
                "`log_dir` must be a directory that can be written. Received: "
                f"{str(self.folder)!r}, where writing fails with: {error.strerror or error}. Name "
                "another directory."
            ) from error
        if self._about.exists():
            self._compare(_loaded(self._about))
        _write_whole(self._about, json.dumps(self._identity, indent=2) + "\n")

    def _compare(self, before: Any) -> None:
        if not isinstance(before, dict):
            self._tell(f"{self._about} cannot be read and is written anew")
        elif before != self._identity:
            changed = [
                f"{name} was {before.get(name)!r} and is {self._identity.get(name)!r}"
                for name in {**before, **self._identity}
                if before.get(name) != self._identity.get(name)
            ]
            raise SweepError(
                f"{str(self.folder)!r} holds the results of another sweep: {'; '.join(changed)}. "
                "Results of both must not be mixed: name another `log_dir`, or delete this one."
            )

    def _read(self, cell: Cell) -> Outcome | None:
        path = self._path(cell)
        _check_file(path)
        if not path.exists():
            return None
        content = _loaded(path)
        try:
            is_ours = (content["sweep"], content["cell"]) == (self._digest, dict(cell))
            outcome = Outcome(
                result=checked_result(content["result"], cell),
                error=str(content["error"]),
                traceback=str(content["traceback"]),
                seconds=float(content["seconds"]),
            )
        except (KeyError, TypeError, ValueError):
            is_ours = False
        if not is_ours:
            self._tell(f"{path} is not a whole result of this sweep: its cell is run again")
            return None
        if content.get("meaning", {}) != dict(self._meaning(cell)):
            self._tell(f"{path} is of another function by the same name: its cell is run again")
            return None
        return None if outcome.error else outcome

    def _path(self, cell: Cell) -> Path:
        return self._cells / f"{key_of(cell)}.json"


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise SweepError(
            f"A sweep keeps a file at {str(path)!r}, where there is a directory. Move it, or name "
            "another `log_dir`."
        )


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or no text at all
        return None
    except OSError as error:
        raise SweepError(
            f"{str(path)!r} of this sweep cannot be read: {error.strerror or error}. Make it "
            "readable, or name another `log_dir`."
        ) from error
