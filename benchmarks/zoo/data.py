"""Data that fit in memory and come with scikit-learn or are generated, as users prepare them.

Each function gives `(x, y)` of so many examples; those with parameters give such a function.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from sklearn import datasets


@cache
def _loaded(name):
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def _drawn(name, rng, count):
    x, y = _loaded(name)
    index = rng.permutation(len(x))
    index = np.resize(index, count)
    return x[index].astype("float32"), y[index]


def _standard(x):
    deviation = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def table(name, standard=True, target="int32", scale=1.0, shift=0.0):
    """A table of numbers: cancer, wine, iris, diabetes, digits."""

    def draw(rng, count):
        x, y = _drawn(name, rng, count)
        y = ((y - shift) / scale).astype(target)
        return (_standard(x) if standard else x) * 1.0, y[:, None] if target == "float32" else y

    return draw


digits = table("digits")
cancer = table("breast_cancer", target="float32")
wine = table("wine")
diabetes = table("diabetes", target="float32", scale=77.0, shift=152.0)
raw_wine = table("wine", standard=False)


def pixels(rng, count):
    x, y = _drawn("digits", rng, count)
    return x / 16, y


def images(size=8, channels=1, low=0.0, high=1.0, mean=0.0):
    """Digits as images; `size` a multiple of 8."""

    def draw(rng, count):
        x, y = pixels(rng, count)
        x = x.reshape(-1, 8, 8, 1).repeat(size // 8, 1).repeat(size // 8, 2).repeat(channels, 3)
        return (low + (high - low) * x - mean).astype("float32"), y

    return draw


def rows(rng, count):
    x, y = pixels(rng, count)
    return x.reshape(-1, 8, 8), y


def waves(rng, count, steps=64):
    """Noisy sines of one of four frequencies."""
    y = rng.integers(0, 4, count)
    phase = rng.uniform(0, 6.28, (count, 1))
    x = np.sin(phase + np.arange(steps) * (0.1 + 0.2 * y[:, None]))
    return (x + rng.normal(0, 0.2, x.shape)).astype("float32")[..., None], y


def forecast(rng, count):
    x, _ = waves(rng, count, 33)
    return x[:, :-1], x[:, -1]


def tokens(rng, count, words=100, steps=24):
    """Text of two topics: words of the first half are more frequent in one of them."""
    y = rng.integers(0, 2, count)
    own = rng.integers(0, words // 2, (count, steps)) + words // 2 * y[:, None]
    any_word = rng.integers(0, words, (count, steps))
    return np.where(rng.random((count, steps)) < 0.5, own, any_word).astype("int32"), y


def sentiment(rng, count):
    x, y = tokens(rng, count)
    return x, y.astype("float32")[:, None]


def counting(rng, count, words=20, steps=16):
    """Sequences that count up by 1, 2 or 3, and the next token at each place."""
    start = rng.integers(0, words, (count, 1))
    x = (start + np.arange(steps + 1) * rng.integers(1, 4, (count, 1))) % words
    return x[:, :-1].astype("int32"), x[:, 1:].astype("int32")


def translation(rng, count):
    x, y = counting(rng, count, steps=8)
    return (x, np.pad(y[:, :-1], ((0, 0), (1, 0)))), y


def itself(draw):
    """What an autoencoder is given."""

    def draw_twice(rng, count):
        x, _ = draw(rng, count)
        return x, x

    return draw_twice


def masks(rng, count):
    """Noisy images and which pixels belong to the object."""
    x, _ = images(16)(rng, count)
    return x + rng.normal(0, 0.2, x.shape).astype("float32"), (x > 0.4).astype("float32")


def pairs(rng, count):
    """Two digits, and whether they are the same."""
    (a, y), (b, z) = digits(rng, count), digits(rng, count)
    same = rng.random(count) < 0.5
    b, z = np.where(same[:, None], a, b), np.where(same, y, z)
    return (a, b), (y == z).astype("float32")[:, None]


def ratings(rng, count):
    users, items = rng.integers(0, 30, (2, count, 1))
    taste = np.random.default_rng(0).normal(size=(2, 30, 3))
    score = (taste[0][users[:, 0]] * taste[1][items[:, 0]]).sum(1, keepdims=True)
    return (users.astype("int32"), items.astype("int32")), score.astype("float32")


def two_targets(rng, count):
    x, y = digits(rng, count)
    return x, (y, (y[:, None] / 5 - 1).astype("float32"))


def many_labels(rng, count):
    x, y = digits(rng, count)
    return x, np.stack([y % 2, y > 4, y % 3 == 0], axis=1).astype("float32")


def one_hot(rng, count):
    x, y = tokens(rng, count, words=400)
    bag = np.zeros((count, 400), "float32")
    np.put_along_axis(bag, x, 1.0, axis=1)
    return bag, y


def rare(rng, count):
    """One example in 30 is positive."""
    y = rng.random(count) < 1 / 30
    x = rng.normal(size=(count, 16)) + 1.5 * y[:, None]
    return x.astype("float32"), y.astype("float32")[:, None]


def counts(rng, count):
    x = rng.normal(size=(count, 8)).astype("float32")
    return x, rng.poisson(np.exp(1 + 0.7 * x[:, :1])).astype("float32")


def coordinates(rng, count):
    """A picture as a function of its coordinates, as implicit representations learn it."""
    x = rng.uniform(-1, 1, (count, 2)).astype("float32")
    return x, np.sin(8 * x[:, :1]) * np.cos(5 * x[:, 1:])


def points(rng, count):
    """Clouds of points on a sphere or in a box."""
    y = rng.integers(0, 2, count)
    ball = rng.normal(size=(count, 32, 3))
    ball /= np.linalg.norm(ball, axis=-1, keepdims=True)
    x = np.where(y[:, None, None], ball, rng.uniform(-1, 1, ball.shape))
    return x.astype("float32"), y


def written(rng, count):
    """Three digits beside each other, column by column, and which they are (0 is the blank)."""
    x, y = images()(rng, 3 * count)
    x = x[..., 0].reshape(count, 3, 8, 8).transpose(0, 1, 3, 2).reshape(count, 24, 8)
    return x, (y.reshape(count, 3) + 1).astype("int32")


def videos(rng, count):
    x, y = images()(rng, count)
    return np.stack([np.roll(x, k, axis=2) for k in range(4)], axis=1), y


def with_columns(draw, scale=1.0, shift=0.0, columns=None, value=None):
    """The same data with some columns scaled and shifted, or set to one value."""

    def draw_changed(rng, count):
        x, y = draw(rng, count)
        x = np.array(x, "float32")
        chosen = slice(None) if columns is None else columns
        x[..., chosen] = value if value is not None else shift + scale * x[..., chosen]
        return x, y

    return draw_changed


def spoiled(draw, value=np.nan, share=0.01, targets=False):
    """The same data with some numbers replaced."""

    def draw_spoiled(rng, count):
        x, y = (np.array(part) for part in draw(rng, count))
        chosen = y if targets else x
        chosen[rng.random(chosen.shape) < share] = value
        return x, y

    return draw_spoiled
