"""VarianceMonitor: which steps are measured, what is asked for, and what is written."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_initscope import VarianceMonitor, predict_signal
from keras_initscope.measurement.backends import tensorflow as backend
from keras_initscope.records import Quantity
from keras_initscope.writers import read_jsonlines
from keras_initscope.writers.tags import tag_of

ROWS, BATCH = 22, 8  # three batches an epoch, the last one ragged
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).astype(np.float32)
Y = RNG.normal(size=(ROWS, 1)).astype(np.float32)


def compiled(optimizer="sgd", **kwargs):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "tanh", name="a"), layers.Dense(1, name="b")]
    )
    model.compile(optimizer, "mse", jit_compile=False, **kwargs)
    return model


def weights_only(tmp_path, update_freq, **kwargs):
    """Weights are quick to measure, and steps are the same for all quantities."""
    return VarianceMonitor(tmp_path, update_freq=update_freq, quantities=["kernel"], **kwargs)


def steps(monitor):
    return [snapshot.step for snapshot in monitor.history]


def fit(model, *callbacks, epochs=3, rows=ROWS, **kwargs):
    kwargs = {"batch_size": BATCH, "epochs": epochs, "verbose": 0, **kwargs}
    model.fit(X[:rows], Y[:rows], callbacks=list(callbacks), **kwargs)


def uncounted():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    return data.filter(lambda x, y: True)


# Nine steps, 0 to 8; the first and the last are always among those that are looked at.
SCHEDULES = {
    1: [0, 1, 2, 3, 4, 5, 6, 7, 8],
    4: [0, 4, 8],
    5: [0, 5, 8],
    100: [0, 8],
    "epoch": [0, 3, 6, 8],
}


@pytest.mark.parametrize("update_freq", SCHEDULES)
def test_which_steps_are_measured(update_freq, tmp_path):
    monitor = weights_only(tmp_path, update_freq)
    fit(compiled(), monitor)
    assert steps(monitor) == SCHEDULES[update_freq]


def test_auto_measures_the_first_and_the_last_step_whatever_it_costs(tmp_path):
    monitor = VarianceMonitor(tmp_path, quantities=["kernel"], max_overhead=1e-9)
    fit(compiled(), monitor)
    assert steps(monitor) == [0, 8]


def test_auto_with_a_large_budget_measures_more(tmp_path):
    monitor = weights_only(tmp_path, "auto", max_overhead=1e6)
    fit(compiled(), monitor)
    assert steps(monitor) == list(range(9))


@pytest.mark.parametrize(("update_freq", "expected"), [(1, [0, 2, 3, 5, 6, 8]), (3, [0, 3, 6, 8])])
def test_several_steps_in_one_execution(update_freq, expected, tmp_path):
    """Executions of 2 + 1 steps: each is looked at once, before its first step."""
    monitor = weights_only(tmp_path, update_freq)
    fit(compiled(steps_per_execution=2), monitor)
    assert steps(monitor) == expected
    kernel_updates = VarianceMonitor(tmp_path, 3, quantities=["kernel_update"])
    fit(compiled(steps_per_execution=2), kernel_updates, epochs=1)
    assert [s.info.updates for s in kernel_updates.history] == [2, 1]


def test_executions_that_run_past_the_epoch(tmp_path):
    """Keras takes whole executions from endless data, here four steps an epoch for three."""
    data = tf.data.Dataset.from_tensor_slices((X, Y)).repeat().batch(BATCH)
    model, monitor = compiled(steps_per_execution=2), weights_only(tmp_path, 100)
    model.fit(data, epochs=2, steps_per_epoch=3, verbose=0, shuffle=False, callbacks=[monitor])
    assert int(model.optimizer.iterations) == 8
    assert steps(monitor) == [0, 6]
    fit(model, monitor, epochs=1)
    assert steps(monitor) == [8, 10]


class Adversaries(keras.Model):
    """Two networks with an optimizer each, a step of its own and no call."""

    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="made")])
        self.critic = keras.Sequential([keras.Input((4,)), layers.Dense(1, name="score")])
        self.first, self.second = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2)

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        for network, optimizer, sign in (
            (self.critic, self.first, 1.0),
            (self.maker, self.second, -1.0),
        ):
            with tf.GradientTape() as tape:
                scores = self.critic(x) - self.critic(self.maker(x, training=True))
                loss = sign * keras.ops.mean(scores)
            variables = network.trainable_variables
            gradients = tape.gradient(loss, variables)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}


@pytest.mark.filterwarnings("error")
def test_a_model_with_no_call_and_two_optimizers(tmp_path):
    """Measured from step 0 on, without a word, under no single learning rate."""
    model = Adversaries()
    model.compile(jit_compile=False)
    monitor = VarianceMonitor(tmp_path, 100, quantities=["kernel", "kernel_gradient"])
    fit(model, monitor, epochs=1)
    assert steps(monitor) == [0, 2]
    assert monitor.history[0].info.learning_rate is None
    found = monitor.history[0].profile("kernel_gradient", "root_mean_square")
    assert {path.split("/")[-1] for path in found} == {"made", "score"}
    assert not model.built
    again = VarianceMonitor(tmp_path, 100, quantities=["kernel"])
    fit(model, again, epochs=1)
    assert steps(again) == [3, 5]


def test_sparse_batches(tmp_path):
    inputs = keras.Input((4,), sparse=True)
    model = keras.Model(inputs, layers.Dense(1, name="b")(layers.Dense(3, name="a")(inputs)))
    model.compile("sgd", "mse", jit_compile=False, metrics=["mae"])
    data = tf.data.Dataset.from_tensor_slices((tf.sparse.from_dense(X), Y)).batch(BATCH)
    monitor = VarianceMonitor(tmp_path, 100, quantities=["activation"], outputs="snapshots")
    model.fit(data, verbose=0, shuffle=False, callbacks=[monitor])
    assert steps(monitor) == [0, 2]
    assert set(monitor.history[0].profile("activation", "variance")) == {"a", "b"}


def test_after_an_interrupt_nothing_more_is_measured(tmp_path):
    """Neither the model's own methods nor another fit are watched by a monitor that was left."""

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model, monitor = compiled(), weights_only(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, monitor, Interrupt())
    model.train_on_batch(X, Y)
    fit(model, epochs=1)
    assert steps(monitor) == [0]
    _, snapshots = read_jsonlines(str(tmp_path))
    assert [snapshot.step for snapshot in snapshots] == [0]


