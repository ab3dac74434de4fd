"""A file of TensorBoard events.

Owns the record format. TensorBoard's own writer takes the checksum byte by byte in Python, which
would cost more than everything else about a histogram.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from contextlib import suppress

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event

_MASK = 0xA282EAD8  # so that the checksum of data that holds checksums stays a good one

_files = itertools.count()


class EventFile:
    """A new event file.

    Args:
        directory: Where to put it; made if it is not there.

    Attributes:
        directory: Where it is.
        size: Bytes written so far.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.size = 0
        os.makedirs(directory, exist_ok=True)
        now = time.time()
        # TensorBoard reads files in the order of their names, also those of the same second.
        mine = f"{socket.gethostname()}.{os.getpid()}.{next(_files):06d}"
        name = f"events.out.tfevents.{int(now)}.{mine}"
        self._file = open(os.path.join(directory, name), "xb")  # noqa: SIM115
        try:
            self.add(Event(wall_time=now, file_version="brain.Event:2"))
        except OSError:  # a full disk
            with suppress(OSError):  # which what is left in the buffer does not fit on either
                self._file.close()
            raise

    def add(self, event: Event) -> None:
        """Append one event, and flush."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        self.size += self._file.write(length + _checksum(length) + data + _checksum(data))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF)
