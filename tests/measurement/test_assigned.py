"""Variables that a step assigns before it has done with them: gradients are those of training.

What plain training hands to its optimizer is kept there, and has to be what the look records.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_initscope as initscope
from keras_initscope import graph

ROWS = 16
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
Y = RNG.normal(size=(ROWS, 1)).astype(np.float32)


class Keeping(keras.optimizers.SGD):
    """Keeps what it is handed."""

    def apply(self, grads, trainable_variables=None):
        self.kept = [np.asarray(gradient) for gradient in grads]
        return super().apply(grads, trainable_variables)


def shared_spectral():
    """Called twice, so that the kernel is divided twice and read after each."""
    inputs = keras.Input((6,))
    once = layers.SpectralNormalization(layers.Dense(6, "tanh", name="a"))
    return keras.Model(inputs, layers.Dense(1, name="b")(once(inputs) - once(0.5 * inputs)))


class Clipped(keras.Model):
    """Clips its weights before the step, as a Wasserstein critic does after it."""

    def train_step(self, data):
        for variable in self.trainable_variables:
            variable.assign(ops.clip(variable, -0.2, 0.2))
        return super().train_step(data)


def clipped():
    inputs = keras.Input((6,))
    return Clipped(inputs, layers.Dense(1, name="b")(layers.Dense(5, "tanh", name="a")(inputs)))


class Centred(layers.Layer):
    """Takes away a running mean that this batch has moved: no gradient goes through the move."""

    def build(self, shape):
        self.mean = self.add_weight(shape=shape[-1:], initializer="zeros", trainable=False)

    def call(self, x):
        self.mean.assign(0.5 * self.mean + 0.5 * ops.mean(x, axis=0))
        return x - self.mean


def centred():
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, name="a"), Centred(), layers.Dense(1, name="b")]
    )


class Halved(layers.Layer):
    """Reads its weight, halves it, and reads it again: both readings count."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), initializer="glorot_normal", name="w")

    def call(self, x):
        first = ops.matmul(x, self.w)
        self.w.assign(0.5 * self.w)
        return first + ops.matmul(x, self.w)


def halved():
    return keras.Sequential([keras.Input((6,)), Halved(name="a"), layers.Dense(1, name="b")])


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("build", [shared_spectral, clipped, centred, halved])
def test_gradients_are_those_of_training(build, jit, tmp_path):
    keras.utils.set_random_seed(0)
    plain = build()
    plain.compile(Keeping(0.1), "mse", run_eagerly=True)
    watched = build()
    watched.set_weights([np.asarray(value) for value in plain.get_weights()])
    watched.compile("sgd", "mse", jit_compile=jit)
    plain.fit(X, Y, batch_size=ROWS, verbose=0)
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=1)
    watched.fit(X, Y, batch_size=ROWS, shuffle=False, verbose=0, callbacks=[monitor])
    names = {
        variable.path: (f"{quantity}_gradient", f"{node.path}/{part}" if part else node.path)
        for node in graph.layers(watched)
        for quantity, part, variable in node.weights()
    }
    for variable, gradient in zip(watched.trainable_variables, plain.optimizer.kept, strict=True):
        values = monitor.history[0].find(*names[variable.path]).values
        expected = float(np.sqrt(np.mean(np.square(gradient))))
        assert values["root_mean_square"] == pytest.approx(expected, rel=1e-5), variable.path