class StopAt(keras.callbacks.Callback):
    """Ends training after a batch."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        self.batch -= 1
        if self.batch == 0:
            self.model.stop_training = True


def test_training_that_stops_early_ends_with_a_look(tmp_path):
    """After the last step there is no other, so the last look is at what it arrived at."""
    monitor = VarianceMonitor(tmp_path, update_freq=100)
    fit(compiled(), monitor, StopAt(3), rows=16)
    assert steps(monitor) == [0, 3]
    first, last = ({str(s.tap.quantity) for s in snap.stats} for snap in monitor.history)
    assert first - last == {"kernel_update"}
    assert first == {str(quantity) for quantity in Quantity}
    assert monitor.history[-1].info.updates == 0


def test_early_stopping_at_the_end_of_an_epoch(tmp_path):
    monitor = weights_only(tmp_path, 100)
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    fit(compiled(steps_per_execution=2), monitor, stopping)
    assert steps(monitor) == [0, 6]  # two epochs of three steps


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, where none is counted
def test_data_that_nobody_counted_end_with_a_look(tmp_path):
    monitor = weights_only(tmp_path, 100)
    compiled_model = compiled()
    compiled_model.fit(uncounted(), epochs=2, verbose=0, shuffle=False, callbacks=[monitor])
    assert steps(monitor) == [0, 6]


def test_a_second_fit_counts_on(tmp_path):
    model, monitor = compiled(), weights_only(tmp_path, 4)
    fit(model, monitor, epochs=1)
    assert steps(monitor) == [0, 2]
    fit(model, monitor, epochs=3, initial_epoch=1)
    assert steps(monitor) == [3, 4, 8]
    fit(model, epochs=1)
    another = weights_only(tmp_path, 100)
    fit(model, another, epochs=1)
    assert steps(another) == [12, 14]
    assert [s.step for s in read_jsonlines(tmp_path)[1]] == [0, 2, 3, 4, 8, 12, 14]


def test_steps_count_on_while_gradients_accumulate(tmp_path):
    """The optimizer counts updates, one for each two batches."""
    model = compiled(keras.optimizers.SGD(gradient_accumulation_steps=2))
    monitor = weights_only(tmp_path, 100)
    fit(model, monitor, epochs=1)
    fit(model, monitor, epochs=1)
    assert steps(monitor) == [3, 5]


def test_one_monitor_for_two_models(tmp_path):
    monitor = weights_only(tmp_path, 100)
    for _ in range(2):
        fit(compiled(), monitor, epochs=1)
        assert steps(monitor) == [0, 2]


def test_step_zero_is_the_initialization(tmp_path):
    model = compiled()
    kernel = np.asarray(model.get_layer("a").kernel, np.float64)
    monitor = weights_only(tmp_path, 1)
    fit(model, monitor, epochs=1)
    found = [s.find("kernel", "a").values["variance"] for s in monitor.history]
    assert found[0] == pytest.approx(kernel.var(), rel=1e-5)
    assert found[1] != found[0]


def test_updates_add_up_to_what_training_changed(tmp_path):
    model = compiled()
    before = np.asarray(model.get_layer("a").kernel, np.float64)
    monitor = VarianceMonitor(tmp_path, update_freq=1, quantities=["kernel_update"])
    fit(model, monitor, epochs=1)
    changed = np.asarray(model.get_layer("a").kernel, np.float64) - before
    means = [s.find("kernel_update", "a").values["mean"] for s in monitor.history]
    assert sum(means) == pytest.approx(changed.mean(), rel=1e-4)


def test_batches_of_ever_new_sizes_are_not_traced_for_ever(tmp_path, monkeypatch):
    made = []
    original = backend.Compiled.__init__

    def remember(self, *args, **kwargs):
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(backend.Compiled, "__init__", remember)
    model, monitor = compiled(), VarianceMonitor(tmp_path, 1, quantities=["activation"])
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[monitor])
    assert max(part.traces for part in made) == 2  # whole batches and the ragged one
    sizes = [8, 6, 5, 7, 3, 9]

    def batches():
        for size in sizes:
            yield X[:size], Y[:size]

    model.fit(batches(), steps_per_epoch=len(sizes), verbose=0, shuffle=False, callbacks=[monitor])
    assert [s.find("activation", "a").tap.size for s in monitor.history] == [3 * n for n in sizes]
    assert max(part.traces for part in made) < len(sizes)


def test_quantities_are_those_asked_for(tmp_path):
    chosen = ["activation", Quantity.BIAS_GRADIENT]
    monitor = VarianceMonitor(tmp_path, 100, quantities=chosen)
    fit(compiled(), monitor, epochs=1, rows=BATCH)
    found = {str(s.tap.quantity) for s in monitor.history[0].stats}
    assert found == {"activation", "bias_gradient"}


@pytest.mark.parametrize("quantity", Quantity)
def test_each_quantity_alone(quantity, tmp_path):
    monitor = VarianceMonitor(tmp_path, 100, quantities=quantity.value)
    fit(compiled(), monitor, epochs=1, rows=BATCH)
    assert {s.tap.quantity for s in monitor.history[0].stats} == {quantity}
    assert {s.tap.layer for s in monitor.history[0].stats} == {"a", "b"}


@pytest.mark.parametrize(
    "chosen",
    [
        "^b$",
        re.compile("^B$", re.I),
        lambda layer: layer.name == "b",
        lambda layer: layer.units == 1,
    ],
)
def test_layers_are_those_asked_for_at_their_own_depth(chosen, tmp_path):
    monitor = VarianceMonitor(tmp_path, 100, layers=chosen)
    fit(compiled(), monitor, epochs=1, rows=BATCH)
    for snapshot in monitor.history:
        assert {(s.tap.layer, s.tap.depth) for s in snapshot.stats} == {("b", 1)}


def written(directory):
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_dir()
    )


@pytest.mark.parametrize(
    ("outputs", "directories", "has_lines"),
    [
        (
            "all",
            ["depth", "depth/step_0", "depth/step_4", "depth/step_8", "depth/theory", "train"],
            1,
        ),
        (["snapshots", "tensorboard"], ["train"], 1),
        ("depth", ["depth", "depth/step_0", "depth/step_4", "depth/step_8", "depth/theory"], 0),
        ([], [], 0),
    ],
)
def test_outputs_are_those_asked_for(outputs, directories, has_lines, tmp_path):
    monitor = VarianceMonitor(tmp_path, 4, quantities=["activation"], outputs=outputs)
    fit(compiled(), monitor)
    assert steps(monitor) == [0, 4, 8]
    assert written(tmp_path) == directories
    assert (tmp_path / "snapshots.jsonl").exists() == has_lines


def test_theory_is_of_the_weights_and_the_batch_before_training(tmp_path):
    """And its gradients are as large at the outputs as they were measured."""
    model, monitor = compiled(keras.optimizers.SGD(0.5)), VarianceMonitor(tmp_path, 1)
    expected = predict_signal(model, X[:BATCH]).profile("activation", "variance")
    fit(model, monitor, shuffle=False)
    assert monitor.prediction.origin == "predicted"
    assert monitor.prediction.profile("activation", "variance") == expected
    gradients = [
        snapshot.profile("activation_gradient", "root_mean_square")
        for snapshot in (monitor.prediction, monitor.history[0])
    ]
    assert gradients[0]["b"] == pytest.approx(gradients[1]["b"])
    assert gradients[0]["a"] != gradients[1]["a"]
    _, snapshots = read_jsonlines(str(tmp_path))
    assert [s.origin for s in snapshots] == ["predicted"] + ["measured"] * 9


def test_theory_where_there_is_none(tmp_path):
    """A shape that is known, and yet nothing to predict from: one example has no common part."""
    monitor = VarianceMonitor(tmp_path, 4, on_finding="ignore")
    with pytest.warns(UserWarning, match="draws no prediction for model .*two examples"):
        fit(compiled(), monitor, batch_size=1)
    assert monitor.prediction is None
    assert steps(monitor)[0] == 0


def test_everything_in_the_history_is_in_both_files(tmp_path):
    monitor = VarianceMonitor(tmp_path, update_freq=2)
    fit(compiled(), monitor, rows=16)
    model, (predicted, *snapshots) = read_jsonlines(tmp_path)
    assert [s.tap for s in predicted.stats] == [s.tap for s in monitor.prediction.stats]
    assert [layer.path for layer in model.layers] == ["a", "b"]
    assert [layer.activation for layer in model.layers] == ["tanh", "linear"]
    assert model.planned_steps == 6
    assert [s.step for s in snapshots] == steps(monitor)
    for written, kept in zip(snapshots, monitor.history, strict=True):
        assert [s.tap for s in written.stats] == [s.tap for s in kept.stats]
        assert repr([dict(s.values) for s in written.stats]) == repr(
            [dict(s.values) for s in kept.stats]
        )
    accumulator = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0}).Reload()
    for entry in monitor.history[0].stats:
        tag = tag_of(entry.tap)
        expected = [s.step for s in monitor.history if tag in map(tag_of, (e.tap for e in s.stats))]
        assert [event.step for event in accumulator.Tensors(tag)] == expected
    scalars = {tag for tag in accumulator.Tags()["tensors"] if tag.startswith("signal/")}
    assert {"signal/forward_slope", "signal/monitor_overhead"} <= scalars


def test_a_path_and_a_string_are_the_same(tmp_path):
    for directory in (tmp_path / "1", str(tmp_path / "2")):
        fit(compiled(), weights_only(directory, 100), epochs=1)
    assert (tmp_path / "1" / "snapshots.jsonl").exists()
    assert (tmp_path / "2" / "snapshots.jsonl").exists()


def test_it_prints_nothing(tmp_path, capsys):
    fit(compiled(), weights_only(tmp_path, 1), epochs=1)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
