"""The softmax from nearly equal logits to logits of which one wins, against drawn logits."""

import numpy as np
import pytest

from keras_initscope.prediction.activation import softmax_slope, softmax_square


@pytest.mark.parametrize("n", [2, 10, 100, 1000])
@pytest.mark.parametrize("variance", [1e-2, 1.0, 9.0, 25.0, 64.0, 400.0, 1e4])
def test_the_mean_square_of_a_softmax(variance, n):
    draws = 200_000 // n
    z = np.sqrt(variance) * np.random.default_rng(0).normal(size=(draws, n))
    s = np.exp(z - z.max(axis=1, keepdims=True))
    squares = np.mean((s / s.sum(axis=1, keepdims=True)) ** 2, axis=1)
    error = squares.std() / np.sqrt(draws)
    assert softmax_square(variance, n) == pytest.approx(squares.mean(), abs=4 * error)


def test_of_two_logits_far_apart_one_wins():
    """`E s^2 = 1/2 - E s (1-s)`, and `E s (1-s) -> density of z_1 - z_2 at 0 = 1/sqrt(4 pi v)`."""
    expected = 0.5 - 1 / np.sqrt(4 * np.pi * 1e6)
    assert softmax_square(1e6, 2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("variance", [1e-4, 0.5, 2.0, 50.0])
def test_the_slope_of_two_is_that_of_a_sigmoid(variance):
    """`s_1 = sigmoid(d)`, `d ~ N(0, 2 v)`, so that `sum_j (ds_j/dz_1)^2 = 2 (s (1 - s))^2`."""
    d = np.linspace(-12, 12, 200_001) * np.sqrt(2 * variance)
    density = np.exp(-(d**2) / (4 * variance))
    slopes = 2 * (0.5 / (1 + np.cosh(d))) ** 2
    expected = np.sum(density * slopes) / np.sum(density)
    assert softmax_slope(variance, 2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("variance", [0.1, 4.0])
def test_the_slope_of_many(n, variance):
    z = np.sqrt(variance) * np.random.default_rng(0).normal(size=(400_000 // n, n))
    s = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    slopes = np.mean(s**2 * (1 - 2 * s + np.sum(s**2, axis=1, keepdims=True)), axis=1)
    error = slopes.std() / np.sqrt(len(slopes))
    assert softmax_slope(variance, n) == pytest.approx(slopes.mean(), abs=4 * error)
