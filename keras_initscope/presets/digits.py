"""The handwritten digits that come with scikit-learn, ready for a dense network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.result import PresetError

_TRAINING = 1437


class Digits(NamedTuple):
    """1437 images of 8 x 8 pixels to train on and 360 to test on, in random order.

    Each pixel has mean 0 over the training images; one factor for all makes E x^2 = 1, so that a
    unit-gain first layer sees what signal theory assumes.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


def digits(seed: int) -> Digits:
    """Load them; the seed fixes the order and the split."""
    x, y = _in_order(seed)
    x = x - x[:_TRAINING].mean(axis=0)
    x = x / np.sqrt(np.mean(x[:_TRAINING] ** 2))
    return Digits(x[:_TRAINING], y[:_TRAINING], x[_TRAINING:], y[_TRAINING:])


def pixels(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same images, to train and to test on, as they are: pixels in [0, 1]."""
    x, _ = _in_order(seed)
    x = x / np.float32(16)
    return x[:_TRAINING], x[_TRAINING:]


def _in_order(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    x, y = _load()
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order].astype("float32"), y[order]


def _load() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise PresetError(
            "This preset trains on the digits of scikit-learn, which is not installed. "
            "Install it with: pip install keras-initscope[presets]"
        ) from error
    return load_digits(return_X_y=True)
