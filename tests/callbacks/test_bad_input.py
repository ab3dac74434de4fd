"""What may go wrong: arguments say so at once; during fit the monitor warns and stands aside."""

import copy
import functools
import os
import pickle
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_initscope import VarianceMonitor
from keras_initscope.callbacks import logbook, variance_monitor
from keras_initscope.measurement.backends import tensorflow as backend
from keras_initscope.measurement.meter import Meter
from keras_initscope.writers import JSONLinesWriter, TensorBoardWriter, read_jsonlines

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype(np.float32)
Y = RNG.normal(size=(16, 2)).astype(np.float32)


def compiled(*parts, kind=keras.Sequential, jit=False, **kwargs):
    keras.utils.set_random_seed(0)
    model = kind([keras.Input((4,)), *(parts or [layers.Dense(3, name="a")]), layers.Dense(2)])
    model.compile("adam", "mse", jit_compile=jit, **kwargs)
    return model


def seeded(build):
    """The model, with the layers that it is given made from the same seeds too."""
    keras.utils.set_random_seed(0)
    return build()


def fit(model, *callbacks, x=X, y=Y, epochs=2):
    history = model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks))
    state = [np.asarray(ops.convert_to_tensor(v)) for v in model.variables]
    return history.history, state


@functools.cache
def plain_training():
    """What training gives without a monitor."""
    return fit(compiled())


