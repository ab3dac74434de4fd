"""The report that the monitor makes: on demand, and written at the end of a fit."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

import keras_initscope as initscope
from keras_initscope.callbacks.reporting import ReportWriter
from keras_initscope.diagnosis import fit_report
from keras_initscope.records import ModelInfo
from keras_initscope.writers import read_jsonlines, write_report

STEPS = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network whose signal dies, trained for a few steps."""
    keras.utils.set_random_seed(0)
    small = keras.initializers.RandomNormal
    hidden = [
        keras.layers.Dense(16, "relu", kernel_initializer=small(stddev=0.03), name=f"d{i}")
        for i in range(6)
    ]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1, name="out")])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(32 * STEPS, 8))
    log_dir = tmp_path_factory.mktemp("logs")
    monitor = initscope.VarianceMonitor(log_dir, update_freq=2, on_finding="ignore")
    model.fit(x, x[:, :1], callbacks=[monitor], verbose=0)
    return monitor, log_dir


def test_a_report_holds_all_looks_theory_and_what_is_wrong(run):
    monitor, _ = run
    report = monitor.report()
    assert report.snapshots == tuple(monitor.history)
    assert report.predicted is monitor.prediction
    found = {finding.code for finding in report.findings}
    assert "F1" in found
    assert found == {finding.code for finding in monitor.findings}
    assert all(row.predicted_q for row in report.first)


def test_it_is_written_when_the_fit_ends(run):
    _, log_dir = run
    text = (log_dir / "report.md").read_text(encoding="utf-8")
    assert text.index("Vanishing signal") < text.index("(depth.png)") < text.index("(heatmap.png)")
    for name in ("depth.png", "heatmap.png"):
        assert (log_dir / name).read_bytes().startswith(b"\x89PNG")


def test_tensorboard_has_text_and_pictures_at_the_last_step_and_all_steps_still(run):
    monitor, log_dir = run
    accumulator = EventAccumulator(str(log_dir / "train"), size_guidance={"tensors": 0})
    accumulator.Reload()
    last = monitor.history[-1].step
    for tag in ("report", "report/depth", "report/heatmap"):
        assert [event.step for event in accumulator.Tensors(tag)] == [last]
    (event,) = accumulator.Tensors("report")
    shown = tensor_util.make_ndarray(event.tensor_proto).item().decode()
    assert shown == monitor.report().markdown()
    steps = [event.step for event in accumulator.Tensors("signal/forward_slope")]
    assert steps == [look.step for look in monitor.history]


def test_it_goes_to_the_one_event_file_of_the_fit(run):
    _, log_dir = run
    assert len(list((log_dir / "train").glob("events.out.tfevents*"))) == 1


def test_without_the_output_tensorboard_the_pages_still_have_it(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = initscope.VarianceMonitor(tmp_path, outputs=["report"], on_finding="ignore")
    model.fit(np.ones((8, 4)), np.ones((8, 1)), callbacks=[monitor], verbose=0)
    tags = EventAccumulator(str(tmp_path / "train")).Reload().Tags()["tensors"]
    assert set(tags) == {"report", "report/depth"}


def test_what_was_written_gives_the_same_report_again(run, tmp_path):
    """But for single units, which the lines of text leave out."""
    monitor, log_dir = run
    model, snapshots = read_jsonlines(str(log_dir))
    again = fit_report(model, snapshots)
    assert again.markdown() == monitor.report().markdown()
    text, *_ = write_report(again, tmp_path)
    assert text.read_bytes() == (log_dir / "report.md").read_bytes()


def test_without_a_look_there_is_nothing_to_report(tmp_path):
    monitor = initscope.VarianceMonitor(tmp_path)
    with pytest.raises(ValueError, match="has not looked at any training step"):
        monitor.report()
    ReportWriter(str(tmp_path), ModelInfo(name="net", layers=())).close()
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_written_where_it_is_not_asked_for(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = initscope.VarianceMonitor(tmp_path, outputs=["snapshots"])
    model.fit(np.ones((8, 4)), np.ones((8, 1)), callbacks=[monitor], verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshots.jsonl"]
    report = monitor.report()
    assert report.predicted is None
    assert len(report.snapshots) == len(monitor.history) == 1
