"""A file of TensorBoard events, written as fast as NumPy allows.

Owns the record format and its checksum. TensorBoard's own writer takes the checksum byte by byte in
Python, which would cost more than everything else about a histogram.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event

_Words = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), bits reversed
_ONES = 0xFFFFFFFF
_MASK = 0xA282EAD8  # so that the checksum of data that holds checksums stays a good one
_LANES = 256

_files = itertools.count()


class EventFile:
    """A new event file.

    Args:
        directory: Where to put it; made if it is not there.
    """

    def __init__(self, directory: str) -> None:
        os.makedirs(directory, exist_ok=True)
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{next(_files)}"
        self._file = open(os.path.join(directory, name), "xb")  # noqa: SIM115
        self.add(Event(wall_time=now, file_version="brain.Event:2"))

    def add(self, event: Event) -> None:
        """Append one event, and flush."""
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        self._file.write(length + _checksum(length) + data + _checksum(data))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK) & _ONES)


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data`.

    But for its start value a CRC is linear, so the data is cut into lanes whose checksums are taken
    side by side and then joined in pairs, the left one moved on by the right one's length.
    """
    size = -(-len(data) // _LANES)
    padded = np.zeros(_LANES * size, np.uint8)  # zeros in front change nothing
    padded[padded.size - len(data) :] = np.frombuffer(data, np.uint8)
    lanes = np.zeros(_LANES, np.uint32)
    for column in np.ascontiguousarray(padded.reshape(_LANES, size).T):
        lanes = _TABLE[(lanes ^ column) & 0xFF] ^ (lanes >> 8)
    step = _further(size)
    while lanes.size > 1:
        lanes = _apply(step, lanes[::2]) ^ lanes[1::2]
        step = _apply(step, step)
    start = _apply(_further(len(data)), np.array([_ONES], np.uint32))
    return int(lanes[0] ^ start[0]) ^ _ONES


def _table() -> _Words:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1)
    return values


def _apply(matrix: _Words, vectors: _Words) -> _Words:
    """Multiply a 32 x 32 bit matrix, given by its columns, with bit vectors."""
    bits = (vectors[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    return np.bitwise_xor.reduce(bits * matrix, axis=1)


def _further(count: int) -> _Words:
    """The matrix that moves a checksum on by `count` zero bytes."""
    columns = np.uint32(1) << np.arange(32, dtype=np.uint32)
    result, power = columns, _TABLE[columns & 0xFF] ^ (columns >> 8)
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result


_TABLE = _table()
