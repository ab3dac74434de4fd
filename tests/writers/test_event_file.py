"""Event files: the checksum of the standard, and records that TensorBoard reads."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as bytewise

from keras_initscope.writers.event_file import EventFile, crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x00000000),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
    ids=["nothing", "check value", "zeros", "ones", "rising", "falling"],
)
def test_published_values(data, expected):
    """The check value of the catalogue of CRCs, and the examples of RFC 3720, B.4."""
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [1, 7, 255, 256, 257, 511, 512, 1000, 4096, 10_007])
def test_any_length_gives_what_counting_byte_by_byte_gives(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc32c(data) == bytewise(data)


def test_tensorboard_reads_the_records_back(tmp_path):
    file = EventFile(str(tmp_path / "new" / "train"))
    events = [Event(step=step, wall_time=float(step)) for step in (0, 1, 1000)]
    for event in events:
        file.add(event)
    (path,) = (tmp_path / "new" / "train").iterdir()  # readable while it is still open
    read = list(EventFileLoader(str(path)).Load())
    file.close()
    assert read[0].file_version == "brain.Event:2"
    assert [(event.step, event.wall_time) for event in read[1:]] == [(0, 0), (1, 1), (1000, 1000)]


def test_two_files_of_the_same_second_are_two(tmp_path):
    for _ in range(3):
        EventFile(str(tmp_path)).close()
    assert len(list(tmp_path.iterdir())) == 3
