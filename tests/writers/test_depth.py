"""Depth profiles: which curves are drawn, and where their points are."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats
from keras_initscope.writers import DepthWriter

INFO = StepInfo(loss=None, learning_rate=None, time=1e9)


def entry(depth, quantity, variance, part=""):
    tap = Tap(layer=f"layer{depth}", quantity=Quantity(quantity), depth=depth, size=4, part=part)
    return TensorStats(tap=tap, values={"variance": variance})


def snapshot(*entries, step=0, origin="measured"):
    return Snapshot(step=step, info=INFO, stats=entries, origin=origin)


def curves(directory):
    """Run to tag to `(depth, value)` points."""
    found = {}
    for run in sorted(directory.glob("depth/*")):
        accumulator = EventAccumulator(str(run), size_guidance={"tensors": 0})
        accumulator.Reload()
        found[run.name] = {
            tag: [
                (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
                for event in accumulator.Tensors(tag)
            ]
            for tag in accumulator.Tags()["tensors"]
        }
    return found


def test_points_stand_at_the_depth_of_their_layer(tmp_path):
    """A gradient is that of the preactivation where a layer has one, else that of its output."""
    writer = DepthWriter(str(tmp_path))
    writer.write(
        snapshot(
            entry(2, "activation", 0.1),
            entry(2, "activation_gradient", 8.0),
            entry(2, "preactivation_gradient", 4.0),
            entry(7, "activation", 10.0),
            entry(7, "activation", 5.0, part="output_1"),
            entry(7, "activation_gradient", 2.0),
            entry(7, "kernel", 3.0),
        ),
        {},
    )
    (run,) = curves(tmp_path).items()
    assert run[0] == "step_0"
    assert run[1] == {
        "depth/activation_variance": [(2, pytest.approx(0.1)), (7, 10.0)],
        "depth/log10_activation_variance": [(2, pytest.approx(-1.0)), (7, 1.0)],
        "depth/gradient_variance": [(2, 4.0), (7, 2.0)],
        "depth/log10_gradient_variance": [
            (2, pytest.approx(np.log10(4))),
            (7, pytest.approx(np.log10(2))),
        ],
    }


def test_zero_has_no_logarithm(tmp_path):
    DepthWriter(str(tmp_path)).write(snapshot(entry(0, "activation", 0.0)), {})
    assert curves(tmp_path) == {"step_0": {"depth/activation_variance": [(0, 0.0)]}}


def test_the_first_the_first_of_each_decade_and_the_last(tmp_path):
    writer = DepthWriter(str(tmp_path))
    writer.write(snapshot(entry(0, "activation", 1.0), origin="predicted"), {})
    for step in (0, 4, 8, 12, 16, 100, 250, 260):
        writer.write(snapshot(entry(0, "activation", 1.0), step=step), {})
    drawn = {"theory", "step_0", "step_4", "step_12", "step_100"}
    assert set(curves(tmp_path)) == drawn
    writer.close()
    assert set(curves(tmp_path)) == drawn | {"step_260"}


def test_a_second_fit_takes_the_place_of_a_curve(tmp_path):
    for variance in (1.0, 2.0):
        writer = DepthWriter(str(tmp_path))
        first, last = entry(0, "activation", variance), entry(1, "activation", variance)
        writer.write(snapshot(first, last), {})
        writer.close()
    found = curves(tmp_path)["step_0"]["depth/activation_variance"]
    assert found == [(0, 2.0), (1, 2.0)]


def test_nothing_to_draw_makes_no_run(tmp_path):
    writer = DepthWriter(str(tmp_path))
    writer.write(snapshot(entry(0, "kernel", 1.0)), {})
    writer.close()
    assert not list(tmp_path.iterdir())