def assert_same_training(left, right):
    assert repr(left[0]) == repr(right[0])
    for mine, theirs in zip(left[1], right[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def warned(recorded):
    """What was said to the user; Keras' and TensorFlow's own deprecations are not."""
    return [str(w.message) for w in recorded if not issubclass(w.category, DeprecationWarning)]


def test_a_whole_number_of_any_kind_is_a_frequency(tmp_path):
    VarianceMonitor(tmp_path, update_freq=np.int64(5))


@pytest.mark.parametrize(
    "update_freq",
    [np.array([1, 2]), 0, -1, 2.5, True, None, "batch", "", "Auto", [1], float("nan")],
    ids=repr,
)
def test_a_nonsensical_update_freq(update_freq, tmp_path):
    with pytest.raises(ValueError, match=r"update_freq.*\"epoch\".*Received"):
        VarianceMonitor(tmp_path, update_freq=update_freq)


@pytest.mark.parametrize("quantities", ["kernels", ["kernel", "loss"], [], "", ["all", 3], [None]])
def test_an_unknown_quantity(quantities, tmp_path):
    with pytest.raises(ValueError, match=r"quantities.*preactivation.*Received"):
        VarianceMonitor(tmp_path, quantities=quantities)


@pytest.mark.parametrize("layers", [3, ["a"], "(", "*"])
def test_nonsensical_layers(layers, tmp_path):
    with pytest.raises(ValueError, match=r"layers.*Received"):
        VarianceMonitor(tmp_path, layers=layers)


@pytest.mark.parametrize("share", [0, -1.0, float("nan"), float("inf"), "1%", None])
def test_a_nonsensical_overhead(share, tmp_path):
    with pytest.raises(ValueError, match=r"max_overhead.*Received"):
        VarianceMonitor(tmp_path, max_overhead=share)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_way(name, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"log_dir.*file"):
        VarianceMonitor(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_that_may_not_be_written_to(tmp_path, monkeypatch):
    """The superuser may write anywhere, so the answer of the system is made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="log_dir"):
        VarianceMonitor(tmp_path / "new")


def test_a_directory_elsewhere():
    with pytest.raises(ValueError, match=r"directory of this machine.*gs://bucket/logs"):
        VarianceMonitor("gs://bucket/logs")


def test_no_directory_at_all():
    with pytest.raises((TypeError, ValueError), match="log_dir"):
        VarianceMonitor(None)


def test_making_a_monitor_makes_no_directory(tmp_path):
    VarianceMonitor(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_put_in_the_way_later(tmp_path):
    monitor = VarianceMonitor(tmp_path / "logs", 1, quantities=["kernel"])
    (tmp_path / "logs").write_text("in the way")
    with pytest.warns(UserWarning, match=r"cannot write .*logs") as recorded:
        fit(compiled(), monitor)
    assert len(warned(recorded)) == 1
    assert len(monitor.history) == 4


def test_a_directory_taken_away_during_fit(tmp_path):
    class Remove(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            shutil.rmtree(tmp_path / "logs", ignore_errors=True)

    monitor = VarianceMonitor(tmp_path / "logs", 1, quantities=["kernel"])
    plain = plain_training()
    with pytest.warns(UserWarning, match="taken away") as recorded:
        watched = fit(compiled(), monitor, Remove())
    assert len(warned(recorded)) == 1
    assert len(monitor.history) == 4
    assert_same_training(watched, plain)


@pytest.mark.parametrize("broken", [JSONLinesWriter, TensorBoardWriter])
def test_one_writer_that_fails_does_not_stop_the_other(broken, tmp_path, monkeypatch):
    def full(self, *args):
        raise OSError("No space left on device")

    monkeypatch.setattr(broken, "write", full)
    with pytest.warns(UserWarning, match="No space left"):
        fit(compiled(), VarianceMonitor(tmp_path, 1, quantities=["kernel"]))
    if broken is TensorBoardWriter:
        assert len(read_jsonlines(tmp_path)[1]) == 4
    else:
        accumulator = EventAccumulator(str(tmp_path / "train")).Reload()
        assert len(accumulator.Tensors("kernel/000_a")) == 4


def test_a_pattern_that_matches_no_layer(tmp_path):
    monitor = VarianceMonitor(tmp_path, layers="conv")
    with pytest.warns(UserWarning, match=r"layers='conv'.*'a'") as recorded:
        fit(compiled(), monitor)
    assert len(warned(recorded)) == 1
    assert monitor.history == []


def test_a_predicate_that_fails(tmp_path):
    plain = plain_training()
    monitor = VarianceMonitor(tmp_path, layers=lambda layer: layer.filters > 3)
    with pytest.warns(UserWarning, match=r"stands aside.*filters"):
        assert_same_training(fit(compiled(), monitor), plain)


@pytest.mark.parametrize(("bad", "jit"), [(np.nan, False), (np.inf, True)])
def test_bad_data(bad, jit, tmp_path):
    """Nothing breaks, and the log says where the numbers stop being numbers."""
    x = X.copy()
    x[8:] = bad  # from the second batch on
    plain = [
        model.fit(x, Y, batch_size=8, shuffle=False, verbose=0) for model in [compiled(jit=jit)]
    ]
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    history = compiled(jit=jit).fit(
        x, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[monitor]
    )
    assert repr(history.history) == repr(plain[0].history)
    first, last = (s.find("activation", "a").values for s in monitor.history)
    assert first["nonfinite_count"] == 0
    assert last["nonfinite_count"] == 24
    assert np.isnan(monitor.history[-1].info.loss)
    assert [s.origin for s in read_jsonlines(tmp_path)[1]] == ["predicted", "measured", "measured"]


@pytest.mark.parametrize("name", ["..", "a-1.5", "A_b"])
def test_every_name_that_tensorflow_accepts_in_a_graph(name, tmp_path):
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    fit(compiled(layers.Dense(3, name=name)), monitor, epochs=1)
    assert name in monitor.history[0].profile("activation_gradient", "variance")
    assert name in read_jsonlines(tmp_path)[1][0].profile("activation", "variance")
    accumulator = EventAccumulator(str(tmp_path / "train")).Reload()
    tags = [t for t in accumulator.Tags()["tensors"] if t.startswith("activation/000_")]
    assert len(tags) == 1


@pytest.mark.parametrize(
    "name", ["<script>alert(1)<script>", "b>", "größe_层", "a b'\"&\n", "%s{}"]
)
def test_names_that_only_eager_training_takes(name, tmp_path):
    """TensorFlow refuses them in a graph, also in plain fit: then the weights are measured."""

    def build():
        return compiled(layers.Dense(3, name=name), run_eagerly=True)

    plain = fit(seeded(build))
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    with pytest.warns(UserWarning, match="only its weights") as recorded:
        watched = fit(seeded(build), monitor)
    assert len(warned(recorded)) == 1
    assert_same_training(watched, plain)
    assert name in read_jsonlines(tmp_path)[1][-1].profile("kernel", "variance")
    accumulator = EventAccumulator(str(tmp_path / "train")).Reload()
    tags = [t for t in accumulator.Tags()["tensors"] if t.startswith("kernel/000_")]
    assert len(tags) == 1
    assert not set("<>\"'& \n{}%") & set(tags[0])
    # Nothing of the name sticks to what is made afterwards.
    assert keras.Variable([0.0], name="fresh").path == "fresh"


def test_slashes_in_a_name_are_refused_by_keras_itself():
    with pytest.raises(ValueError, match="cannot contain character `/`"):
        layers.Dense(3, name="a/b")


class Interrupt(keras.callbacks.Callback):
    """Stands for the user's Ctrl-C."""

    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def on_train_batch_end(self, batch, logs=None):
        self.batch -= 1
        if self.batch == 0:
            raise KeyboardInterrupt


def test_an_interrupted_fit(tmp_path):
    model, monitor = compiled(), VarianceMonitor(tmp_path, 1, quantities=["kernel"])
    with pytest.raises(KeyboardInterrupt):
        fit(model, monitor, Interrupt(3))
    assert [s.step for s in monitor.history] == [0, 1, 2]  # waits for what is under way
    assert [s.step for s in read_jsonlines(tmp_path)[1]] == [0, 1, 2]
    accumulator = EventAccumulator(str(tmp_path / "train")).Reload()
    assert [e.step for e in accumulator.Tensors("kernel/000_a")] == [0, 1, 2]

    fit(model)  # the next fit, without a monitor, is a plain one
    assert len(monitor.history) == 3
    assert type(model.train_function).__name__ != "Watch"

    fit(model, monitor)
    assert [s.step for s in monitor.history] == [7, 8, 9, 10]
    assert [s.step for s in read_jsonlines(tmp_path)[1]] == [0, 1, 2, 7, 8, 9, 10]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_step_that_breaks_off_is_let_go(error, tmp_path):
    class Broken(keras.Sequential):
        broken = False

        def train_step(self, data):
            if self.broken:
                raise error("mine")
            return super().train_step(data)

    model = compiled(kind=Broken, run_eagerly=True)
    Broken.broken = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the look has said that the step cannot be traced
        with pytest.raises(error, match="mine"):
            fit(model, VarianceMonitor(tmp_path, update_freq=1))
    Broken.broken = False
    fit(model)
    assert type(model.train_function).__name__ != "Watch"


BREAKS = ["before", "after", "info", "is_ready"]


@pytest.mark.parametrize("method", BREAKS)
def test_a_fault_of_the_meter_never_ends_fit(method, tmp_path, monkeypatch):
    calls = []

    def fail(self, *args, **kwargs):
        calls.append(method)
        raise RuntimeError("a fault of our own")

    plain = plain_training()
    monkeypatch.setattr(Meter, method, fail)
    with pytest.warns(UserWarning, match="a fault of our own") as recorded:
        assert_same_training(
            fit(compiled(), VarianceMonitor(tmp_path, 1, quantities=["kernel"])), plain
        )
    assert len(warned(recorded)) == 1
    assert calls


PARTS = {"summarize": logbook, "Watch": variance_monitor, "Meter": variance_monitor}


@pytest.mark.parametrize("part", PARTS)
def test_a_fault_of_a_part_never_ends_fit(part, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a fault of our own")

    plain = plain_training()
    monkeypatch.setattr(PARTS[part], part, fail)
    with pytest.warns(UserWarning, match="stands aside.*a fault of our own") as recorded:
        assert_same_training(
            fit(compiled(), VarianceMonitor(tmp_path, 1, quantities=["kernel"])), plain
        )
    assert len(warned(recorded)) == 1


def test_a_fault_is_told_once_also_where_warnings_are_errors(tmp_path, monkeypatch, capsys):
    """As this very test suite has it: then the sentence goes to the standard error stream."""
    monkeypatch.setattr(Meter, "before", lambda self, batch: 1 / 0)
    fit(compiled(), VarianceMonitor(tmp_path, 1, quantities=["kernel"]))
    assert capsys.readouterr().err.count("stands aside") == 1


class Counting(keras.Sequential):
    """Counts its steps in a variable that Keras does not know."""

    def __init__(self, parts):
        super().__init__(parts)
        self.raw = tf.Variable(0.0)

    def train_step(self, data):
        self.raw.assign_add(1.0)
        return super().train_step(data)


class Table(keras.Sequential):
    """Writes into a table."""

    def __init__(self, parts):
        super().__init__(parts)
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)

    def train_step(self, data):
        key = tf.constant([1], tf.int64)
        self.table.insert(key, self.table.lookup(key) + 1.0)
        return super().train_step(data)

    @property
    def raw(self):
        return self.table.lookup(tf.constant([1], tf.int64))


class RawNoise(layers.Layer):
    """Draws from TensorFlow's own stateful generator."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x), seed=1)


class Python(layers.Layer):
    """Calls back into Python."""

    calls = 0

    def call(self, x):
        def function(value):
            Python.calls += 1
            return value * 2.0

        y = tf.py_function(function, [x], tf.float32)
        y.set_shape(x.shape)
        return y


EFFECTS = {
    "counter": lambda: compiled(kind=Counting),
    "table": lambda: compiled(kind=Table),
    "raw_noise": lambda: compiled(RawNoise(), layers.Dense(3, name="a")),
    "py_function": lambda: compiled(Python(), layers.Dense(3, name="a")),
}


@pytest.mark.parametrize("case", EFFECTS)
def test_a_step_with_effects_outside_keras_is_never_run_twice(case, tmp_path):
    """It is said once, and what is left to measure is measured: the weights."""
    Python.calls = 0
    plain_model = seeded(EFFECTS[case])
    tf.random.set_seed(3)
    plain = fit(plain_model)
    plain_calls, Python.calls = Python.calls, 0
    model, monitor = seeded(EFFECTS[case]), VarianceMonitor(tmp_path, update_freq=1)
    tf.random.set_seed(3)
    with pytest.warns(UserWarning, match="measured, only its weights") as recorded:
        watched = fit(model, monitor)
    assert len(warned(recorded)) == 1
    assert_same_training(watched, plain)
    assert Python.calls == plain_calls
    if hasattr(model, "raw"):
        assert np.asarray(model.raw).item() == np.asarray(plain_model.raw).item() == 4.0
    assert len(monitor.history) == 4
    found = {str(s.tap.quantity) for s in monitor.history[0].stats}
    assert found == {"kernel", "bias", "kernel_update"}


def test_looking_up_a_fixed_table_is_no_effect(tmp_path):
    class Lookup(layers.Layer):
        def __init__(self):
            super().__init__()
            keys = tf.constant([0, 1], tf.int64)
            initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([1.0, 2.0]))
            self.table = tf.lookup.StaticHashTable(initializer, 0.0)

        def call(self, x):
            return x * self.table.lookup(tf.cast(x > 0, tf.int64))

    monitor = VarianceMonitor(tmp_path, update_freq=1)
    fit(compiled(Lookup(), layers.Dense(3, name="a")), monitor)
    assert monitor.history[0].profile("kernel_gradient", "variance")


def test_a_step_that_cannot_be_traced(tmp_path):
    class Eager(keras.Sequential):
        def train_step(self, data):
            float(data[0][0, 0])  # only a tensor with a value has one
            return super().train_step(data)

    plain = fit(compiled(kind=Eager, run_eagerly=True))
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    with pytest.warns(UserWarning, match="cannot be traced") as recorded:
        watched = fit(compiled(kind=Eager, run_eagerly=True), monitor)
    assert len(warned(recorded)) == 1
    assert_same_training(watched, plain)
    assert monitor.history[0].profile("kernel", "variance")


def test_a_look_that_needs_too_much_memory(tmp_path, monkeypatch):
    def exhausted(self, *args):
        if args:  # the step, not the weights
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
        return whole(self, *args)

    whole = backend.Compiled.__call__
    monkeypatch.setattr(backend.Compiled, "__call__", exhausted)
    monitor = VarianceMonitor(tmp_path, 1, quantities=["kernel", "activation"])
    with pytest.warns(UserWarning, match=r"once more failed: ResourceExhausted.*OOM") as recorded:
        watched = fit(compiled(), monitor)
    assert len(warned(recorded)) == 1
    assert_same_training(watched, plain_training())
    assert [len(entry.profile("kernel", "mean")) for entry in monitor.history] == [2] * 4


@pytest.mark.filterwarnings("ignore:.*looks like it has unbuilt state")  # Keras' own
def test_a_model_that_only_its_first_step_builds(tmp_path):
    """Step 0 cannot be seen, which is said; all steps after it are measured."""

    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, name="a")

        def call(self, x):
            return self.dense(x["left"] - x["right"])

        def train_step(self, data):
            (left, right), y = data
            return super().train_step(({"left": left, "right": right}, y))

    def late(*callbacks):
        keras.utils.set_random_seed(0)
        model = Late()
        model.compile("sgd", "mse", jit_compile=False)
        model.fit([X, X[::-1]], Y, batch_size=8, epochs=2, verbose=0, callbacks=list(callbacks))
        return [np.asarray(v.value) for v in model.variables]

    plain, monitor = late(), VarianceMonitor(tmp_path, update_freq=1)
    with pytest.warns(UserWarning, match="initialization.*not measured") as recorded:
        watched = late(monitor)
    assert sum("not measured" in sentence for sentence in warned(recorded)) == 1
    for mine, theirs in zip(watched, plain, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [s.step for s in monitor.history] == [1, 2, 3]
    assert monitor.history[0].profile("kernel_gradient", "variance")


@pytest.mark.filterwarnings("ignore:.*looks like it has unbuilt state")  # Keras' own
def test_a_layer_that_no_step_calls(tmp_path):
    """It may be built in the first step, which is therefore not looked at; this is said."""

    class Unused(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.spare = layers.Dense(2, name="a"), layers.Dense(7, name="spare")

        def call(self, x):
            return self.dense(x)

    monitor = VarianceMonitor(tmp_path, update_freq=1)
    model = Unused()
    model.compile("sgd", "mse", jit_compile=False)
    with pytest.warns(UserWarning, match=r"initialization.*not measured.*\['spare'\]") as recorded:
        fit(model, monitor)
    assert sum("not measured" in sentence for sentence in warned(recorded)) == 1
    assert [s.step for s in monitor.history] == [1, 2, 3]
    assert list(monitor.history[0].profile("kernel_gradient", "variance")) == ["a"]


def test_words_looked_up_within_the_model(tmp_path):
    words = layers.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot")
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    monitor = VarianceMonitor(tmp_path, update_freq=1, outputs=["snapshots"])
    text = tf.constant([["a b"], ["b"]] * 4)
    model.fit(text, np.zeros((8, 2)), batch_size=4, verbose=0, callbacks=[monitor])
    assert [s.step for s in monitor.history] == [0, 1]
    assert monitor.history[0].profile("kernel_gradient", "variance")


@pytest.mark.filterwarnings("ignore:.*looks like it has unbuilt state")  # Keras' own
def test_a_loss_that_the_models_own_step_alone_can_apply(tmp_path):
    """Building for the look fails halfway: the first step must find layers that can be built."""

    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, name="a")

        def call(self, x):
            return self.dense(x), ops.sum(x)

        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=data[1], y_pred=self(data[0], training=True)[0])
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        model = Pair()
        model.compile("sgd", "mse", jit_compile=False)
        return fit(model, *callbacks)

    plain, monitor = trained(), VarianceMonitor(tmp_path, update_freq=1)
    with pytest.warns(UserWarning, match="initialization.*not measured"):
        watched = trained(monitor)
    assert_same_training(watched, plain)
    assert [s.step for s in monitor.history] == [1, 2, 3]


def test_a_penalty_on_a_gradient_is_no_second_loss(tmp_path):
    """Of a gradient that the loss is made of nothing is taken for a gradient of the loss."""

    class Penalized(keras.Sequential):
        weight = 0.0

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    outputs = self(x, training=True)
                slope = inner.gradient(outputs, x)
                loss = tf.reduce_mean((outputs - y) ** 2) + self.weight * tf.reduce_sum(slope**2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    def curved(kind):
        return seeded(lambda: compiled(layers.Dense(3, "tanh", name="a"), kind=kind))

    def measured(weight):
        monitor = VarianceMonitor(tmp_path / str(weight), update_freq=1, outputs=["snapshots"])
        model = curved(Penalized)
        model.weight = weight
        fit(model, monitor)
        return monitor.history[0].find("preactivation_gradient", "a")

    plain = VarianceMonitor(tmp_path, update_freq=1, outputs=["snapshots"])
    fit(curved(keras.Sequential), plain)
    expected = plain.history[0].find("preactivation_gradient", "a")
    penalized = measured(0.0)
    assert penalized.tap.size == expected.tap.size == 8 * 3
    assert penalized.values["variance"] == pytest.approx(expected.values["variance"], rel=1e-5)
    assert measured(1.0).values["variance"] > 2 * expected.values["variance"]


def test_a_layer_in_a_branch_is_named_once(tmp_path):
    """What is called in a graph of its own cannot be looked into."""

    class Branch(layers.Layer):
        def __init__(self):
            super().__init__(name="branch")
            self.inner = layers.Dense(3, name="inner")

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            return ops.cond(ops.sum(x) > 0, lambda: self.inner(x), lambda: self.inner(2.0 * x))

    monitor = VarianceMonitor(tmp_path, update_freq=1, outputs=["snapshots"])
    model = compiled(Branch(), layers.Dense(3, name="a"))
    with pytest.warns(UserWarning, match=r"layers \['branch/inner'\].*not measured") as recorded:
        fit(model, monitor)
    assert len(warned(recorded)) == 1
    kinds = {str(s.tap.quantity) for s in monitor.history[0].stats if "inner" in s.tap.layer}
    assert kinds == {"kernel", "bias", "kernel_gradient", "bias_gradient", "kernel_update"}
    assert "branch" in monitor.history[0].profile("activation", "variance")


def test_a_copy_of_a_monitor_watches_a_training_of_its_own(tmp_path):
    monitor = VarianceMonitor(tmp_path, update_freq=1, layers="a", outputs=["snapshots"])
    fit(compiled(), monitor)
    for other in (copy.deepcopy(monitor), pickle.loads(pickle.dumps(monitor))):
        assert other.history == []
        fit(compiled(), other)
        assert [s.step for s in other.history] == [0, 1, 2, 3]
        assert {s.tap.layer for s in other.history[0].stats} == {"a"}
    assert len(monitor.history) == 4


def test_the_process_may_change_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    class Leave(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            os.chdir(elsewhere)

    fit(compiled(), VarianceMonitor("logs", update_freq=1), Leave())
    read = read_jsonlines(str(tmp_path / "logs"))[1]
    assert [s.step for s in read if s.origin == "measured"] == [0, 1, 2, 3]
    assert not any(elsewhere.iterdir())


def test_a_gradient_taken_while_its_tape_records(tmp_path):
    class Inside(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
                gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    usual, inside = (VarianceMonitor(tmp_path / name, update_freq=1) for name in "ab")
    fit(compiled(), usual)
    fit(compiled(kind=Inside), inside)
    found = [m.history[0].find("activation_gradient", "a") for m in (usual, inside)]
    assert found[1].values["variance"] == pytest.approx(found[0].values["variance"], rel=1e-5)
