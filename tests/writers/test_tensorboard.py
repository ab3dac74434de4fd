"""TensorBoard's own loader reads what the writer wrote."""

import json
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope.records import Histogram, Quantity, Snapshot, StepInfo, Tap, TensorStats
from keras_initscope.writers import LayerScalarsWriter, TensorBoardWriter, summaries
from keras_initscope.writers.bins import linear_bins, log_bins
from keras_initscope.writers.tags import tag_of


def stats(quantity, layer="block/dense", depth=7, part="", histogram=True):
    counted = Histogram(
        buckets=np.array([0, 1016, 1024, 3064], np.int32), counts=np.array([2, 4, 5, 6], np.int64)
    )
    tap = Tap(layer=layer, quantity=quantity, depth=depth, size=17, part=part)
    return TensorStats(tap=tap, values={}, histogram=counted if histogram else None)


def snapshot(step, *entries):
    return Snapshot(
        step=step, info=StepInfo(loss=1.0, learning_rate=0.1, time=1e9 + step), stats=entries
    )


def read(directory):
    accumulator = EventAccumulator(str(directory / "train"), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def drawn(accumulator):
    """The tags that pages of TensorBoard show."""
    return {tag for tag in accumulator.Tags()["tensors"] if not tag.startswith("initscope/")}


def events(accumulator, tag):
    return [
        (e.step, e.wall_time, tensor_util.make_ndarray(e.tensor_proto))
        for e in accumulator.Tensors(tag)
    ]


def test_a_second_fit_takes_the_place_of_the_first_from_its_first_step_on(tmp_path):
    for steps in ((0, 5, 10), (10, 15), (3, 4)):
        writer = TensorBoardWriter(str(tmp_path))
        for step in steps:
            writer.write(snapshot(step, stats(Quantity.KERNEL)), {})
        writer.close()
    found = [step for step, _, _ in events(read(tmp_path), "kernel/007_block/dense")]
    assert found == [0, 3, 4]


def test_names_that_come_out_the_same_are_told_apart(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    for step in range(2):
        writer.write(
            snapshot(step, *(stats(Quantity.BIAS, part=part) for part in ("w+", "w*"))), {}
        )
    writer.close()
    tags = {"bias/007_block/dense/w_", "bias/007_block/dense/w__1"}
    assert drawn(read(tmp_path)) == tags
    assert all(len(events(read(tmp_path), tag)) == 2 for tag in tags)


def test_every_tag_is_read_with_its_step_and_time(tmp_path):
    entries = [stats(quantity) for quantity in Quantity]
    writer = TensorBoardWriter(str(tmp_path))
    for step in (0, 3, 1_000_000):
        writer.write(snapshot(step, *entries), {"forward_slope": -0.5 * step})
    writer.close()
    accumulator = read(tmp_path)
    tags = {f"{quantity}/007_block/dense" for quantity in Quantity}
    tags |= {f"log10_abs_{tag}" for tag in tags if "gradient" in tag or "update" in tag}
    assert drawn(accumulator) == tags | {"signal/forward_slope"}
    for tag in tags:
        found = events(accumulator, tag)
        assert [(step, time) for step, time, _ in found] == [
            (0, 1e9),
            (3, 1e9 + 3),
            (1_000_000, 1e9 + 1_000_000),
        ]
        bins = log_bins if tag.startswith("log10_abs_") else linear_bins
        np.testing.assert_array_equal(found[0][2], bins([entries[0].histogram])[0])
        assert accumulator.SummaryMetadata(tag).plugin_data.plugin_name == "histograms"
    scalars = [float(value) for _, _, value in events(accumulator, "signal/forward_slope")]
    assert scalars == [0.0, -1.5, -500_000.0]
    plugin = accumulator.SummaryMetadata("signal/forward_slope").plugin_data.plugin_name
    assert plugin == "scalars"


def test_each_written_step_can_be_read_at_once(tmp_path):
    """A process that is killed leaves a file that ends with a whole record."""
    writer = TensorBoardWriter(str(tmp_path))
    writer.write(snapshot(4, stats(Quantity.KERNEL)), {})
    assert [e[0] for e in events(read(tmp_path), "kernel/007_block/dense")] == [4]
    writer.close()


def test_a_last_record_cut_anywhere_hides_nothing_before_it(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    sizes = []
    for step in (0, 1):
        writer.write(snapshot(step, stats(Quantity.KERNEL)), {})
        (path,) = (tmp_path / "train").iterdir()
        sizes.append(path.stat().st_size)
    writer.close()
    whole = path.read_bytes()
    for end in range(*sizes):
        path.write_bytes(whole[:end])
        assert [e[0] for e in events(read(tmp_path), "kernel/007_block/dense")] == [0]


@pytest.mark.parametrize("kept", [0, 2], ids=["all files", "the first two deleted"])
def test_a_long_run_is_one_run_in_several_files(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(summaries, "_LIMIT", 2_500)
    writer = TensorBoardWriter(str(tmp_path))
    watching = read(tmp_path)
    for step in range(10):
        writer.write(snapshot(step, stats(Quantity.KERNEL)), {"forward_slope": -0.5 * step})
        watching.Reload()  # as TensorBoard does while the run goes on
    writer.close()
    assert [e[0] for e in events(watching, "kernel/007_block/dense")] == list(range(10))
    files = sorted((tmp_path / "train").iterdir())
    assert len(files) > 3
    assert max(path.stat().st_size for path in files) < 4_000
    for path in files[:kept]:
        path.unlink()
    accumulator = read(tmp_path)
    for tag, plugin in (
        ("kernel/007_block/dense", "histograms"),
        ("signal/forward_slope", "scalars"),
    ):
        steps = [step for step, *_ in events(accumulator, tag)]
        assert steps == list(range(10 - len(steps), 10))
        assert len(steps) == 10 if not kept else 0 < len(steps) < 10
        assert accumulator.SummaryMetadata(tag).plugin_data.plugin_name == plugin


def test_numbers_that_are_not_finite_are_written(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    nothing = Histogram(buckets=np.array([2041], np.int32), counts=np.array([9], np.int64))
    tap = Tap(layer="a", quantity=Quantity.KERNEL, depth=0, size=9)
    entry = TensorStats(tap=tap, values={}, histogram=nothing)
    writer.write(snapshot(0, entry), {"forward_slope": float("nan"), "x": float("inf")})
    writer.close()
    accumulator = read(tmp_path)
    ((_, _, bins),) = events(accumulator, "kernel/000_a")
    assert bins.shape == (0, 3)
    ((_, _, slope),) = events(accumulator, "signal/forward_slope")
    assert np.isnan(slope)


def test_without_a_histogram_there_is_no_tag(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    writer.write(snapshot(0, stats(Quantity.BIAS, histogram=False)), {})
    writer.close()
    assert drawn(read(tmp_path)) == set()


TAGS = {
    ("dense", 3, ""): "kernel/003_dense",
    ("inner/dense", 12, ""): "kernel/012_inner/dense",
    ("lstm/lstm_cell", 0, "recurrent_kernel"): "kernel/000_lstm/lstm_cell/recurrent_kernel",
    ("<script>alert(1)</script>", 1, ""): "kernel/001__script_alert_1__/script_",
    ("größe_層", 2, ""): "kernel/002_größe_層",
    ("a b\n\"c'&", 1234, ""): "kernel/1234_a_b__c__",
}


@pytest.mark.parametrize("address", TAGS, ids=str)
def test_tags_are_made_of_harmless_characters(address):
    layer, depth, part = address
    tap = Tap(layer=layer, quantity=Quantity.KERNEL, depth=depth, size=1, part=part)
    assert tag_of(tap) == TAGS[address]


def test_tags_sort_by_depth():
    taps = [Tap(layer="a", quantity=Quantity.KERNEL, depth=d, size=1) for d in (2, 10, 100)]
    assert sorted(tag_of(tap) for tap in reversed(taps)) == [tag_of(tap) for tap in taps]


def test_a_directory_taken_away_is_noticed(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    writer.write(snapshot(0, stats(Quantity.KERNEL)), {})
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(FileNotFoundError, match="train"):
        writer.write(snapshot(1, stats(Quantity.KERNEL)), {})
    writer.close()


def test_the_table_holds_every_statistic_and_its_legend_says_which(tmp_path):
    def entry(quantity, depth, **values):
        tap = Tap(layer=f"layer{depth}", quantity=quantity, depth=depth, size=9)
        return TensorStats(tap=tap, values=values)

    writer = TensorBoardWriter(str(tmp_path))
    writer.write(snapshot(0, entry(Quantity.KERNEL, 0, mean=1.5, variance=2.0)), {})
    both = entry(Quantity.KERNEL, 0, mean=3.0), entry(Quantity.ACTIVATION, 1, signal=4.0)
    writer.write(snapshot(1, *both), {})
    writer.write(snapshot(2, *both), {})
    writer.close()
    accumulator = read(tmp_path)
    tables = [table for _, _, table in events(accumulator, "initscope/stats")]
    nan = np.nan
    np.testing.assert_array_equal(tables[0], np.float32([[1.5, 2.0]]))
    for table in tables[1:]:
        np.testing.assert_array_equal(table, np.float32([[3.0, nan, nan], [nan, nan, 4.0]]))
    legends = [
        (step, json.loads(text.item())) for step, _, text in events(accumulator, "initscope/model")
    ]
    assert [step for step, _ in legends] == [0, 1]  # when there is something new to say
    assert legends[1][1]["statistics"] == ["mean", "variance", "signal"]
    rows = [(row["tag"], row["layer"], row["size"]) for row in legends[1][1]["tensors"]]
    assert rows == [("kernel/000_layer0", "layer0", 9), ("activation/001_layer1", "layer1", 9)]
    assert accumulator.SummaryMetadata("initscope/stats").plugin_data.plugin_name == "initscope"


def test_predictions_are_a_table_of_their_own(tmp_path):
    writer = TensorBoardWriter(str(tmp_path))
    writer.write(replace(snapshot(0, stats(Quantity.ACTIVATION)), origin="predicted"), {})
    writer.close()
    tags = read(tmp_path).Tags()["tensors"]
    assert "initscope/theory" in tags
    assert "initscope/stats" not in tags


def test_every_statistic_as_a_curve_for_those_who_ask(tmp_path):
    writer = LayerScalarsWriter(str(tmp_path))
    for step in (0, 5):
        tap = Tap(layer="dense", quantity=Quantity.ACTIVATION, depth=3, size=9)
        writer.write(snapshot(step, TensorStats(tap=tap, values={"mean": step, "signal": 2.0})), {})
    writer.write(replace(snapshot(0), origin="predicted"), {})
    writer.close()
    accumulator = EventAccumulator(str(tmp_path / "train" / "layers")).Reload()
    assert set(accumulator.Tags()["tensors"]) == {
        "mean/activation/003_dense",
        "signal/activation/003_dense",
    }
    found = events(accumulator, "mean/activation/003_dense")
    assert [(step, float(value)) for step, _, value in found] == [(0, 0.0), (5, 5.0)]


def test_a_page_and_an_image_are_read_beside_what_was_there(tmp_path):
    """A report is added in a file of its own, at the last step, which goes on to count."""
    writer = TensorBoardWriter(str(tmp_path))
    for step in (0, 5):
        writer.write(snapshot(step, stats(Quantity.KERNEL)), {})
    writer.close()
    file = summaries.SummaryFile(str(tmp_path / "train"), beside=True)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + b"rest"
    file.add(5, 1e9 + 5, pages=[("report", "**hé**")], images=[("report/depth", png)])
    file.close()
    accumulator = read(tmp_path)
    assert [step for step, *_ in events(accumulator, "kernel/007_block/dense")] == [0, 5]
    ((step, _, image),) = events(accumulator, "report/depth")
    assert (step, image.tolist()) == (5, [b"640", b"480", png])
    ((_, _, text),) = events(accumulator, "report")
    assert text.item().decode() == "**hé**"
    for tag, plugin in (("report", "text"), ("report/depth", "images")):
        assert accumulator.SummaryMetadata(tag).plugin_data.plugin_name == plugin
