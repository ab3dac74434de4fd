"""Data by name, or a person's own arrays, as the presets take them.

Owns the names: the digits of scikit-learn, what is generated here, and the data sets that Keras
downloads for those who are online.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.data import Data, standardized
from keras_initscope.presets.digits import digits
from keras_initscope.presets.mnist1d import mnist1d
from keras_initscope.presets.result import PresetError
from keras_initscope.presets.spirals import spirals
from keras_initscope.text import did_you_mean

#: Data that needs no network: name to what makes it from a seed.
AT_HAND: Mapping[str, Callable[[int], Data]] = {
    "digits": digits,
    "mnist1d": mnist1d,
    "spirals": spirals,
}
#: Data that Keras downloads; of texts, whether one of the most frequent words occurs.
IMAGES = ("cifar10", "cifar100", "fashion_mnist", "mnist")
TEXTS = ("imdb", "reuters")
_NUMBERS = ("boston_housing", "california_housing")
_WORDS = 1000
_TEST_SHARE = 0.2
_FEWEST = 10


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Where the examples of a preset come from.

    Args:
        name: `"digits"`, `"mnist1d"`, or a data set of `keras.datasets`; with `arrays`, what they
            are called.
        arrays: A person's own examples and classes, `(x, y)` or `((x, y), (test_x, test_y))`.
    """

    name: str
    arrays: Any = None

    def __eq__(self, other: object) -> bool:
        """Whether both are the same name, or the same arrays."""
        if not isinstance(other, Source):
            return NotImplemented
        return self.name == other.name and self.arrays is other.arrays

    def __hash__(self) -> int:
        return hash((self.name, id(self.arrays)))

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, value: Any) -> Source:
        """From a name or from arrays, checked as far as can be without loading anything.

        Args:
            value: A name, `(x, y)`, `((x, y), (test_x, test_y))` or a `Source`.

        Returns:
            The source.

        Raises:
            PresetError: If there is no such data, or the arrays cannot be classes and examples.
        """
        if isinstance(value, Source):
            return value
        if isinstance(value, str):
            return cls(_known(value))
        source = cls("your arrays", value)
        _from_arrays(value, seed=0)
        return source

    def load(self, seed: int) -> Data:
        """The examples.

        Args:
            seed: Fixes their order, where they are generated or divided here.

        Returns:
            Examples with mean 0 for each feature and mean square 1 over all.

        Raises:
            PresetError: If they cannot be downloaded, or not be read.
        """
        if self.arrays is not None:
            return _from_arrays(self.arrays, seed)
        if self.name in AT_HAND:
            return AT_HAND[self.name](seed)
        return _divided(*_downloaded(self.name))


DIGITS = Source("digits")
MNIST1D = Source("mnist1d")


def _known(name: str) -> str:
    names = (*AT_HAND, *IMAGES, *TEXTS)
    if name in _NUMBERS:
        raise PresetError(
            f"{name!r} is a table of prices, and the presets learn classes. Pass arrays: "
            "data=(x, y) with classes of your own making, such as `y > numpy.median(y)`."
        )
    if name not in names:
        raise PresetError(
            f"There is no data {name!r}. {did_you_mean(name, names)}Known without a network: "
            f"{', '.join(AT_HAND)}; downloaded by Keras: {', '.join((*IMAGES, *TEXTS))}; or pass "
            "arrays: data=(x, y)."
        )
    return name


def _downloaded(name: str) -> Any:
    module = getattr(keras.datasets, name)
    try:
        if name in TEXTS:
            (x, y), (test_x, test_y) = module.load_data(num_words=_WORDS)
            return (_words(x), y), (_words(test_x), test_y)
        return module.load_data()
    except Exception as error:  # what Keras raises where a download fails has no class of its own
        raise PresetError(
            f"Keras could not load the data {name!r}, which it downloads once: {error}. Without a "
            f"network, use {' or '.join(map(repr, AT_HAND))}, or pass arrays: data=(x, y)."
        ) from error


def _words(texts: Any) -> NDArray[np.float32]:
    """`(texts, words)`: 1 where a word occurs."""
    found = np.zeros((len(texts), _WORDS), "float32")
    for row, text in zip(found, texts, strict=True):
        row[np.asarray(text, dtype=int)] = 1
    return found


def _from_arrays(arrays: Any, seed: int) -> Data:
    pair = _pair(arrays)
    if all(_is_pair(each) for each in pair):
        return _both(_examples(*pair[0]), _examples(*pair[1]))
    x, y = _examples(*pair)
    _check_classes(y)
    order = np.random.default_rng(seed).permutation(len(x))
    kept = len(x) - max(1, int(_TEST_SHARE * len(x)))
    return _divided((x[order[:kept]], y[order[:kept]]), (x[order[kept:]], y[order[kept:]]))


def _both(train: Any, test: Any) -> Data:
    """Examples that are divided already, which must be alike."""
    if train[0].shape[1:] != test[0].shape[1:]:
        raise PresetError(
            "The examples to train on and those to test on must have the same shape. Received: "
            f"{train[0].shape[1:]} to train on and {test[0].shape[1:]} to test on. Take the same "
            "features of both."
        )
    _check_classes(np.concatenate([train[1], test[1]]))
    return _divided(train, test)


def _check_classes(y: NDArray[Any]) -> None:
    """A network has an output for each number up to the largest, so that none may be left out."""
    found = np.unique(y)
    if len(found) <= found[-1]:
        raise PresetError(
            "The classes in `data` must be numbered 0, 1, 2 and so on, with none left out. "
            f"Received: {len(found)} classes, the largest of which is {int(found[-1])}. Number "
            "them anew: numpy.unique(y, return_inverse=True)[1]."
        )


def _divided(train: Any, test: Any) -> Data:
    train_x, test_x = standardized(train[0], test[0])
    train_y, test_y = (np.ravel(y).astype("int64") for _, y in (train, test))
    return Data(train_x, train_y, test_x, test_y)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _pair(arrays: Any) -> Any:
    if not _is_pair(arrays):
        raise PresetError(
            "`data` must be a name such as 'digits', or arrays: (x, y), or "
            f"((x, y), (test_x, test_y)). Received: {_short(arrays)}."
        )
    return arrays


def _examples(x: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Arrays of examples and of their classes."""
    try:
        values, classes = np.asarray(x), np.asarray(y)
        if np.iscomplexobj(values) or np.iscomplexobj(classes):
            raise _refusal(x, y)
        numbers, labels = values.astype("float64"), np.ravel(classes).astype("int64")
    except (TypeError, ValueError) as error:
        raise _refusal(x, y) from error
    fits = values.ndim > 1 and values.size and len(values) == classes.size >= _FEWEST
    whole = bool(np.all(np.ravel(classes) == labels)) and bool(np.all(labels >= 0))
    if not (fits and whole and len(np.unique(labels)) > 1 and np.all(np.isfinite(numbers))):
        raise _refusal(x, y)
    return numbers, labels


def _refusal(x: Any, y: Any) -> PresetError:
    return PresetError(
        f"`data` must be (x, y): x at least {_FEWEST} examples of finite real numbers, in an array "
        "of two axes or more; y a class for each, an integer from 0 on, two classes or more. "
        f"Received: x {_short(x)}, y {_short(y)}."
    )


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return f"of type {type(value).__name__}"
    return f"of shape {tuple(shape)} and dtype {value.dtype}"
