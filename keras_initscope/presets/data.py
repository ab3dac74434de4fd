"""What the presets learn: examples with a class each, to train on and to test on.

Owns the record and how examples are scaled, so that a first layer of unit gain sees what signal
theory assumes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: What subtracting the mean leaves of examples that are all the same, where they are 1 or less.
_ROUNDING = 1e-14


class Data(NamedTuple):
    """Examples of some classes.

    Args:
        train_x: `(examples, features)` float32 to train on.
        train_y: `(examples,)` classes of these, from 0 on; of an autoencoder, the examples.
        test_x: `(examples, features)` float32 to test on.
        test_y: The same of the examples to test on.
    """

    train_x: NDArray[np.float32]
    train_y: NDArray[Any]
    test_x: NDArray[np.float32]
    test_y: NDArray[Any]

    @property
    def features(self) -> int:
        """Numbers in an example."""
        return int(self.train_x.shape[1])

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1


def standardized(train_x: Any, test_x: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each feature with mean 0 over the training examples, and one factor for all: E x^2 = 1.

    Args:
        train_x: `(examples, ...)` numbers to train on.
        test_x: `(examples, ...)` numbers to test on.

    Returns:
        Both with one axis of features, scaled alike.
    """
    train, test = (np.reshape(x, (len(x), -1)).astype("float64") for x in (train_x, test_x))
    peak = float(np.abs(train).max()) or 1.0  # its square may be no number of any precision
    train, test = train / peak, test / peak
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    size = float(np.sqrt(np.mean(train**2)))
    if size < _ROUNDING:
        size = 1.0
    return (train / size).astype("float32"), (test / size).astype("float32")


def noise(features: int, examples: int, seed: int, classes: int = 10) -> Data:
    """Inputs from N(0, 1), whose classes say nothing about them: all that signal theory asks for.

    Args:
        features: Numbers in an example.
        examples: How many to train on, and as many again to test on.
        seed: Fixes them.
        classes: How many classes are drawn from.

    Returns:
        The examples.
    """
    random = np.random.default_rng(seed)
    x = random.normal(size=(2 * examples, features)).astype("float32")
    y = random.integers(classes, size=2 * examples)
    return Data(x[:examples], y[:examples], x[examples:], y[examples:])
