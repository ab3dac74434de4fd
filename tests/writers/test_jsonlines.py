"""JSON lines: what is written comes back, whatever the numbers and however the process ended."""

import json
from dataclasses import replace

import numpy as np
import pytest

from keras_initscope.records import (
    Histogram,
    LayerInfo,
    ModelInfo,
    Quantity,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)
from keras_initscope.writers import JSONLinesWriter, read_jsonlines

MODEL = ModelInfo(
    name="<b>模型</b>",
    layers=(LayerInfo(path="a", kind="Dense", depth=0, activation="relu", parents=("z",)),),
    planned_steps=None,
)


def snapshot(step=0, quantity=Quantity.KERNEL, histogram=True, **values):
    tap = Tap(layer="block/<script>", quantity=quantity, depth=12, size=9, part="recurrent_kernel")
    counted = Histogram(buckets=np.array([0, 1016], np.int32), counts=np.array([4, 5], np.int64))
    stats = TensorStats(
        tap=tap, values={"mean": 0.1, **values}, histogram=counted if histogram else None
    )
    info = StepInfo(loss=None, learning_rate=1e-3, time=1.7e9, updates=3)
    return Snapshot(step=step, info=info, stats=(stats,))


def same(left, right):
    """Equal records, NaN equal to NaN."""
    assert (left.step, left.origin) == (right.step, right.origin)
    assert repr(left.info) == repr(right.info)
    for mine, theirs in zip(left.stats, right.stats, strict=True):
        assert mine.tap == theirs.tap
        assert repr(dict(mine.values)) == repr(dict(theirs.values))
        assert (mine.histogram is None) == (theirs.histogram is None)
        if mine.histogram is not None:
            for name in ("buckets", "counts"):
                ours, others = getattr(mine.histogram, name), getattr(theirs.histogram, name)
                np.testing.assert_array_equal(ours, others)
                assert ours.dtype == others.dtype


def write(directory, *snapshots):
    writer = JSONLinesWriter(str(directory), MODEL)
    for entry in snapshots:
        writer.write(entry, {"forward_slope": float("nan")})
    writer.close()


def test_round_trip(tmp_path):
    written = [
        snapshot(0),
        snapshot(5, Quantity.ACTIVATION_GRADIENT, histogram=False),
        snapshot(1 << 40, mean=float("nan"), maximum=float("inf"), minimum=-float("inf")),
        snapshot(7, mean=5e-324, variance=1.7976931348623157e308),
    ]
    write(tmp_path / "new" / "directory", *written)
    model, found = read_jsonlines(tmp_path / "new" / "directory")
    assert model == MODEL
    assert len(found) == len(written)
    for mine, theirs in zip(found, written, strict=True):
        same(mine, theirs)


def test_each_tensor_gets_its_own_histogram_back(tmp_path):
    """Of several, among them none and an empty one, and counts that no 32 bits hold."""
    counted = [([0, 4095], [1, 1 << 40]), None, ([], []), ([7], [3])]
    tap = Tap(layer="a", quantity=Quantity.KERNEL, depth=0, size=9)
    stats = [
        TensorStats(
            tap=tap,
            values={},
            histogram=pair
            and Histogram(buckets=np.array(pair[0], np.int32), counts=np.array(pair[1], np.int64)),
        )
        for pair in counted
    ]
    written = replace(snapshot(), stats=tuple(stats))
    write(tmp_path, written)
    same(read_jsonlines(tmp_path)[1][0], written)


FORMAT_1 = """\
{"format":1,"model":{"name":"m","layers":[],"planned_steps":null}}
{"step":4,"origin":"measured","info":{"loss":"nan","learning_rate":0.1,"time":1.0,"updates":1},\
"scalars":{},"stats":[{"layer":"a","quantity":"kernel","depth":0,"size":9,"part":"",\
"values":{"mean":0.5},"buckets":[0,1016],"counts":[4,5]},\
{"layer":"a","quantity":"bias","depth":0,"size":3,"part":"","values":{}}]}
"""


