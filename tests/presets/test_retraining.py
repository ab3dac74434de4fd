"""Training again and again: nothing of one training is left in the next."""

import json

import keras
import numpy as np
import pytest

from keras_initscope import reinitialize
from keras_initscope.presets import retraining
from keras_initscope.presets.digits import digits
from keras_initscope.presets.retraining import Attempt, Plan, Trainer, columns, network, signal
from keras_initscope.presets.sources import DIGITS

PLAN = Plan(steps=6, learning_rate=0.01, seeds=2)


def _draw(model, data, seed):
    reinitialize(model, [("kernel", "he_normal")], seed)


@pytest.fixture(scope="module")
def trainer():
    return Trainer(network("relu", 3, 12, digits(0)), DIGITS)


@pytest.fixture(scope="module")
def attempts(trainer):
    return trainer.attempts(_draw, PLAN, seed=3, log_dir=None)


def test_a_training_leaves_nothing_for_the_next(trainer, attempts):
    """Weights, momentum, learning rate and batches are those of the seed; so the losses are."""
    trainer.attempts(_draw, Plan(4, 1.0, 1), seed=9, log_dir=None)
    for first, again in zip(
        attempts, trainer.attempts(_draw, PLAN, seed=3, log_dir=None), strict=True
    ):
        np.testing.assert_array_equal(again.losses, first.losses)
        assert again.accuracy == first.accuracy
    assert np.all(attempts[0].losses != attempts[1].losses)


def test_the_losses_are_those_of_each_batch_before_its_step(attempts):
    """Recomputed by hand, momentum included."""
    data, plan = digits(4), PLAN
    model = network("relu", 3, 12, digits(0))
    _draw(model, data, 4)
    kernels = [np.asarray(weight) for weight in model.trainable_variables]
    speeds = [np.zeros_like(kernel) for kernel in kernels]
    drawn = np.random.default_rng(4).integers(len(data.train_x), size=(plan.steps, 64))
    for batch, measured in zip(drawn, attempts[1].losses, strict=True):
        loss, gradients = _by_hand(kernels, data.train_x[batch], data.train_y[batch])
        assert measured == pytest.approx(loss, rel=1e-4)
        for kernel, speed, gradient in zip(kernels, speeds, gradients, strict=True):
            speed[:] = 0.9 * speed - plan.learning_rate * gradient
            kernel += speed


def _by_hand(kernels, x, y):
    values = [x]
    for kernel in kernels[:-1]:
        values.append(np.maximum(values[-1] @ kernel, 0))
    logits = values[-1] @ kernels[-1]
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(softmax[np.arange(len(y)), y]))
    softmax[np.arange(len(y)), y] -= 1
    delta, gradients = softmax / len(y), []
    for kernel, value in zip(kernels[::-1], values[::-1], strict=True):
        gradients.insert(0, value.T @ delta)
        delta = (delta @ kernel.T) * (value > 0)
    return loss, gradients


def test_gradients_are_clipped_to_the_norm_asked_for():
    """Without momentum yet, the first step is as long as learning rate times norm."""
    model = network("relu", 3, 12, digits(0))
    trainer = Trainer(model, DIGITS, clipnorm=1e-3)
    trainer.attempts(_draw, Plan(1, 0.5, 1), seed=0, log_dir=None)
    after = [np.asarray(weight) for weight in model.trainable_variables]
    _draw(model, None, 0)
    steps = [end - np.asarray(w) for end, w in zip(after, model.trainable_variables, strict=True)]
    length = np.sqrt(sum(np.sum(step**2) for step in steps))
    assert length == pytest.approx(0.5e-3, rel=1e-3)


def test_the_first_seed_is_watched_where_asked_and_trains_alike(trainer, attempts, tmp_path):
    watched = trainer.attempts(_draw, PLAN, seed=3, log_dir=tmp_path / "run")
    for seen, unseen in zip(watched, attempts, strict=True):
        np.testing.assert_array_equal(seen.losses, unseen.losses)
    assert list((tmp_path / "run" / "train").glob("events.out.tfevents*"))
    lines = (tmp_path / "run" / "snapshots.jsonl").read_text().splitlines()
    steps = [entry["step"] for entry in map(json.loads, lines) if "step" in entry]
    assert sorted(set(steps)) == [0, PLAN.steps - 1]


def test_the_signal_before_training_is_that_of_the_hidden_layers():
    model = network("linear", 3, 64, digits(0))
    reinitialize(model, [("kernel", keras.initializers.Identity(2.0))])
    x = np.zeros((4, 64), "float32")
    x[0, 0] = x[1, 0] = x[2, 1] = 1.0  # the last one is zero
    squares, cosine = signal(model, x)
    np.testing.assert_allclose(squares, [3 / 256 * 4**layer for layer in (1, 2, 3)])
    assert cosine == pytest.approx((4 + 1) / 16)  # cosines of 16 pairs: 4 and 1 of them are 1


def test_steps_are_counted_to_the_level_of_the_smoothed_loss():
    losses = np.r_[np.full(10, 2.0), 0.0, np.full(9, 2.0), np.full(20, 1.0)]
    attempt = Attempt([1.0, 0.5, 0.25], 0.0, losses, 0.9)
    assert attempt.steps_to(1.05) == 25  # five batches of 1 in a row; the single 0 is noise
    assert attempt.steps_to(0.5) == len(losses)
    assert attempt.gain == pytest.approx(0.5)
    assert attempt.final_loss == 1.0
    assert Attempt([1.0, 1.0], 0.0, np.array([1.0, np.nan]), 0.1).final_loss == np.inf


def test_columns_are_means_over_the_seeds():
    losses = np.ones(3)
    both = [Attempt([1.0, 0.5], 0.2, losses, 0.9), Attempt([1.0, 2.0], 0.4, losses, 0.8)]
    assert columns(both) == pytest.approx(
        {"seeds": 2, "accuracy": 0.85, "lowest": 0.8, "gain": 1.0, "correlation": 0.3}
    )


def test_a_network_is_made_of_kernels_alone():
    model = network("tanh", 5, 7, digits(0))
    assert [weight.shape for weight in model.weights] == [(64, 7), *[(7, 7)] * 4, (7, 10)]
    assert retraining.BATCH == 64
