"""Where the snapshots of one fit go.

Owns the writers while the fit lasts. One that fails is closed and said once; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from keras_initscope.callbacks.reporting import ReportWriter
from keras_initscope.records import Finding, ModelInfo, Snapshot
from keras_initscope.records.history import remember
from keras_initscope.writers import (
    DepthWriter,
    JSONLinesWriter,
    LayerScalarsWriter,
    TensorBoardWriter,
)


class Writer(Protocol):
    """What takes snapshots, in the order in which they were made."""

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Take one snapshot, the whole network's scalars, and what is wrong, if it was judged."""

    def close(self) -> None:
        """Write what is left, and take no more."""


class Opening(NamedTuple):
    """What a writer is opened with.

    Args:
        log_dir: Directory to write to.
        model: The record of the model.
        others: The writers that were opened before it.
        probe: The history of the probe, which grows.
    """

    log_dir: str
    model: ModelInfo
    others: Sequence[Writer]
    probe: Sequence[Snapshot]


def _report(at: Opening) -> ReportWriter:
    """In the one event file of the fit: TensorBoard may leave older files of a run unread."""
    files = [other.file for other in at.others if isinstance(other, TensorBoardWriter)]
    return ReportWriter(at.log_dir, at.model, at.probe, *files)


Factory = Callable[[Opening], Writer]
#: Every output by the name that a user chooses it by.
WRITERS: Mapping[str, Factory] = {
    "tensorboard": lambda at: TensorBoardWriter(at.log_dir),
    "depth": lambda at: DepthWriter(at.log_dir),
    "snapshots": lambda at: JSONLinesWriter(at.log_dir, at.model),
    "layer_scalars": lambda at: LayerScalarsWriter(at.log_dir),
    "report": _report,
}
#: Those that a user has by `"all"`.
USUAL = tuple(name for name in WRITERS if name != "layer_scalars")
#: Those of what is measured on the fixed probe, in a run of its own.
PROBE_WRITERS: Mapping[str, Factory] = {
    "tensorboard": lambda at: TensorBoardWriter(at.log_dir, "probe"),
    "snapshots": lambda at: JSONLinesWriter(os.path.join(at.log_dir, "probe"), at.model),
}


class Outputs:
    """Opens the writers with the first snapshot and hands them each one, and remembers it.

    Args:
        log_dir: Directory to write to.
        names: Which of the writers.
        model: The record of the model.
        writers: Name to how it is opened.
        probe: The history of the probe, for those that tell of it too.

    Attributes:
        history: The measured snapshots, in a long fit thinned out.
        complaints: Sentences on what could not be written, for whoever may speak.
    """

    def __init__(
        self,
        log_dir: str,
        names: Iterable[str],
        model: ModelInfo,
        writers: Mapping[str, Factory] = WRITERS,
        probe: Sequence[Snapshot] = (),
    ) -> None:
        self._log_dir, self._model, self._of_probe = log_dir, model, probe
        self._factories = [writers[name] for name in names if name in writers]
        self._writers: list[Writer] | None = None
        self.history: list[Snapshot] = []
        self._is_told = False
        self.complaints: list[str] = []

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Remember a measured snapshot, and hand it to every writer."""
        if snapshot.origin == "measured":
            remember(self.history, snapshot)
        for writer in list(self._opened()):
            try:
                writer.write(snapshot, scalars, findings)
            except Exception as error:  # a full disk, a directory taken away: others may go on
                self._opened().remove(writer)
                self._say(error)
                self._close(writer)

    def close(self) -> None:
        """Close all writers, the last one first: it may still write to the file of another."""
        for writer in reversed(self._writers or []):
            self._close(writer)
        self._writers = []

    def __del__(self) -> None:
        """Close the files of a fit that was broken off, of which nobody told."""
        with suppress(Exception):  # the interpreter may be on its way out
            self.close()

    def _opened(self) -> list[Writer]:
        if self._writers is None:
            self._writers = []
            opening = Opening(self._log_dir, self._model, self._writers, self._of_probe)
            for factory in self._factories:
                try:
                    self._writers.append(factory(opening))
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
