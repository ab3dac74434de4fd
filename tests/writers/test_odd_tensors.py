"""Tensors that spoil histograms: what TensorBoard's loader and the JSON lines give back of them."""

import numpy as np
import pytest
from odd_tensors import ODD, assert_drawn
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope.records import ModelInfo, Snapshot, StepInfo
from keras_initscope.writers import JSONLinesWriter, TensorBoardWriter, read_jsonlines


@pytest.fixture(params=ODD, ids=str)
def written(request, tmp_path):
    """One odd tensor, and where it was written to."""
    odd = ODD[request.param]
    info = StepInfo(loss=None, learning_rate=None, time=1e9)
    snapshot = Snapshot(step=0, info=info, stats=(odd.measured,))
    model = ModelInfo(name="odd", layers=())
    for writer in TensorBoardWriter(str(tmp_path)), JSONLinesWriter(str(tmp_path), model):
        writer.write(snapshot, {})
        writer.close()
    return odd, tmp_path


def test_every_finite_value_is_in_a_bar(written):
    odd, directory = written
    accumulator = EventAccumulator(str(directory / "train"), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = "kernel_gradient/000_a", "log10_abs_kernel_gradient/000_a"
    found = [accumulator.Tensors(tag)[0].tensor_proto for tag in tags]
    assert_drawn(*map(tensor_util.make_ndarray, found), odd)


def test_what_is_not_finite_is_counted_apart(written):
    odd, directory = written
    (stats,) = read_jsonlines(directory)[1][0].stats
    assert stats.values["nonfinite_count"] == odd.values.size - odd.finite
    assert stats.histogram.total == stats.tap.size == odd.values.size
    assert np.isfinite(stats.values["mean"]) or not odd.finite
