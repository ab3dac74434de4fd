"""What holds under `MirroredStrategy`; `test_distribution` runs it in a process of its own.

Virtual devices must be there before TensorFlow looks for any.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from measuring import assert_agree, reference

from keras_initscope import VarianceMonitor, graph
from keras_initscope.measurement.meter import Meter
from keras_initscope.records import Quantity

CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)
MIRRORED = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
MIRRORED_ON_ONE = tf.distribute.MirroredStrategy(["CPU:0"])
ONE = tf.distribute.get_strategy()

BATCH, ROWS = 8, 21  # the last five are three on one device, two on the other


def data(rows=ROWS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 5)).astype(np.float32)
    return x, rng.normal(size=(rows, 2)).astype(np.float32)


def mlp(rate=0.0):
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, "tanh", kernel_regularizer="l2", name="a"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(7, "relu", name="b"),
            layers.Dense(2, name="c"),
        ],
        name="mlp",
    )


def with_dropout():
    return mlp(0.4)


def normalized():
    """What a device gives on depends on the examples of the other."""
    hidden = layers.Dense(6, use_bias=False, name="a")
    norm = layers.BatchNormalization(synchronized=True, beta_initializer="ones", name="n")
    outputs = layers.Dense(2, name="c")
    return keras.Sequential([keras.Input((5,)), hidden, norm, outputs], name="normalized")


def shared():
    layer, inputs = layers.Dense(5, "tanh", name="a"), keras.Input((5,))
    return keras.Model(inputs, layers.Dense(2, name="c")(layer(layer(inputs))), name="shared")


def half():
    model = keras.Sequential(name="half")
    model.add(keras.Input((5,)))
    for units, name in ((6, "a"), (2, "c")):
        model.add(layers.Dense(units, "tanh", dtype="mixed_float16", name=name))
    return model


def compiled(make, strategy=MIRRORED, optimizer=keras.optimizers.SGD, **kwargs):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make()
        optimizer = optimizer(0.01)
        if model.layers[-1].compute_dtype == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, "mse", **kwargs)
    return model


def fit(model, *callbacks, rows=ROWS, epochs=2):
    x, y = data(rows)
    options = {"shuffle": False, "verbose": 0, "callbacks": list(callbacks)}
    history = model.fit(x, y, BATCH, epochs, **options)
    variables = [*model.variables, *model.optimizer.variables]  # seeds among them
    return [variable.numpy() for variable in variables], history.history


def assert_same_statistics(mine, theirs, rel=1e-5):
    assert mine.step == theirs.step
    assert mine.info.loss == pytest.approx(theirs.info.loss, rel=rel)
    assert [s.tap for s in mine.stats] == [s.tap for s in theirs.stats]
    for one, other in zip(mine.stats, theirs.stats, strict=True):
        assert_agree(one.values, other.values, rel)


@pytest.mark.parametrize(
    ("make", "eager"),
    [(with_dropout, False), (with_dropout, True), (normalized, False)],
)
def test_training_is_bit_identical(make, eager, tmp_path):
    plain = fit(compiled(make, optimizer=keras.optimizers.Adam, run_eagerly=eager))
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    watched = fit(compiled(make, optimizer=keras.optimizers.Adam, run_eagerly=eager), monitor)
    assert len(watched[0]) == len(plain[0])
    for mine, theirs in zip(watched[0], plain[0], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert watched[1] == plain[1]
    assert [snapshot.step for snapshot in monitor.history] == [0, 1, 2, 3, 4, 5]
    for snapshot in monitor.history:
        assert {str(s.tap.quantity) for s in snapshot.stats} == {str(q) for q in Quantity}


@pytest.mark.parametrize(
    ("make", "rel"),
    [(mlp, 1e-5), (shared, 1e-5), (normalized, 1e-5), (half, 4 * 2.0**-10)],
)
def test_statistics_are_those_of_one_device(make, rel, tmp_path):
    monitors = [VarianceMonitor(tmp_path / name, update_freq=1) for name in ("two", "one")]
    for monitor, strategy in zip(monitors, (MIRRORED, ONE), strict=True):
        fit(compiled(make, strategy), monitor, rows=2 * BATCH)
    two, one = (list(monitor.history) for monitor in monitors)
    assert len(two) == len(one) == 4
    for mine, theirs in zip(two, one, strict=True):
        assert_same_statistics(mine, theirs, rel)


@pytest.mark.parametrize("rows", [5, 1])
def test_devices_with_unequal_parts(rows, tmp_path):
    """Keras takes the mean of the devices' mean losses, though one has three examples.

    Its gradients are those that are applied. Of a single example one device gets nothing.
    """
    model, monitor = compiled(mlp), VarianceMonitor(tmp_path, update_freq=1)
    weights = [tf.constant(variable) for variable in model.get_weights()]
    model.optimizer.learning_rate = 0.0
    fit(model, monitor, rows=BATCH + rows, epochs=1)
    snapshot = monitor.history[1]
    stats = {(s.tap.layer, str(s.tap.quantity)): s for s in snapshot.stats}
    (x, y), (w1, b1, w2, b2, w3, b3) = data(BATCH + rows), weights
    x, y = x[BATCH:], y[BATCH:]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        first = tf.tanh(x @ w1 + b1)
        second = tf.nn.relu(first @ w2 + b2)
        last = second @ w3 + b3
        errors = tf.reduce_mean((last - y) ** 2, 1)
        means = [tf.reduce_mean(part) for part in (errors[:3], errors[3:]) if len(part)]
        loss = sum(means) / 2 + 0.01 * tf.reduce_sum(w1**2)
    assert snapshot.info.loss == pytest.approx(float(loss), rel=1e-5)
    expected = dict(zip("abc", (first, second, last), strict=True))
    for layer, tensor in expected.items():
        assert stats[layer, "activation"].tap.size == len(tensor.numpy().flat)
        assert_agree(stats[layer, "activation"].values, reference(tensor))
    for at, gradient in enumerate(tape.gradient(loss, weights)):
        kind = ("kernel_gradient", "bias_gradient")[at % 2]
        values = stats["abc"[at // 2], kind].values
        moments = reference(tf.reshape(gradient, (-1, 1)))
        assert_agree(values, {name: moments[name] for name in values})


def test_a_batch_that_nobody_has_dealt_out():
    """As of a fixed probe: it is split as `fit` splits those that it trains on."""
    looked = []
    for strategy in (MIRRORED, ONE):
        model = compiled(mlp, strategy)
        meter = Meter(model, graph.layers(model), frozenset(Quantity), pytest.fail)
        meter.before(tuple(map(tf.constant, data(BATCH))))
        looked.append(meter.after(0, 0).snapshot())
    assert_same_statistics(*looked)


@pytest.mark.parametrize("strategy", [MIRRORED, MIRRORED_ON_ONE])
def test_nothing_is_traced_again(strategy, tmp_path):
    """Neither the training step nor, at the second look and all others, the look's own."""
    calls = []

    class Counting(keras.Sequential):
        def train_step(self, batch):
            calls.append(batch)
            return super().train_step(batch)

    def counting():
        return Counting([keras.Input((5,)), layers.Dense(2, name="a")])

    fit(compiled(counting, strategy), rows=2 * BATCH)
    plain = len(calls)
    fit(compiled(counting, strategy), VarianceMonitor(tmp_path, update_freq=1), rows=2 * BATCH)
    assert len(calls) - plain == 2 * plain  # once for training, once for looking


def test_nothing_is_left_behind(tmp_path):
    def state(model):
        parts = [model, *model.layers, model.optimizer]
        hooks = [keras.layers.Layer.__call__, keras.optimizers.SGD.apply, keras.Variable.handle]
        held = [{name: id(value) for name, value in vars(part).items()} for part in parts]
        return held, hooks, model.to_json()

    model = compiled(with_dropout)
    fit(model)
    before = state(model)
    fit(model, VarianceMonitor(tmp_path, update_freq=1))
    fit(model)
    after = state(model)
    for mine, theirs in zip(after[0], before[0], strict=True):
        changed = {name for name in mine if mine[name] != theirs.get(name)}
        assert mine.keys() == theirs.keys()
        assert changed <= {"history", "stop_training", "_current_epoch"}
    assert after[1:] == before[1:]
