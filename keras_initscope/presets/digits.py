"""The handwritten digits that come with scikit-learn, ready for a dense network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.data import Data, standardized
from keras_initscope.presets.result import PresetError

_TRAINING = 1437


def digits(seed: int) -> Data:
    """1437 images to train on and 360 to test on; the seed fixes the order and the split."""
    x, y = _in_order(seed)
    train, test = standardized(x[:_TRAINING], x[_TRAINING:])
    return Data(train, y[:_TRAINING], test, y[_TRAINING:])


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
