"""The training loop of the presets is plain `fit`, and always the same."""

import keras
import numpy as np
import pytest

from keras_initscope.presets.data import Data
from keras_initscope.presets.training import BATCH, steps_per_pass, train

COUNT = 2 * BATCH + 5


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(COUNT + 20, 3)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    return Data(x[:COUNT], y[:COUNT], x[COUNT:], y[COUNT:])


def _model():
    kernel = keras.initializers.Constant(np.eye(3)[:, :2])
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=kernel)])


class _Losses(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.means = []

    def on_train_batch_end(self, batch, logs=None):
        self.means.append(logs["loss"])


def _softmax_regression(data, steps, rate):
    """The same training by hand: weights, and the loss before each step."""
    w, b, losses = np.eye(3)[:, :2], np.zeros(2), []
    for step in range(steps):
        batch = slice(step % 2 * BATCH, (step % 2 + 1) * BATCH)
        x, y = data.train_x[batch].astype(float), data.train_y[batch]
        logits = x @ w + b
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.mean(np.log(p[np.arange(BATCH), y])))
        error = (p - np.eye(2)[y]) / BATCH
        w, b = w - rate * x.T @ error, b - rate * error.sum(axis=0)
    return w, b, losses


def test_it_takes_so_many_steps_on_whole_batches_in_order(data):
    assert steps_per_pass(data) == 2
    model, losses = _model(), _Losses()
    accuracy = train(model, data, 5, keras.optimizers.SGD(0.5), [losses])
    w, b, expected = _softmax_regression(data, 5, 0.5)
    np.testing.assert_allclose(model.layers[0].kernel, w, rtol=1e-4, atol=1e-5)
    running = np.cumsum(expected) / np.arange(1, 6)  # as Keras logs it
    np.testing.assert_allclose(losses.means, running, rtol=1e-5)
    predicted = np.argmax(data.test_x @ w + b, axis=1)
    assert accuracy == np.mean(predicted == data.test_y)
    assert 0.5 < accuracy < 1


def test_training_again_gives_the_same_weights(data):
    first, second = (_model() for _ in range(2))
    for model in (first, second):
        train(model, data, 3, keras.optimizers.SGD(0.1))
    np.testing.assert_array_equal(first.layers[0].kernel, second.layers[0].kernel)
