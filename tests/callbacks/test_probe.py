"""The fixed probe: the same tags in a run of its own, and drift by its definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_initscope import VarianceMonitor
from keras_initscope.measurement.drift import drifted
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats, Units
from keras_initscope.writers import read_jsonlines

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 4)).astype("float32"), RNG.normal(size=(24, 1)).astype("float32")
PROBE = RNG.normal(size=(50, 4)).astype("float32"), RNG.normal(size=(50, 1)).astype("float32")


class Outputs(keras.callbacks.Callback):
    """Notes what the first layer gives for the probe before each step."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_begin(self, batch, logs=None):
        self.found.append(
            np.tanh(PROBE[0] @ self.model.layers[0].kernel + self.model.layers[0].bias)
        )


def trained(tmp_path, probe=PROBE, epochs=1, **kwargs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "tanh", name="a"), layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=False)
    monitor, outputs = VarianceMonitor(tmp_path, update_freq=1, probe=probe, **kwargs), Outputs()
    model.fit(
        X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=[monitor, outputs]
    )
    return model, monitor, outputs.found


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def test_drift_is_the_shift_of_unit_means_in_standard_deviations(tmp_path):
    _, monitor, outputs = trained(tmp_path)
    assert [s.step for s in monitor.probe_history] == [0, 1, 2]
    for k in (1, 2):
        found = monitor.probe_history[k].find("activation", "a").values
        for name, earlier in (("drift", outputs[k - 1]), ("drift_from_start", outputs[0])):
            shift = (outputs[k].mean(axis=0) - earlier.mean(axis=0)) / earlier.std(axis=0)
            assert found[name] == pytest.approx(rms(shift), rel=1e-4)
    assert "drift" not in monitor.probe_history[0].find("activation", "a").values


def test_the_probe_is_measured_on_its_own_examples_under_the_same_tags(tmp_path):
    _, monitor, outputs = trained(tmp_path)
    for snapshot, values in zip(monitor.probe_history, outputs, strict=True):
        stats = snapshot.find("activation", "a")
        assert stats.tap.size == values.size
        assert stats.values["variance"] == pytest.approx(values.var(), rel=1e-5)
        assert "kernel_update" not in {s.tap.quantity for s in snapshot.stats}
    runs = {run: EventAccumulator(str(tmp_path / run)).Reload() for run in ("train", "probe")}
    tags = {run: set(found.Tags()["tensors"]) for run, found in runs.items()}
    of_the_probe = {"signal/largest_drift", "signal/largest_drift_depth"}
    assert tags["probe"] - of_the_probe < tags["train"]
    assert [e.step for e in runs["probe"].Tensors("signal/largest_drift")] == [1, 2]
    _, written = read_jsonlines(tmp_path / "probe")
    assert [s.step for s in written] == [0, 1, 2]
    assert written[2].find("activation", "a").values["drift"] > 0


def test_a_probe_changes_nothing_about_training(tmp_path):
    with_probe, without = trained(tmp_path / "1")[0], trained(tmp_path / "2", probe=None)[0]
    for one, other in zip(with_probe.weights, without.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dataset_gives_its_first_batch(tmp_path):
    data = tf.data.Dataset.from_tensor_slices(PROBE).batch(20)
    _, monitor, _ = trained(tmp_path, probe=data)
    assert {s.find("activation", "a").tap.size for s in monitor.probe_history} == {20 * 5}


@pytest.mark.parametrize("probe", [3, (), (X, Y[:5]), [], "x"], ids=str)
def test_what_is_no_probe_is_refused(probe, tmp_path):
    with pytest.raises(ValueError, match="`probe`"):
        VarianceMonitor(tmp_path, probe=probe)


def test_a_probe_that_the_model_does_not_take_leaves_training_and_its_looks_alone(tmp_path):
    with pytest.warns(UserWarning, match="Of the probe: .*only its weights"):
        _, monitor, _ = trained(tmp_path, probe=(np.ones((6, 3), "float32"), Y[:6]))
    assert len(monitor.history) == 3
    assert "activation" in {s.tap.quantity for s in monitor.history[0].stats}
    assert {s.tap.quantity for s in monitor.probe_history[0].stats} == {"kernel", "bias"}


def units_of(means, deviations):
    stats = TensorStats(
        tap=Tap(layer="a", quantity=Quantity.ACTIVATION, depth=0, size=9),
        values={},
        units=Units(means=np.array(means), deviations=np.array(deviations)),
    )
    info = StepInfo(loss=None, learning_rate=None, time=0.0)
    return Snapshot(step=0, info=info, stats=(stats,))


def test_units_without_a_scale_are_left_out():
    earlier = units_of([0.0, 5.0], [2.0, 0.0])
    found = drifted(units_of([1.0, 9.0], [1.0, 1.0]), earlier, earlier).stats[0].values
    assert found == {"drift": 0.5, "drift_from_start": 0.5}
    dead = units_of([0.0], [0.0])
    assert drifted(units_of([1.0], [1.0]), dead, dead).stats[0].values == {}
