"""Event files: records that TensorBoard reads, checksums included."""

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from keras_initscope.writers import event_file
from keras_initscope.writers.event_file import EventFile


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


def test_on_a_full_disk_no_file_stays_open(tmp_path, monkeypatch):
    """Else Python would warn of it, long after the monitor has said that the disk is full."""

    class Full:
        is_closed = False

        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            Full.is_closed = True
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(event_file, "open", lambda *_: Full(), raising=False)
    with pytest.raises(OSError, match="No space left"):
        EventFile(str(tmp_path))
    assert Full.is_closed
