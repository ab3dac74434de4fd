"""Every kind of data that `fit` takes.

A feed gives the arguments of `fit`. Beside it stands what it makes of the first batch's weights.
"""

import keras
import numpy as np
import tensorflow as tf
from stacks import TOKENS
from zoo import BATCH

CLASS_WEIGHTS = {0: 1.0, 1: 5.0}


def drawn(shapes, units, rows):
    """Inputs of some shapes, `None` in front for tokens, and targets; one of either is no tuple."""
    rng = np.random.default_rng(0)
    x = tuple(_inputs(rng, shape, rows) for shape in shapes)
    y = tuple(rng.normal(size=(rows, each)).astype(np.float32) for each in units)
    return _alone(x), _alone(y)


def _alone(arrays):
    return arrays if len(arrays) > 1 else arrays[0]


def _inputs(rng, shape, rows):
    if shape[0] is None:
        return rng.integers(0, TOKENS, (rows, *shape[1:])).astype("int32")
    x = rng.normal(size=(rows, *shape)).astype(np.float32)
    if len(shape) == 2:
        x[::3, -1] = 0.0  # what `Masking` masks
    return x


def taken(arrays, batch):
    """The rows of one batch."""
    rows = slice(batch * BATCH, (batch + 1) * BATCH)
    return tf.nest.map_structure(lambda array: array[rows], arrays)


def _count(y):
    return -(-len(tf.nest.flatten(y)[0]) // BATCH)


class Batches(keras.utils.PyDataset):
    """Batches from Python."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return _count(self.y)

    def __getitem__(self, i):
        return taken(self.x, i), taken(self.y, i)


def arrays(x, y):
    return {"x": x, "y": y, "batch_size": BATCH, "shuffle": False}


def weighted(x, y):
    return {**arrays(x, y), "sample_weight": np.linspace(0.5, 2.0, len(tf.nest.flatten(y)[0]))}


def classes(x, y):
    return {**arrays(x, y), "class_weight": CLASS_WEIGHTS}


def validated(x, y):
    return {**arrays(x, y), "validation_data": (x, y), "validation_batch_size": BATCH}


def dataset(x, y):
    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH), "shuffle": False}


def endless(x, y):
    data = tf.data.Dataset.from_tensor_slices((x, y)).repeat().batch(BATCH)
    return {"x": data, "steps_per_epoch": _count(y), "shuffle": False}


def uncounted(x, y):
    """Nobody knows how many batches there are."""
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    return {"x": data.filter(lambda x, y: True), "shuffle": False}


def pydataset(x, y):
    return {"x": Batches(x, y), "shuffle": False}


def generator(x, y):
    def batches():
        while True:
            for i in range(_count(y)):
                yield taken(x, i), taken(y, i)

    return {"x": batches(), "steps_per_epoch": _count(y), "shuffle": False}


FEEDS = {
    kind.__name__: kind
    for kind in (
        arrays,
        weighted,
        classes,
        validated,
        dataset,
        endless,
        uncounted,
        pydataset,
        generator,
    )
}


def first_weights(feed, y):
    """The sample weights of the first batch, or `None`."""
    if feed == "weighted":
        return weighted(None, y)["sample_weight"][:BATCH].astype(np.float32)
    if feed == "classes":
        found = np.argmax(y[:BATCH], axis=-1)
        return np.array([CLASS_WEIGHTS.get(int(each), 1.0) for each in found], np.float32)
    return None