def test_a_file_of_format_1_is_read_and_written_on(tmp_path):
    (tmp_path / "snapshots.jsonl").write_text(FORMAT_1)
    write(tmp_path, snapshot(5))
    old, new = read_jsonlines(tmp_path)[1]
    kernel, bias = old.stats
    assert (old.step, kernel.values, bias.histogram) == (4, {"mean": 0.5}, None)
    np.testing.assert_array_equal(kernel.histogram.buckets, [0, 1016])
    np.testing.assert_array_equal(kernel.histogram.counts, [4, 5])
    same(new, snapshot(5))


def test_a_last_line_cut_anywhere_hides_nothing_before_it(tmp_path):
    write(tmp_path, snapshot(0), snapshot(1))
    path = tmp_path / "snapshots.jsonl"
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for end in range(start, len(whole) - 1):
        path.write_bytes(whole[:end])
        (found,) = read_jsonlines(tmp_path)[1]
        same(found, snapshot(0))
    path.write_bytes(whole[:-1])  # whole but for its line break
    assert len(read_jsonlines(tmp_path)[1]) == 2


def test_numbers_that_json_does_not_know_are_strict_json_all_the_same(tmp_path):
    write(tmp_path, snapshot(mean=float("nan")))

    def refuse(constant):
        raise AssertionError(constant)

    for line in (tmp_path / "snapshots.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_every_snapshot_is_on_disk_before_the_next_step(tmp_path):
    writer = JSONLinesWriter(str(tmp_path), MODEL)
    writer.write(snapshot(3), {})
    assert [s.step for s in read_jsonlines(tmp_path)[1]] == [3]
    writer.close()


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_line_cut_off_is_left_out(tmp_path, cut):
    write(tmp_path, snapshot(0), snapshot(1))
    path = tmp_path / "snapshots.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    steps = [s.step for s in read_jsonlines(tmp_path)[1]]
    assert steps == ([0, 1] if cut == 1 else [0])  # cut by its line break alone it is whole


@pytest.mark.parametrize("cut", [0, 1, 2, 40, 200])
def test_a_fit_after_a_killed_one_writes_on(tmp_path, cut):
    """The torn line must not swallow the next one, nor make the file unreadable for good."""
    write(tmp_path, snapshot(0), snapshot(1))
    path = tmp_path / "snapshots.jsonl"
    path.write_bytes(path.read_bytes()[: -cut or None])
    write(tmp_path, snapshot(2))
    steps = [s.step for s in read_jsonlines(tmp_path)[1]]
    assert steps == ([0, 1, 2] if cut < 2 else [0, 2])


def test_a_character_cut_in_two_is_left_out(tmp_path):
    write(tmp_path, snapshot(0))
    path = tmp_path / "snapshots.jsonl"
    path.write_bytes(path.read_bytes() + '{"x":"模'.encode()[:-1])
    assert [s.step for s in read_jsonlines(tmp_path)[1]] == [0]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    write(tmp_path, snapshot(0))
    path = tmp_path / "snapshots.jsonl"
    path.write_text("{]\n" + path.read_text())
    with pytest.raises(ValueError, match=r"Line 1 of snapshots\.jsonl"):
        read_jsonlines(tmp_path)


def test_a_fit_that_starts_over_takes_the_place_of_what_was_there(tmp_path):
    write(tmp_path, *map(snapshot, (0, 10, 20)))
    write(tmp_path, *map(snapshot, (20, 30)))  # goes on
    assert [entry.step for entry in read_jsonlines(str(tmp_path))[1]] == [0, 10, 20, 30]
    write(tmp_path, *map(snapshot, (0, 5)))  # starts over
    assert [entry.step for entry in read_jsonlines(str(tmp_path))[1]] == [0, 5]


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_jsonlines(tmp_path)


def test_a_directory_taken_away_is_noticed(tmp_path):
    writer = JSONLinesWriter(str(tmp_path / "logs"), MODEL)
    (tmp_path / "logs" / "snapshots.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"snapshots\.jsonl"):
        writer.write(snapshot(), {})
    writer.close()
