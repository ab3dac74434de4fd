"""Bins as dashboards draw them: they end where the data end, and a constant is a spike."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope.buckets import collect
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats
from keras_initscope.writers import TensorBoardWriter, bins


def counted(values):
    """The histogram of values, counted with NumPy."""
    return collect(np.asarray(values, np.float32))


def linear_bins(histogram, limits):
    return bins.linear_bins([histogram], limits and [limits])[0]


def limits_of(values):
    finite = np.asarray(values, np.float32)
    finite = finite[np.isfinite(finite)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)


@pytest.mark.parametrize("constant", [0.0, -0.0, 1.0, -0.1, 1e-30, -3e38])
def test_a_constant_is_one_bin_of_no_width(constant):
    values = np.full(64, constant, np.float32)
    expected = float(values[0])
    assert linear_bins(counted(values), limits=limits_of(values)).tolist() == [
        [expected, expected, 64.0]
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.tanh(3.0 * np.random.default_rng(0).normal(size=999)),
        np.maximum(np.random.default_rng(0).normal(size=999), 0.0),
        1.0 + 1e-3 * np.random.default_rng(0).normal(size=999),
        np.array([0.0, 1.0, 1.0, np.nan, np.inf]),
    ],
    ids=["tanh", "relu", "near one", "non-finite ones among them"],
)
def test_bins_end_where_the_data_end(values):
    least, greatest = limits_of(values)
    bins = linear_bins(counted(values), limits=(least, greatest))
    assert bins[0, 0] == least
    assert bins[-1, 1] == greatest
    assert (np.diff(bins[:, 0]) > 0).all()
    assert bins[:, 2].sum() == pytest.approx(np.isfinite(values).sum())
    assert (bins[:, 2] >= 0).all()


def test_limits_do_not_undo_the_robust_range():
    values = np.append(np.random.default_rng(0).normal(size=9_999), 1e6)
    bins = linear_bins(counted(values), limits=limits_of(values))
    assert bins[-1, 1] < 20.0
    assert bins[:, 2].sum() == pytest.approx(10_000)


@pytest.mark.parametrize("limits", [None, (np.nan, np.nan), (np.inf, -np.inf)])
def test_unknown_limits_leave_the_edges_of_the_buckets(limits):
    bins = linear_bins(counted(np.ones(8)), limits=limits)
    assert bins[0, 0] == 1.0
    assert bins[-1, 1] == 1.125


def test_limits_a_rounding_away_from_the_data_spoil_nothing():
    values = np.array([1.0, 1.5], np.float32)
    bins = linear_bins(counted(values), limits=(1.0000001, 1.4999999))
    assert bins[:, 2].sum() == pytest.approx(2.0)
    assert np.isfinite(bins).all()


def test_the_writer_passes_on_where_the_data_end(tmp_path):
    values = np.array([0.25, 0.5, 1.0], np.float32)
    stats = TensorStats(
        tap=Tap(layer="dense", quantity=Quantity.ACTIVATION, depth=0, size=3),
        values=dict(zip(("minimum", "maximum"), limits_of(values), strict=True)),
        histogram=counted(values),
    )
    info = StepInfo(loss=None, learning_rate=None, time=1.0)
    writer = TensorBoardWriter(str(tmp_path))
    writer.write(Snapshot(step=0, info=info, stats=(stats,)), {})
    writer.close()
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    bins = tensor_util.make_ndarray(events.Tensors("activation/000_dense")[0].tensor_proto)
    assert (bins[0, 0], bins[-1, 1]) == (0.25, 1.0)
    assert bins[:, 2].sum() == pytest.approx(3.0)
