"""Training with the monitor is bit-identical to training without it, and nothing is left behind."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_initscope as initscope

ROWS, BATCH = 16, 8
RAGGED = 22  # two whole batches and one of six


def _data(*shape, rows=ROWS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, *shape)).astype(np.float32)
    return x, rng.normal(size=(rows, 2)).astype(np.float32)


def mlp():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, activation="tanh", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.ActivityRegularization(l2=0.1),
            initscope.layers.RReLU(),
            layers.Dense(2),
        ]
    )
    return model, _data(5)


def small():
    """Something random, quick to trace."""
    return keras.Sequential([keras.Input((5,)), layers.Dropout(0.3), layers.Dense(2)]), _data(
        5, rows=RAGGED
    )


def cnn():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.RandomFlip(),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.GaussianDropout(0.2),
            layers.Dense(2),
        ]
    )
    return model, _data(4, 4, 1)


def spectral():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.SpectralNormalization(layers.Dense(4, activation="tanh")),
            layers.Dense(2),
        ]
    )
    return model, _data(5)


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


MODELS = [mlp, cnn, spectral, python, lstm, subclassed, custom]


class Batches(keras.utils.PyDataset):
    """Batches from Python, with weights."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, i):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        return self.x[rows], self.y[rows], np.arange(1.0, len(self.x[rows]) + 1)


def arrays(x, y):
    return {"x": x, "y": y, "batch_size": BATCH}


def weighted(x, y):
    return {"x": x, "y": y, "batch_size": BATCH, "sample_weight": np.linspace(0, 2, RAGGED)}


def validated(x, y):
    return {**arrays(x, y), "validation_split": 0.2}


def dataset(x, y):
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(RAGGED, seed=1)
    return {"x": data.batch(BATCH), "shuffle": False}


def endless(x, y):
    data = tf.data.Dataset.from_tensor_slices((x, y)).repeat().batch(BATCH)
    return {"x": data, "steps_per_epoch": 4, "shuffle": False}


def pydataset(x, y):
    return {"x": Batches(x, y)}


def generator(x, y):
    def batches():
        while True:
            for i in range(3):
                yield x[i * BATCH : (i + 1) * BATCH], y[i * BATCH : (i + 1) * BATCH]

    return {"x": batches(), "steps_per_epoch": 3, "shuffle": False}


def uncounted(x, y):
    """Nobody knows how many batches there are, nor how long each is."""
    data = tf.data.Dataset.from_generator(
        lambda: ((x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, RAGGED, BATCH)),
        output_signature=(tf.TensorSpec((None, 5)), tf.TensorSpec((None, 2))),
    )
    return {"x": data, "shuffle": False}


def train(build, feed, monitors, *, optimizer="adam", epochs=2, **compiled):
    """Everything that training leaves, in exact bits."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(7)
    model, (x, y) = build()
    model.compile(optimizer() if callable(optimizer) else optimizer, "mse", **compiled)
    history = model.fit(epochs=epochs, verbose=0, callbacks=monitors, **feed(x, y))
    variables = [*model.variables, *model.optimizer.variables]
    variables += getattr(model, "second", model.optimizer).variables
    state = [np.asarray(ops.convert_to_tensor(v)) for v in variables]
    state.append(np.asarray(keras.random.randint((4,), 0, 1 << 30)))
    state.append(np.asarray([np.random.random(), random.random()]))  # noqa: NPY002
    return model, state, history.history


@functools.cache
def plain(build, feed, **kwargs):
    """What training leaves without a monitor."""
    _, state, history = train(build, feed, [], **kwargs)
    return state, history


def assert_identical(build, feed, tmp_path, update_freq=1, measured=True, **kwargs):
    state, plain_history = plain(build, feed, **kwargs)
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=update_freq)
    model, watched, history = train(build, feed, [monitor], **kwargs)
    assert history == plain_history
    assert len(watched) == len(state)
    for mine, theirs in zip(watched, state, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    quantities = {str(s.tap.quantity) for snapshot in monitor.history for s in snapshot.stats}
    assert ("kernel_gradient" in quantities) == measured
    return model, monitor


@pytest.mark.parametrize("build", MODELS)
def test_every_kind_of_model(build, tmp_path):
    assert_identical(build, arrays, tmp_path, jit_compile=False)


# Compiling takes long, hence of the others only in `make slow`.
@pytest.mark.parametrize(
    "build", [pytest.param(m, marks=[pytest.mark.slow] * (m not in (mlp, cnn))) for m in MODELS]
)
def test_every_kind_of_model_compiled(build, tmp_path):
    assert_identical(build, arrays, tmp_path, jit_compile=True)


@pytest.mark.parametrize(
    ("update_freq", "execution"), [(2, 1), ("epoch", 3), ("auto", 1), ("auto", 3), (2, 3)]
)
def test_every_schedule(update_freq, execution, tmp_path):
    assert_identical(
        small, arrays, tmp_path, update_freq, steps_per_execution=execution, jit_compile=False
    )


FEEDS = [weighted, validated, dataset, endless, pydataset, generator, uncounted]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, where none is counted
@pytest.mark.parametrize("feed", FEEDS)
def test_every_kind_of_data(feed, tmp_path):
    execution = 2 if feed in (dataset, generator) else 1
    assert_identical(small, feed, tmp_path, steps_per_execution=execution, jit_compile=False)


def test_class_weights(tmp_path):
    def classes():
        model = keras.Sequential([keras.Input((5,)), layers.Dense(1, "sigmoid")])
        x, y = _data(5)
        return model, (x, (y[:, :1] > 0).astype("float32"))

    def feed(x, y):
        return {"x": x, "y": y, "batch_size": BATCH, "class_weight": {0: 1.0, 1: 5.0}}

    assert_identical(classes, feed, tmp_path, jit_compile=False)


def test_running_eagerly(tmp_path):
    assert_identical(small, arrays, tmp_path, epochs=1, run_eagerly=True)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, tmp_path):
    before = keras.config.dtype_policy()

    def mixed():
        keras.config.set_dtype_policy(policy)
        try:
            return small()
        finally:
            keras.config.set_dtype_policy(before)

    assert_identical(mixed, arrays, tmp_path, jit_compile=False)


def test_an_optimizer_with_every_extra(tmp_path):
    def optimizer():
        return keras.optimizers.AdamW(
            keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
            clipnorm=1.0,
            use_ema=True,
            gradient_accumulation_steps=2,
            loss_scale_factor=8.0,
        )

    assert_identical(small, arrays, tmp_path, optimizer=optimizer, jit_compile=False)


def test_two_monitors_at_once(tmp_path):
    state, _ = plain(small, arrays, jit_compile=False)
    monitors = [
        initscope.VarianceMonitor(tmp_path / "1", update_freq=2),
        initscope.VarianceMonitor(tmp_path / "2", update_freq=3, quantities=["activation"]),
    ]
    model, watched, _ = train(small, arrays, monitors, jit_compile=False)
    for mine, theirs in zip(watched, state, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [s.step for s in monitors[0].history] == [0, 2, 4, 5]
    assert [s.step for s in monitors[1].history] == [0, 3, 5]
    assert {str(s.tap.quantity) for s in monitors[1].history[0].stats} == {"activation"}
    assert type(model.train_function).__name__ != "Watch"


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
