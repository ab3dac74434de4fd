"""A look changes nothing: every bit is the same before and after."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras.src.backend.common import global_state

import keras_initscope as initscope

X = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)


def _parts():
    return [
        layers.Dense(6, "tanh", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.ActivityRegularization(l2=0.1),
        layers.Dense(2),
    ]


def uncompiled():
    return keras.Sequential([keras.Input((5,)), *_parts()])


def compiled():
    model = uncompiled()
    model.compile("adam", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    return model


def trained():
    model = compiled()
    model.fit(X, Y, epochs=1, verbose=0)
    return model


class Custom(keras.Model):
    """A step and a metric of its own; draws from Keras' global generator and from NumPy's."""

    def __init__(self):
        super().__init__()
        self.parts = _parts()
        self.tracker = keras.metrics.Mean(name="own")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        for part in self.parts:
            x = part(x, training=training) if part._call_has_training_arg else part(x)
        self.add_loss(ops.mean(x**2))
        return x + 0.1 * keras.random.normal(ops.shape(x)) if training else x

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True)) + np.random.random()  # noqa: NPY002
        self.count.assign_add(1.0)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.tracker.update_state(loss + random.random())
        for metric in self.metrics:
            if metric.name not in ("loss", "own"):
                metric.update_state(y, self(x))
        return {"own": self.tracker.result()}


def custom():
    model = Custom()
    model(X)
    model.compile("adam", "mse", metrics=["mae"])
    return model


def two_outputs():
    given = keras.Input((5,))
    outputs = [layers.Dense(2, name=name)(given) for name in ("a", "b")]
    model = keras.Model(given, outputs)
    model.compile("adam", "mse", metrics=["mae", "mae"])
    return model


CASES = {
    "uncompiled": (uncompiled, (X,)),
    "with a loss": (uncompiled, (X, Y, "mse")),
    "compiled": (compiled, (X, Y)),
    "trained": (trained, (X, Y)),
    "custom": (custom, (X, Y)),
    "two outputs": (two_outputs, (X, [Y, Y])),
}


def _attributes(thing, depth=2):
    """What every attribute is, and what simple ones say."""
    found = {}
    for name, value in vars(thing).items():
        if isinstance(value, str | int | float | bool | tuple | type(None)):
            found[name] = repr(value)
        elif isinstance(value, list | dict | set):
            found[name] = (id(value), sorted(map(id, value)))
        else:
            inner = depth and hasattr(value, "__dict__") and not isinstance(value, type)
            found[name] = (id(value), _attributes(value, depth - 1) if inner else None)
    return found


def _state(model):
    parts = [model, *model._flatten_layers(include_self=False)]
    kept = {
        "variables": [np.asarray(v.value).tobytes() for v in model.variables],
        "metrics": [np.asarray(v.value).tobytes() for m in model.metrics for v in m.variables],
        "optimizer": model.compiled
        and (model.optimizer.built, [np.asarray(v).tobytes() for v in model.optimizer.variables]),
        "attributes": [_attributes(part) for part in parts],
        "nodes": [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in parts],
        "losses": [sorted(part._loss_ids) for part in parts],
        "python": random.getstate(),
        "numpy": repr(np.random.get_state(legacy=False)),  # noqa: NPY002
        "generator": id(global_state.get_global_attribute("global_seed_generator")),
        "tensorflow": tf.random.get_global_generator().state.numpy().tobytes(),
    }
    if model.compiled:
        kept["compiled"] = repr(model.get_compile_config())
    return kept


@pytest.mark.parametrize("name", CASES)
def test_nothing_changes(name):
    keras.utils.set_random_seed(4)
    make, arguments = CASES[name]
    model = make()
    before = _state(model)
    report = initscope.inspect(model, *arguments)
    assert any(row.measured_gradient for row in report.rows), report.notes
    after = _state(model)
    for key in before:
        assert after[key] == before[key], key


@pytest.mark.parametrize("name", ["compiled", "custom"])
def test_training_goes_the_same_way_afterwards(name):
    weights = []
    for looks in (0, 1):
        keras.utils.set_random_seed(4)
        make, (x, *y) = CASES[name]
        model = make()
        for _ in range(looks):
            initscope.inspect(model, x, *y)
        model.fit(x, *y, batch_size=8, epochs=1, verbose=0)
        weights.append([np.asarray(v.value) for v in model.variables])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_look_gives_the_same_numbers():
    model = compiled()
    first, second = (initscope.inspect(model, X, Y) for _ in range(2))
    assert first.rows == second.rows
