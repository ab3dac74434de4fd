"""Tensors that spoil histograms, read by either of TensorBoard's readers from several files."""

from dataclasses import replace

import pytest
from end_to_end.dashboard import serve
from odd_tensors import ODD, assert_drawn

from keras_initscope.records import Snapshot, StepInfo
from keras_initscope.writers import TensorBoardWriter, summaries

STEPS = 3


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory):
    """A run of which each step has an event file of its own."""
    directory = tmp_path_factory.mktemp("odd") / "logs"
    measured = [odd.measured for odd in ODD.values()]
    stats = tuple(
        replace(entry, tap=replace(entry.tap, depth=depth)) for depth, entry in enumerate(measured)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summaries, "_LIMIT", 1_000)
        writer = TensorBoardWriter(str(directory))
        for step in range(STEPS):
            info = StepInfo(loss=None, learning_rate=None, time=1e9 + step)
            writer.write(Snapshot(step=step, info=info, stats=stats), {})
        writer.close()
    assert len(list((directory / "train").iterdir())) == STEPS
    return directory


@pytest.fixture(scope="module")
def server(load_fast, log_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("tensorboard") / "output.txt"
    with serve(log_dir, output, load_fast=load_fast) as opened:
        yield opened


@pytest.mark.parametrize("depth", range(len(ODD)), ids=list(ODD))
def test_every_finite_value_is_in_a_bar_at_every_step(server, depth):
    tag = f"kernel_gradient/{depth:03d}_a"
    drawn = [
        server.get("plugin/histograms/histograms", run="train", tag=name)
        for name in (tag, f"log10_abs_{tag}")
    ]
    assert [[step for _, step, _ in answer] for answer in drawn] == [list(range(STEPS))] * 2
    for (_, _, bins), (_, _, logarithmic) in zip(*drawn, strict=True):
        assert_drawn(bins, logarithmic, list(ODD.values())[depth])
