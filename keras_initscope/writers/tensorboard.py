"""Snapshots as TensorBoard records: histograms of every tensor, scalars of the whole network.

Owns tags and the layout of the log directory. All that belongs to a step goes into one record, with
histograms already binned, so that a tag costs microseconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.scalar.metadata import create_summary_metadata as scalar_metadata

from keras_initscope.buckets import linear_bins, log_bins
from keras_initscope.records import Snapshot, Tap, TensorStats
from keras_initscope.writers.event_file import EventFile

_UNSAFE = re.compile(r"[^-/\w.]")


class TensorBoardWriter:
    """Writes to `<log_dir>/train`.

    Args:
        log_dir: Directory; made if it is not there.
    """

    def __init__(self, log_dir: str) -> None:
        self._events = EventFile(os.path.join(log_dir, "train"))
        self._described: set[str] = set()

    def write(self, snapshot: Snapshot, scalars: Mapping[str, float]) -> None:
        """Write one snapshot and the network's scalars as one record, and flush."""
        if not os.path.isdir(self._events.directory):
            # An open file takes records also after its directory has gone.
            raise FileNotFoundError(f"{self._events.directory!r} has been taken away.")
        values = [
            self._value(tag, bins, histogram_metadata)
            for stats in snapshot.stats
            for tag, bins in _histograms(stats)
        ]
        values += [
            self._value(f"signal/{name}", np.float32(number), scalar_metadata)
            for name, number in scalars.items()
        ]
        event = Event(
            wall_time=snapshot.info.time, step=snapshot.step, summary=Summary(value=values)
        )
        self._events.add(event)

    def close(self) -> None:
        """Close the file."""
        self._events.close()

    def _value(
        self, tag: str, data: Any, metadata: Callable[[str, str], SummaryMetadata]
    ) -> Summary.Value:
        tensor = _tensor(np.asarray(data))
        if tag in self._described:  # TensorBoard reads a tag's metadata once
            return Summary.Value(tag=tag, tensor=tensor)
        self._described.add(tag)
        return Summary.Value(tag=tag, tensor=tensor, metadata=metadata("", ""))


def tag_of(tap: Tap) -> str:
    """The tag of one tensor: quantity, depth and layer, in characters that dashboards accept.

    Args:
        tap: The tensor's address.

    Returns:
        For example `"activation/007_block2/dense"`.
    """
    return f"{tap.quantity}/{tap.depth:03d}_{_UNSAFE.sub('_', tap.name)}"


def _histograms(stats: TensorStats) -> Iterator[tuple[str, NDArray[np.float64]]]:
    if stats.histogram is None:
        return
    tag = tag_of(stats.tap)
    unknown = float("nan")
    limits = stats.values.get("minimum", unknown), stats.values.get("maximum", unknown)
    yield tag, linear_bins(stats.histogram, limits=limits)
    if stats.tap.quantity.is_gradient:
        yield f"log10_abs_{tag}", log_bins(stats.histogram)


def _tensor(array: NDArray[Any]) -> TensorProto:
    proto = TensorProto(dtype=DT_DOUBLE if array.dtype == np.float64 else DT_FLOAT)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = array.tobytes()
    return proto
