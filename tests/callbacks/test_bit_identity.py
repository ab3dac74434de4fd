"""What the matrix of models and modes leaves over: schedules, code of one's own, several monitors.

Training with the monitor is bit-identical to training without it, and nothing is left behind.
"""

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from training import assert_same_training, fresh, train

import keras_initscope as initscope

ROWS, BATCH = 16, 8
RAGGED = 22  # two whole batches and one of six


def _data(*shape, rows=ROWS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, *shape)).astype(np.float32)
    return x, rng.normal(size=(rows, 2)).astype(np.float32)


def small():
    """Something random, quick to trace."""
    return keras.Sequential([keras.Input((5,)), layers.Dropout(0.3), layers.Dense(2)]), _data(
        5, rows=RAGGED
    )


class Python(layers.Layer):
    """Draws and counts in Python, and halves its weight in its call."""

    def __init__(self):
        super().__init__()
        self.generator, self.calls = np.random.default_rng(0), 0

    def build(self, shape):
        self.w = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x, training=False):
        if not training:
            return x
        self.calls += 1
        self.w.assign(0.5 * self.w)
        return x * self.w * self.generator.normal() * self.calls


def python():
    return keras.Sequential([keras.Input((5,)), Python(), layers.Dense(2)]), _data(5)


def lstm():
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2)),
            layers.ActivityRegularization(l2=0.1),
            layers.Dense(2),
        ]
    )
    x, y = _data(3, 4)
    x[::3, 2] = 0.0
    return model, (x, y)


class Subclassed(keras.Model):
    """No input shape: it is built by the first batch, and draws from the global generator."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4, activation="gelu")
        self.norm = layers.BatchNormalization()
        self.out = layers.Dense(2)

    def call(self, x, training=False):
        x = self.norm(self.hidden(x), training=training)
        if training:
            x = x + 0.1 * keras.random.normal(ops.shape(x))
        self.add_loss(ops.mean(ops.square(x)))
        return self.out(x)


def subclassed():
    return Subclassed(), _data(5)


class Custom(keras.Sequential):
    """A step of its own with two optimizers, a counter and a metric."""

    def __init__(self, parts):
        super().__init__(parts)
        self.counter = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.second = keras.optimizers.SGD(0.01, momentum=0.9)
        self.metric = keras.metrics.Mean(name="own")

    @property
    def metrics(self):
        return [self.metric]

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        halves = self.trainable_variables[:2], self.trainable_variables[2:]
        for variables, optimizer in zip(halves, (self.optimizer, self.second), strict=True):
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(self(x, training=True) - y))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.counter.assign_add(1.0)
        self.metric.update_state(loss)
        return {"own": self.metric.result()}


def custom():
    parts = [keras.Input((5,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(2)]
    return Custom(parts), _data(5)


class CompiledCall(layers.Layer):
    """Moving averages within a `tf.function` of its own, and a branch for AutoGraph."""

    def __init__(self):
        super().__init__()
        self.norm = layers.BatchNormalization()

    def build(self, shape):
        self.norm.build(shape)

    @tf.function
    def call(self, x, training=False):
        x = self.norm(x, training=training)
        if tf.reduce_sum(x) > 1e9:
            x = 2.0 * x
        return x


class CompiledByXLA(CompiledCall):
    @tf.function(jit_compile=True)
    def call(self, x, training=False):
        return self.norm(x, training=training)


class CompiledStep(keras.Sequential):
    @tf.function
    def train_step(self, data):
        return super().train_step(data)


def _compiled_in_parts(kind, layer):
    return kind([keras.Input((5,)), layer(), layers.Dense(2)])


def compiled_step():
    return _compiled_in_parts(CompiledStep, layers.BatchNormalization)


def compiled_call():
    return _compiled_in_parts(keras.Sequential, CompiledCall)


def compiled_by_xla():
    return _compiled_in_parts(keras.Sequential, CompiledByXLA)


def trained(build, monitors=(), **compiled):
    """Everything that training leaves, in exact bits."""
    model, (x, y) = fresh(build)
    compiled = {"optimizer": "adam", "loss": "mse", "jit_compile": False, **compiled}
    return train(model, compiled, [{"x": x, "y": y, "batch_size": BATCH, "epochs": 2}], monitors)


plain = functools.cache(trained)


def assert_identical(build, tmp_path, update_freq=1, **compiled):
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=update_freq)
    watched = trained(build, (monitor,), **compiled)
    assert_same_training(watched, plain(build, **compiled))
    quantities = {str(s.tap.quantity) for snapshot in monitor.history for s in snapshot.stats}
    assert "kernel_gradient" in quantities


# Compiling takes long, hence only in `make slow`.
@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("build", [python, subclassed])
def test_code_of_ones_own(build, jit, tmp_path):
    assert_identical(build, tmp_path, jit_compile=jit)


@pytest.mark.parametrize(
    "build",
    [compiled_step, compiled_call, pytest.param(compiled_by_xla, marks=pytest.mark.slow)],
)
def test_what_a_function_of_the_users_traces_in_a_look_is_not_kept_for_training(build, tmp_path):
    """`tf.function` keeps a graph for each shape: the look's had no effects, training has."""
    data = tf.data.Dataset.from_tensor_slices(_data(5)).batch(BATCH, drop_remainder=True)
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=1)
    watched, plain = (
        train(
            fresh(build),
            {"optimizer": "sgd", "loss": "mse", "jit_compile": False},
            [{"x": data}],
            m,
        )
        for m in ([monitor], [])
    )
    assert_same_training(watched, plain)
    measured = monitor.history[0].profile("activation_gradient", "variance")
    assert any("normalization" in path for path in measured) == (build is not compiled_by_xla)


