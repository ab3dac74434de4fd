"""A batch of inputs drawn at random with given moments.

Owns what is drawn for a model of whose data nothing else is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import keras
import numpy as np

from keras_initscope import graph

_VALUES = 1 << 21  # numbers in a batch, about
_EXAMPLES = (16, 256)
_UNKNOWN = 8  # for the length of an axis that the model leaves open


def sampled(model: Any, given: Any) -> Any:
    """A batch for a model: what was given, if that was data, else Gaussian values or tokens.

    Args:
        model: A built Keras model.
        given: The argument `input`, as for `predict_signal`.

    Returns:
        Arrays as the model takes them.
    """
    is_data = given is not None and not (
        isinstance(given, Mapping) and all(np.ndim(value) == 0 for value in given.values())
    )
    if is_data:
        return given
    rng, moments = np.random.default_rng(0), dict(given or {"q": 1.0, "p": 0.0})
    tokens = [
        layer.input_dim
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Embedding)
    ]

    shapes, structure = _inputs_of(model)
    largest = max(prod(size or _UNKNOWN for size in shape[1:]) for shape, _ in shapes)
    count = int(np.clip(_VALUES // max(largest, 1), *_EXAMPLES))

    def drawn(shape: tuple[int | None, ...], dtype: str) -> Any:
        sizes = (count, *(size or _UNKNOWN for size in shape[1:]))
        if "int" in dtype or (tokens and len(sizes) < 3):
            return rng.integers(0, min(tokens, default=2), sizes)
        return _gaussian(rng, sizes, **moments).astype("float32")

    made = [drawn(*each) for each in shapes]
    return made[0] if len(made) == 1 else keras.tree.pack_sequence_as(structure, made)


def _inputs_of(model: Any) -> tuple[list[tuple[tuple[int | None, ...], str]], Any]:
    """Shape and dtype of each input, and the structure that they come in."""
    operations = graph.operations(model)
    if operations is not None:
        found = [(tuple(tensor.shape), str(tensor.dtype)) for tensor in operations.inputs]
        return found, [None] * len(found)
    built = (getattr(model, "_build_shapes_dict", None) or {}).values()
    structure = keras.tree.map_shape_structure(_symbol, next(iter(built)))
    flat = keras.tree.flatten(structure)
    return [(tuple(each.shape), "float32") for each in flat], structure


def _symbol(shape: Any) -> Any:
    return keras.KerasTensor(shape, "float32")


def _gaussian(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    q: float,
    p: float | None = None,
    mu: float = 0.0,
    r: float = 0.0,  # of neighbours: these are drawn independent
) -> Any:
    """A part that all examples share, of second moment `p`, and one of their own."""
    p = mu**2 if p is None else p
    shared = mu + sqrt(max(p - mu**2, 0.0)) * rng.normal(size=shape[1:])
    return shared + sqrt(max(q - p, 0.0)) * rng.normal(size=shape)
