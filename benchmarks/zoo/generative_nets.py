"""Healthy networks that generate: autoencoders and adversaries."""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.zoo.blocks import L, conv, ops

losses = keras.losses


def autoencoder():
    hidden = [L.Dense(units, "relu") for units in (64, 32, 8, 32, 64)]
    return [*hidden, L.Dense(64, "sigmoid")]


def conv_autoencoder():
    return [
        conv(16, strides=2),
        conv(8, strides=2),
        L.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
        L.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        conv(1, activation="sigmoid"),
    ]


class Sampling(L.Layer):
    """Draws from the code's distribution and adds its divergence to the loss."""

    def __init__(self):
        super().__init__()
        self.draw = keras.random.SeedGenerator(0)

    def call(self, mean, log_var):
        loss = -0.5 * ops.mean(1 + log_var - ops.square(mean) - ops.exp(log_var))
        self.add_loss(0.01 * loss)
        noise = keras.random.normal(ops.shape(mean), seed=self.draw)
        return mean + ops.exp(0.5 * log_var) * noise


def vae(x):
    x = L.Dense(64, "relu")(x)
    x = Sampling()(L.Dense(4)(x), L.Dense(4)(x))
    return L.Dense(64, "sigmoid")(L.Dense(64, "relu")(x))


def discriminator():
    return [
        L.Conv2D(32, 3, 2, padding="same"),
        L.LeakyReLU(0.2),
        L.Dropout(0.3),
        L.Conv2D(64, 3, 2, padding="same"),
        L.LeakyReLU(0.2),
        L.Dropout(0.3),
        L.Flatten(),
        L.Dense(1),
    ]


def generator():
    return [
        L.Dense(2 * 2 * 32, use_bias=False),
        L.BatchNormalization(),
        L.LeakyReLU(0.2),
        L.Reshape((2, 2, 32)),
        L.Conv2DTranspose(16, 3, 2, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.LeakyReLU(0.2),
        L.Conv2DTranspose(1, 3, 2, padding="same", activation="tanh"),
    ]


def combined():
    """A generator before a discriminator that is held."""
    judge = keras.Sequential([keras.Input((8, 8, 1)), *discriminator()])
    judge.trainable = False
    return keras.Sequential([keras.Input((16,)), *generator(), judge])


class Adversaries(keras.Model):
    """Both in one training step, with two optimizers."""

    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([keras.Input((16,)), *generator()])
        self.judge = keras.Sequential([keras.Input((8, 8, 1)), *discriminator()])
        self.draw = keras.random.SeedGenerator(0)
        self.loss_of = losses.BinaryCrossentropy(from_logits=True)
        self.other = keras.optimizers.Adam(2e-4, beta_1=0.5)
        self.built = True

    def call(self, x, training=False):
        return self.judge(x, training=training)

    def train_step(self, batch):
        real = batch[0] if isinstance(batch, tuple) else batch
        noise = keras.random.normal((tf.shape(real)[0], 16), seed=self.draw)
        with tf.GradientTape(persistent=True) as tape:
            made = self.generator(noise, training=True)
            no, yes = self.judge(made, training=True), self.judge(real, training=True)
            judged = self.loss_of(tf.ones_like(yes), yes) + self.loss_of(tf.zeros_like(no), no)
            fooled = self.loss_of(tf.ones_like(no), no)
        for loss, part, optimizer in (
            (judged, self.judge, self.optimizer),
            (fooled, self.generator, self.other),
        ):
            weights = part.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": judged, "fooled": fooled}


def adversaries():
    model = Adversaries()
    model.other.build(model.generator.trainable_variables)
    model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    return model
