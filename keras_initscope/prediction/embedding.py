"""Embeddings and encodings of whole numbers.

Owns what a table of vectors makes of tokens, whose frequencies come from the data or are equal.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.state import Gradient, State, state
from keras_initscope.prediction.transfer import UnpredictableError, transfer
from keras_initscope.prediction.weights import values_of


@transfer.register(keras.layers.Embedding)
def _(layer: Any, x: State, **_: Any) -> State:
    """`q = sum_t f_t e_t^2`, `p = (sum_t f_t e_t)^2` over units, `f` the tokens' frequencies.

    Without data all tokens are equally frequent. Two positions are as different as two examples.
    No gradient goes through: tokens are not differentiable.
    """
    table = values_of(layer.embeddings)
    frequency = np.full(len(table), 1 / len(table))
    if x.values is not None:
        counts = np.bincount(np.asarray(x.values, dtype=int).ravel(), minlength=len(table))
        frequency = counts / counts.sum()
    q = float(frequency @ np.mean(table**2, axis=1))
    p = float(np.mean((frequency @ table) ** 2))
    shape = (*x.shape, table.shape[1])

    def pull(gradient: Gradient) -> tuple[None]:
        return (None,)

    return state(
        shape,
        q,
        p,
        None,
        float(frequency @ table.mean(axis=1)),
        noise=np.log1p(5 / table.shape[1]),
        parents=(x,),
        pull=pull,
    )


@transfer.register(keras.layers.CategoryEncoding)
def _(layer: Any, x: State, *_: Any, **__: Any) -> State:
    """One-hot of `n` equally frequent tokens: `q = 1/n`, `p = 1/n^2`."""
    if layer.output_mode != "one_hot":
        raise UnpredictableError(f"output_mode={layer.output_mode!r}; only 'one_hot' is known")
    n = layer.num_tokens
    shape = (*(x.shape[:-1] if x.shape and x.shape[-1] == 1 else x.shape), n)
    return state(shape, 1 / n, 1 / n**2, None, 1 / n, parents=(x,), pull=lambda _: (None,))
