"""Tracing takes longer than anything else, so nothing is traced twice."""

import gc

import keras
import numpy as np
import pytest
from keras import layers

from keras_initscope import VarianceMonitor
from keras_initscope.measurement.backends import tensorflow as backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype(np.float32)
Y = RNG.normal(size=(22, 1)).astype(np.float32)


class Layer(layers.Dense):
    """Counts how often Python runs its call with real training in mind."""

    calls = 0

    def call(self, inputs, training=False):
        Layer.calls += bool(training)
        return super().call(inputs)


@pytest.fixture
def made(monkeypatch):
    """Every compiled function that a meter makes."""
    found, original = [], backend.Compiled.__init__

    def remember(self, *args, **kwargs):
        found.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(backend.Compiled, "__init__", remember)
    return found


class Traces(keras.callbacks.Callback):
    """Notes after each batch how much has been traced by then."""

    def __init__(self, made):
        super().__init__()
        self.made, self.seen = made, []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((sum(part.traces for part in self.made), Layer.calls))


def compiled():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), Layer(3, "tanh", name="a"), layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def fit(model, *callbacks, rows=16, epochs=2):
    options = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    model.fit(X[:rows], Y[:rows], callbacks=list(callbacks), **options)


def test_a_second_snapshot_traces_nothing(made, tmp_path):
    traces = Traces(made)
    fit(compiled(), VarianceMonitor(tmp_path, update_freq=1), traces)
    assert traces.seen[0][0] >= 2  # the look before a step, and that after it
    assert len(set(traces.seen)) == 1


def test_a_new_batch_shape_is_traced_once(made, tmp_path):
    """Three batches an epoch, of which the third is a ragged one."""
    traces = Traces(made)
    fit(compiled(), VarianceMonitor(tmp_path, update_freq=1), traces, rows=22, epochs=3)
    first, second, ragged, *later = traces.seen
    assert first == second
    assert ragged[0] > second[0]
    assert set(later) == {ragged}


def test_the_training_step_is_traced_as_often_as_without_the_monitor(made, tmp_path):
    Layer.calls, model = 0, compiled()
    fit(model, rows=22)
    plain, Layer.calls, watched = Layer.calls, 0, compiled()
    fit(watched, VarianceMonitor(tmp_path, 1, quantities=["kernel"]), rows=22)
    assert Layer.calls == plain


def test_a_second_fit_of_the_same_compiled_model_traces_nothing(made, tmp_path):
    """Theory, which is asked anew each time for what it thinks of the weights, is left out."""
    monitor = VarianceMonitor(tmp_path, update_freq=1, outputs="snapshots")
    model, traces = compiled(), Traces(made)
    fit(model, monitor, traces)
    fit(model, monitor, traces)
    assert len(set(traces.seen)) == 1
    assert [s.step for s in monitor.history] == [4, 5, 6, 7]


@pytest.mark.parametrize("change", ["compile", "freeze", "monitor"])
def test_another_training_step_is_traced_anew(change, made, tmp_path):
    """As Keras does: what a model trains is read when it is compiled."""
    model, monitor, traces = compiled(), VarianceMonitor(tmp_path, update_freq=1), Traces(made)
    fit(model, monitor, traces)
    if change == "freeze":
        model.get_layer("a").trainable = False
    if change == "monitor":
        monitor = VarianceMonitor(tmp_path, update_freq=1)
    else:
        model.compile("sgd", "mae", jit_compile=False)
    fit(model, monitor, traces)
    assert traces.seen[4][0] > traces.seen[3][0]
    assert len(set(traces.seen[4:])) == 1
    found = monitor.history[0].profile("kernel_gradient", "variance")
    assert ("a" in found) == (change != "freeze")


def test_what_was_traced_goes_with_the_model(tmp_path):
    """TensorFlow keeps some graphs for ever; a monitor leaves no more of them than a plain fit."""

    def graphs_left(*monitors):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
        model.compile("adam", "mse", jit_compile=False)
        model.fit(X, np.ones((22, 3)), batch_size=8, verbose=0, callbacks=list(monitors))
        del model, monitors
        gc.collect()
        return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())

    plain = [graphs_left() for _ in range(3)]
    watched = [graphs_left(VarianceMonitor(tmp_path / str(i), update_freq=1)) for i in range(3)]
    assert watched[2] - watched[1] <= plain[2] - plain[1]
