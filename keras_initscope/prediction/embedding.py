"""Embeddings and encodings of whole numbers.

Owns what a table of vectors makes of tokens, whose frequencies come from the data or are equal.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.state import Array, Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer
from keras_initscope.prediction.weights import from_initializers, values_of, weights_of


@transfer.register(keras.layers.Embedding)
def _(layer: Any, x: State, **_: Any) -> State:
    """`q = sum_t f_t e_t^2`, `p = (sum_t f_t e_t)^2` over units, `f` the tokens' frequencies.

    Without data all tokens are equally frequent. Two positions are as different as two examples.
    No gradient goes through: tokens are not differentiable.
    """
    tokens, units = layer.embeddings.shape
    frequency = _frequency(x, tokens)
    q, p, mu = _of_table(layer, frequency)
    shape = (*x.shape, units)

    def pull(gradient: Gradient) -> tuple[None]:
        return (None,)

    return state(
        shape,
        q,
        p,
        None,
        mu,
        noise=np.log1p(5 / units),
        parents=(x,),
        pull=pull,
    )


def _frequency(x: State, size: int) -> Array:
    if x.values is None:
        return np.full(size, 1 / size)
    tokens = x.values
    if not np.all((tokens >= 0) & (tokens < size) & (tokens == np.floor(tokens))):
        raise UnpredictableError(f"the input holds tokens that are not in 0 to {size - 1}")
    counts = np.bincount(np.asarray(tokens, dtype=int).ravel(), minlength=size)
    return counts / counts.sum()


def _of_table(layer: Any, frequency: Array) -> tuple[float, float, float]:
    """`q`, `p` and `mu`; of a table yet to be drawn `p = E e^2 + Var e sum_t f_t^2`."""
    drawn = weights_of(layer, "embeddings")
    if from_initializers():
        variance = drawn.square - drawn.mean**2
        return drawn.square, drawn.mean**2 + variance * float(frequency @ frequency), drawn.mean
    table = values_of(layer.embeddings)
    q, p = frequency @ np.mean(table**2, axis=1), np.mean((frequency @ table) ** 2)
    return float(q), float(p), float(frequency @ table.mean(axis=1))


@transfer.register(keras.layers.CategoryEncoding)
def _(layer: Any, x: State, *_: Any, **__: Any) -> State:
    """One-hot of `n` equally frequent tokens: `q = 1/n`, `p = 1/n^2`."""
    if layer.output_mode != "one_hot":
        raise UnpredictableError(f"output_mode={layer.output_mode!r}; only 'one_hot' is known")
    n = layer.num_tokens
    shape = (*(x.shape[:-1] if x.shape and x.shape[-1] == 1 else x.shape), n)
    return state(shape, 1 / n, 1 / n**2, None, 1 / n, parents=(x,), pull=lambda _: (None,))
