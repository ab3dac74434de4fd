"""Where the snapshots of one fit go.

Owns the writers while the fit lasts. One that fails is closed and said once; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from keras_initscope.records import ModelInfo, Snapshot
from keras_initscope.writers import DepthWriter, JSONLinesWriter, TensorBoardWriter


class Writer(Protocol):
    """What takes snapshots, in the order in which they were made."""

    def write(self, snapshot: Snapshot, scalars: Mapping[str, float]) -> None:
        """Take one snapshot, and the whole network's scalars."""

    def close(self) -> None:
        """Write what is left, and take no more."""


#: Every output by the name that a user chooses it by.
WRITERS: Mapping[str, Callable[[str, ModelInfo], Writer]] = {
    "tensorboard": lambda log_dir, model: TensorBoardWriter(log_dir),
    "depth": lambda log_dir, model: DepthWriter(log_dir),
    "snapshots": JSONLinesWriter,
}


class Outputs:
    """Opens the writers with the first snapshot and hands them each one.

    Args:
        log_dir: Directory to write to.
        names: Which of `WRITERS`.
        model: The record of the model.

    Attributes:
        complaints: Sentences on what could not be written, for whoever may speak.
    """

    def __init__(self, log_dir: str, names: Iterable[str], model: ModelInfo) -> None:
        self._log_dir, self._names, self._model = log_dir, names, model
        self._writers: list[Writer] | None = None
        self._is_told = False
        self.complaints: list[str] = []

    def write(self, snapshot: Snapshot, scalars: Mapping[str, float]) -> None:
        """Hand a snapshot to every writer."""
        for writer in list(self._opened()):
            try:
                writer.write(snapshot, scalars)
            except Exception as error:  # a full disk, a directory taken away: others may go on
                self._opened().remove(writer)
                self._say(error)
                self._close(writer)

    def close(self) -> None:
        """Close all writers."""
        for writer in self._writers or []:
            self._close(writer)
        self._writers = []

    def __del__(self) -> None:
        """Close the files of a fit that was broken off, of which nobody told."""
        with suppress(Exception):  # the interpreter may be on its way out
            self.close()

    def _opened(self) -> list[Writer]:
        if self._writers is None:
            self._writers = []
            for name in self._names:
                try:
                    self._writers.append(WRITERS[name](self._log_dir, self._model))
                except Exception as error:  # the snapshots are still in `history`
                    self._say(error)
        return self._writers

    def _close(self, writer: Writer) -> None:
        try:
            writer.close()
        except Exception as error:  # what could not be flushed is lost, training is not
            self._say(error)

    def _say(self, error: Exception) -> None:
        if not self._is_told:
            self.complaints.append(
                f"VarianceMonitor cannot write all to {self._log_dir!r}; the snapshots of this fit "
                f"are in `history` all the same. Reason: {type(error).__name__}: {error}"
            )
        self._is_told = True
