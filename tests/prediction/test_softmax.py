"""The softmax from nearly equal logits to logits of which one wins, against drawn logits."""

import numpy as np
import pytest

from keras_initscope.prediction.activation import softmax_square


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