@pytest.mark.parametrize(
    ("update_freq", "execution"), [(2, 1), ("epoch", 3), ("auto", 1), ("auto", 3), (2, 3)]
)
def test_every_schedule(update_freq, execution, tmp_path):
    assert_identical(small, tmp_path, update_freq, steps_per_execution=execution)


def test_two_monitors_at_once(tmp_path):
    monitors = [
        initscope.VarianceMonitor(tmp_path / "1", update_freq=2),
        initscope.VarianceMonitor(tmp_path / "2", update_freq=3, quantities=["activation"]),
    ]
    watched = trained(small, monitors)
    assert_same_training(watched, plain(small))
    assert [s.step for s in monitors[0].history] == [0, 2, 4, 5]
    assert [s.step for s in monitors[1].history] == [0, 3, 5]
    assert {str(s.tap.quantity) for s in monitors[1].history[0].stats} == {"activation"}
    assert type(watched.model.train_function).__name__ != "Watch"


def _attributes(model):
    """What hangs on a model and its parts, by identity."""
    parts = [model, model.optimizer, *model._flatten_layers(include_self=False)]
    return [
        {key: (set(value) if key == "_loss_ids" else id(value)) for key, value in vars(p).items()}
        for p in parts
    ]


def _class_attributes():
    classes = [keras.layers.Layer, keras.layers.Dense, *keras.optimizers.Adam.__mro__]
    classes += [keras.optimizers.SGD, keras.optimizers.LossScaleOptimizer]
    return {
        (c, name): id(value) for c in classes for name, value in vars(c).items() if callable(value)
    }


@pytest.mark.parametrize("build", [lstm, subclassed, custom])
def test_nothing_is_left_behind(build, tmp_path):
    """A second fit, watched, of a model that plain fit has already been through once."""
    model, (x, y) = build()
    model.compile("adam", "mse", jit_compile=False)
    plain = {"batch_size": BATCH, "verbose": 0}
    history = model.fit(x, y, **plain)
    model.fit(x, y, **plain)
    classes, attributes = _class_attributes(), _attributes(model)
    function, variables = model.train_function, [id(v) for v in model.variables]
    text = None if build in (subclassed, custom) else model.to_json()

    monitor = initscope.VarianceMonitor(tmp_path, update_freq=1)
    model.fit(x, y, **plain, callbacks=[monitor])

    assert monitor.history[0].profile("kernel_gradient", "variance")
    assert model.train_function is function
    assert [id(v) for v in model.variables] == variables
    assert text is None or model.to_json() == text
    assert _class_attributes() == classes
    changed = {
        key
        for before, now in zip(attributes, _attributes(model), strict=True)
        for key in before.keys() | now.keys()
        if before.get(key) != now.get(key)
    }
    # What every fit replaces, with a monitor or without.
    assert changed <= {"history", "stop_training"}
    assert history is not model.history


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
def test_the_iterators_of_a_fit_go_with_it(eager, tmp_path, monkeypatch):
    """And not when garbage is next looked for: TensorFlow then waits for them for long."""
    made = []
    original = TFEpochIterator.__init__

    def init(self, *args, **kwargs):
        made.append(weakref.ref(self))
        original(self, *args, **kwargs)

    monkeypatch.setattr(TFEpochIterator, "__init__", init)
    model, (x, y) = small()
    model.compile("sgd", "mse", jit_compile=False, run_eagerly=eager)
    gc.disable()
    try:
        model.fit(x, y, verbose=0, callbacks=[initscope.VarianceMonitor(tmp_path, update_freq=1)])
        assert [iterator() for iterator in made] == [None]
    finally:
        gc.enable()
    assert (tmp_path / "report.md").exists()
