"""A file of summaries: tensors under tags, as TensorBoard's plugins read them.

Owns how a tensor and its metadata are put into an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.scalar.metadata import create_summary_metadata as scalar_metadata

from keras_initscope.writers.event_file import EventFile

_Metadata = Callable[[str, str], SummaryMetadata]


class SummaryFile:
    """A new event file for summaries.

    Args:
        directory: Where to put it; made if it is not there.

    Attributes:
        directory: Where it is.
    """

    def __init__(self, directory: str) -> None:
        self._events = EventFile(directory)
        self.directory = directory
        self._described: set[str] = set()
        self._is_begun = False

    def add(
        self,
        step: int,
        time: float,
        *,
        histograms: Iterable[tuple[str, NDArray[np.float64]]] = (),
        scalars: Iterable[tuple[str, float]] = (),
    ) -> None:
        """Write all that belongs to a step as one record, and flush.

        What older files of the directory have from the first such step on counts no more.

        Args:
            step: Place on the horizontal axis.
            time: Seconds since the epoch (1970).
            histograms: Tag and `(k, 3)` left edges, right edges and counts.
            scalars: Tag and number.
        """
        values = [self._value(tag, bins, histogram_metadata) for tag, bins in histograms]
        values += [self._value(tag, np.float32(x), scalar_metadata) for tag, x in scalars]
        if not self._is_begun:
            self._begin(step, time)
        if values:
            self._events.add(Event(wall_time=time, step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        self._events.close()

    def _begin(self, step: int, time: float) -> None:
        log = SessionLog(status=SessionLog.START)
        self._events.add(Event(wall_time=time, step=step, session_log=log))
        self._is_begun = True

    def _value(self, tag: str, data: Any, metadata: _Metadata) -> Summary.Value:
        tensor = _tensor(np.asarray(data))
        if tag in self._described:  # TensorBoard reads a tag's metadata once
            return Summary.Value(tag=tag, tensor=tensor)
        self._described.add(tag)
        return Summary.Value(tag=tag, tensor=tensor, metadata=metadata("", ""))


def _tensor(array: NDArray[Any]) -> TensorProto:
    proto = TensorProto(dtype=DT_DOUBLE if array.dtype == np.float64 else DT_FLOAT)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = array.tobytes()
    return proto
