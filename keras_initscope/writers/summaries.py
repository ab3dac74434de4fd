"""A file of summaries: tensors under tags, as TensorBoard's plugins read them.

Owns how a tensor and its metadata are put into an event.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.image.metadata import create_summary_metadata as image_metadata
from tensorboard.plugins.scalar.metadata import create_summary_metadata as scalar_metadata
from tensorboard.plugins.text.metadata import create_summary_metadata as text_metadata

from keras_initscope.writers.event_file import EventFile

_LIMIT = 1 << 28  # bytes of a file, before the next one is begun

_Metadata = Callable[[str, str], SummaryMetadata]


class SummaryFile:
    """A new event file for summaries, and others after it where a run is long.

    TensorBoard reads the files of a directory as one. Each has all that is needed to read it, so
    that old ones may be deleted.

    Args:
        directory: Where to put it; made if it is not there.
        beside: Whether it only adds to what other files of the directory hold: none of that ceases
            to count.

    Attributes:
        directory: Where it is.
    """

    def __init__(self, directory: str, beside: bool = False) -> None:
        self._events = EventFile(directory)
        self.directory = directory
        self._described: set[str] = set()
        self._is_begun = beside

    def add(
        self,
        step: int,
        time: float,
        *,
        histograms: Iterable[tuple[str, NDArray[np.float64]]] = (),
        scalars: Iterable[tuple[str, float]] = (),
        tables: Iterable[tuple[str, NDArray[np.float32]]] = (),
        texts: Iterable[tuple[str, str]] = (),
        pages: Iterable[tuple[str, str]] = (),
        images: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """Write all that belongs to a step as one record, and flush.

        What older files of the directory have from the first such step on counts no more, unless
        this one is beside them.

        Args:
            step: Place on the horizontal axis.
            time: Seconds since the epoch (1970).
            histograms: Tag and `(k, 3)` left edges, right edges and counts.
            scalars: Tag and number.
            tables: Tag and array; of a plugin of ours, which no page of TensorBoard shows yet.
            texts: Tag and text, for the same.
            pages: Tag and Markdown, for TensorBoard's page Text.
            images: Tag and PNG file, for its page Images.
        """
        if self._events.size >= _LIMIT:
            self._turn_over()
        event = Event(wall_time=time, step=step)
        for tag, bins in histograms:
            self._put(event.summary, tag, bins, histogram_metadata)
        for tag, number in scalars:
            with np.errstate(over="ignore"):  # squares of the greatest floats
                data = np.array(number, np.float32)
            self._put(event.summary, tag, data, scalar_metadata)
        for tag, table in tables:
            self._put(event.summary, tag, table, _our_metadata)
        for tag, text in texts:
            _put_text(event.summary, tag, text, _our_metadata)
        for tag, text in pages:
            _put_text(event.summary, tag, text, text_metadata)
        for tag, png in images:
            _put_image(event.summary, tag, png)
        if not self._is_begun:
            self._begin(step, time)
        if event.summary.value:
            self._events.add(event)

    def close(self) -> None:
        """Close the file."""
        self._events.close()

    def _turn_over(self) -> None:
        self._events.close()
        self._events = EventFile(self.directory)
        self._described.clear()

    def _begin(self, step: int, time: float) -> None:
        log = SessionLog(status=SessionLog.START)
        self._events.add(Event(wall_time=time, step=step, session_log=log))
        self._is_begun = True

    def _put(self, summary: Summary, tag: str, data: NDArray[Any], metadata: _Metadata) -> None:
        value = summary.value.add(tag=tag)
        value.tensor.CopyFrom(_empty(data.dtype, data.shape))
        value.tensor.tensor_content = data.tobytes()
        if tag not in self._described:  # TensorBoard needs a tag's metadata once
            self._described.add(tag)
            value.metadata.CopyFrom(metadata("", ""))


def _put_text(summary: Summary, tag: str, text: str, metadata: _Metadata) -> None:
    value = summary.value.add(tag=tag, metadata=metadata("", ""))
    value.tensor.dtype = DT_STRING
    value.tensor.tensor_shape.SetInParent()
    value.tensor.string_val.append(text.encode())


def _put_image(summary: Summary, tag: str, png: bytes) -> None:
    """Width and height as text, then the file, which says both in its header."""
    value = summary.value.add(tag=tag, metadata=image_metadata("", ""))
    value.tensor.dtype = DT_STRING
    value.tensor.tensor_shape.dim.add(size=3)
    sizes = (str(size).encode() for size in struct.unpack(">II", png[16:24]))
    value.tensor.string_val.extend([*sizes, png])


def _our_metadata(name: str, description: str) -> SummaryMetadata:
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name="initscope"),
        data_class=DATA_CLASS_TENSOR,
        display_name=name,
        summary_description=description,
    )


@cache
def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> TensorProto:
    """A tensor without its content, to be copied: built anew it would cost eight times as much."""
    proto = TensorProto(dtype=DT_DOUBLE if dtype == np.float64 else DT_FLOAT)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto
