"""Inputs without targets, to be gone through again and again.

Owns what data is taken, that it is looked at once as a whole beforehand, and the order of examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.batches import examples_of

_EXPECTED = "an array of inputs, or a dataset of batches that can be gone through again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """What a model is trained on without targets.

    Args:
        source: An array, or a dataset of batches.
        sample: Some examples, to measure on.
        low: The smallest value of all.
        high: The largest value of all.
    """

    source: Any
    sample: Any
    low: float
    high: float

    def batches(self, size: int, seed: int) -> Any:
        """What `fit` goes through: an array in a new order each time, a dataset in its own."""
        return _Shuffled(self.source, size, seed) if _is_array(self.source) else self.source


class _Shuffled(keras.utils.PyDataset):
    """Whole batches of an array, in a new order each time.

    Keras draws its order from a global state, which is not ours to move.
    """

    def __init__(self, x: Any, size: int, seed: int) -> None:
        super().__init__()
        self._x, self._size = x, min(size, len(x))
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(len(x))

    def __len__(self) -> int:
        return int(len(self._x) // self._size)

    def __getitem__(self, index: int) -> tuple[Any]:
        start = index * self._size
        return (self._x[np.sort(self._order[start : start + self._size])],)

    def on_epoch_end(self) -> None:
        self._order = self._rng.permutation(len(self._x))


def read(x: Any) -> Examples:
    """Go through data once.

    Raises:
        ValueError: If there is none, it can be gone through only once or never ends, or holds
            something else than finite numbers.
    """
    if isinstance(x, list | tuple | dict) or keras.ops.is_tensor(x):
        x = _array(x)
    if _is_array(x):
        x = _array(x)
        _check_some(len(x) if x.ndim else 0, x)
        return Examples(source=x, sample=_spread(x), **_range([x]))
    _check_dataset(x)
    batches = (_array(keras.utils.unpack_x_y_sample_weight(batch)[0]) for batch in x)
    first = next(batches, None)
    _check_some(0 if first is None or not first.ndim else len(first), x)
    return Examples(source=x, sample=_spread(first), **_range(_again(first, batches)))


def check_shape(examples: Examples, model: Any) -> None:
    """Make sure that a model with known inputs takes the examples.

    Raises:
        ValueError: If it does not; says what it takes.
    """
    operations = graph.operations(model)
    if operations is None:
        return
    wanted, given = operations.inputs[0].shape, examples.sample.shape
    fits = len(wanted) == len(given) and all(
        m is None or m == n for m, n in zip(wanted[1:], given[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"The model {model.name!r} does not take this `x`. Expected: inputs of shape "
            f"{tuple(wanted)}. Received: {given}, the first axis being that of the examples."
        )


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _array(x: Any) -> Any:
    """Numbers, floating-point ones in single precision; of a structure of one array, that one."""
    leaves = keras.tree.flatten(x)
    x = leaves[0] if len(leaves) == 1 and _is_array(leaves[0]) else x
    if isinstance(x, dict) or (isinstance(x, list | tuple) and any(map(_is_array, x))):
        raise ValueError(
            f"A chain of layers has one input. Expected `x`: {_EXPECTED}. Received: a "
            f"{type(x).__name__} of {len(x)} arrays. Give the inputs alone, without targets."
        )
    try:
        found = keras.ops.convert_to_numpy(x) if keras.ops.is_tensor(x) else np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"Expected `x`: {_EXPECTED}. Received: x={x!r:.200}") from error
    if found.dtype.kind not in "fiub" and "float" not in found.dtype.name:
        raise ValueError(
            f"Expected `x`: {_EXPECTED}, of numbers. Received: dtype {found.dtype}. "
            'Convert it, as by `x.astype("float32")`.'
        )
    return found if found.dtype.kind in "iub" else found.astype("float32", copy=False)


def _check_some(count: int, x: Any) -> None:
    if not count:
        raise ValueError(
            f"There is nothing to learn from. Expected `x`: {_EXPECTED}. Received: an empty "
            f"{type(x).__name__}{f' of shape {x.shape}' if _is_array(x) else ''}."
        )


def _check_dataset(x: Any) -> None:
    if not isinstance(x, Iterable) or isinstance(x, str | bytes | dict):
        raise ValueError(f"Expected `x`: {_EXPECTED}. Received: x={x!r:.200}")
    if isinstance(x, Iterator):
        raise ValueError(
            f"Each layer goes through the data for itself. Expected `x`: {_EXPECTED}. Received: a "
            f"{type(x).__name__}, which is over after the first time. Give an array, a "
            "`tf.data.Dataset` or a `keras.utils.PyDataset`."
        )
    if _is_endless(x):
        raise ValueError(
            f"Expected `x`: {_EXPECTED}. Received: a {type(x).__name__} that never ends. Limit it, "
            "as by `x.take(count)`."
        )


def _is_endless(x: Any) -> bool:
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches is None
    cardinality = getattr(x, "cardinality", None)
    return callable(cardinality) and int(cardinality()) == -1  # TensorFlow's INFINITE_CARDINALITY


def _spread(x: Any) -> Any:
    """Examples spread evenly over an array, which may be sorted by class."""
    return x[np.linspace(0, len(x) - 1, examples_of(len(x), x[0].size)).astype(int)]


def _range(arrays: Iterable[Any]) -> dict[str, float]:
    low, high = np.inf, -np.inf
    for array in arrays:
        if not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise ValueError(
                f"Expected `x` to hold finite numbers. Received: {count} values of {array.size} "
                "that are NaN or infinite. Fill them in, or leave those examples out."
            )
        low, high = min(low, float(array.min())), max(high, float(array.max()))
    return {"low": low, "high": high}
