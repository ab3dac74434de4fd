"""The cells of a sweep on TensorBoard's page HParams: table, parallel coordinates, scatter plots.

Owns the summaries of that page: a run a cell with settings, numbers and how it ended, and one that
says which settings and numbers there are.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

from keras_initscope.sweeps.cells import Cell, Plain, as_float, key_of
from keras_initscope.sweeps.store import Outcome
from keras_initscope.writers.event_file import EventFile
from keras_initscope.writers.summaries import SummaryFile

#: Of more numbers than this a range is shown in place of a list to choose from.
_MOST_VALUES = 10
_LONGEST_NAME = 60
_EVENTS = "events.out.tfevents.*"


class HParams:
    """Writes the runs of a sweep below a log directory of TensorBoard.

    Args:
        log_dir: The directory.
        cells: All cells.
    """

    def __init__(self, log_dir: Path, cells: Sequence[Cell]) -> None:
        self._folder = log_dir
        self._columns = {name: [cell[name] for cell in cells] for name in cells[0]}
        self._metrics: list[str] = []

    def write(self, cell: Cell, outcome: Outcome) -> None:
        """A run for a cell, in place of the one that an earlier start may have left."""
        folder = self._folder / "runs" / _run_name(cell)
        _remove_events(folder)
        numbers = _numbers(outcome)
        ended = time.time()
        file = EventFile(str(folder))
        try:
            for summary in (
                summary_v2.hparams_pb(
                    _settings(cell, self._columns), folder.name, ended - outcome.seconds
                ),
                _session_end(bool(outcome.error), ended),
            ):
                file.add(Event(wall_time=ended, step=0, summary=summary))
        finally:
            file.close()
        scalars = SummaryFile(str(folder), beside=True)
        scalars.add(0, ended, scalars=numbers.items())
        scalars.close()
        self.describe(outcome.result)

    def describe(self, result: Mapping[str, Plain]) -> None:
        """Say which settings and numbers there are, where a result brings new ones."""
        new = [name for name in _number_names(result) if name not in self._metrics]
        if not new:
            return
        self._metrics += new
        _remove_events(self._folder)
        file = EventFile(str(self._folder))
        try:
            file.add(Event(wall_time=time.time(), step=0, summary=self._experiment()))
        finally:
            file.close()

    def _experiment(self) -> Summary:
        settings = [
            summary_v2.HParam(name, _domain(values)) for name, values in self._columns.items()
        ]
        metrics = [summary_v2.Metric(name) for name in self._metrics]
        return summary_v2.hparams_config_pb(settings, metrics)


def _run_name(cell: Cell) -> str:
    """Its values as far as a file name takes them, and what no other cell has."""
    values = "_".join(str(value) for value in cell.values())
    readable = re.sub(r"[^\w.+=-]+", "-", values)[:_LONGEST_NAME]
    return f"{readable}_{key_of(cell)[:6]}"


def _remove_events(folder: Path) -> None:
    for old in folder.glob(_EVENTS):
        old.unlink(missing_ok=True)


def _numbers(outcome: Outcome) -> dict[str, float]:
    """What can be drawn: neither texts nor numbers that are not finite, or too large."""
    named = {name: as_float(outcome.result[name]) for name in _number_names(outcome.result)}
    return {name: number for name, number in named.items() if isfinite(number)}


def _number_names(result: Mapping[str, Plain]) -> list[str]:
    return [name for name, value in result.items() if not isinstance(value, str)]


def _settings(cell: Cell, columns: Mapping[str, Sequence[Plain]]) -> dict[str, Plain]:
    """The values, all of a setting of one type: the page knows no mixture."""
    return {name: _kind(columns[name])(value) for name, value in cell.items()}


def _kind(values: Sequence[Plain]) -> Any:
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        return kinds.pop()
    return float if kinds == {int, float} else str


def _domain(values: Sequence[Plain]) -> summary_v2.Domain:
    kind = _kind(values)
    different = sorted({kind(value) for value in values})
    if kind in (int, float) and len(different) > _MOST_VALUES:
        return summary_v2.RealInterval(float(different[0]), float(different[-1]))
    return summary_v2.Discrete(different, kind)


def _session_end(is_failed: bool, ended: float) -> Summary:
    status = api_pb2.STATUS_FAILURE if is_failed else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
