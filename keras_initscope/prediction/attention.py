"""Attention: scores of near-random tokens spread the softmax, and values are averaged with it.

Owns MultiHeadAttention, GroupQueryAttention and Attention (dot product).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_initscope.prediction.activation import softmax_square
from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.state import Array, Gradient, State, Unknown, joined, state
from keras_initscope.prediction.transfer import UnpredictableError, apply, transfer


def attended(
    query: State, key: State, value: State, scale: float, keep: float = 1.0, causal: bool = False
) -> State:
    """`y_i = sum_j a_ij v_j` with `a_i = softmax_j(scale q_i . k_j)`.

    Tokens come first; heads, where there are any, are positions beside the tokens. What all keys
    share shifts every score alike, so that scores vary by `scale^2 d q_Q (q_K - r_K)`, for `d`
    units of mean 0. With `A = E sum_j a_ij^2`, the inverse of the number of tokens looked at,

    ```
    q' = r_V + (q_V - r_V) A / keep,      p' = p_V
    g_V = A g / keep + sums that tokens share,  g_Q, g_K through the Jacobian of the softmax
    ```

    Args:
        query: `(T, d)` or `(T, heads, d)` queries, fresh.
        key: `(S, d)` or `(S, heads, d)` keys, fresh.
        value: `(S, e)` or `(S, heads, e)` values.
        scale: Factor of the scores.
        keep: Share of the attention weights that dropout keeps.
        causal: Whether a token sees only those before it and itself.

    Returns:
        `(T, e)` or `(T, heads, e)`.
    """
    width, tokens = query.units, value.shape[0]
    q_k, r_k = float(np.mean(key.q)), float(np.mean(key.r))
    q_q, r_q = float(np.mean(query.q)), float(np.mean(query.r))
    q_v, p_v, r_v = (float(np.mean(m)) for m in (value.q, value.p, value.r))
    spread = scale**2 * width * max(q_k - r_k, 0.0)
    seen = np.arange(1, query.shape[0] + 1) if causal else np.full(query.shape[0], tokens)
    seen = np.minimum(seen, tokens).astype(float)
    square = over_rows(lambda n: softmax_square(spread * q_q, int(n)), seen)
    near = square if q_q == 0 else (square * seen**2) ** (r_q / q_q) / seen**2
    focus, overlap = float(np.mean(seen * square)), float(np.mean(seen * near))
    shape = (*query.shape[:-1], value.units)
    column = (-1,) + (1,) * (len(shape) - 2)
    own = (seen * square).reshape(column)
    slope = float(np.mean(square * (1 - 1 / seen) * seen))

    def pull(gradient: Gradient) -> tuple[Gradient, Gradient, Gradient]:
        g, r = float(np.mean(gradient.g)), float(np.mean(gradient.r))
        per_value = query.shape[0] / tokens
        alike = per_value * per_value * r  # gradients that tokens share reach every value
        to_value = per_value * focus * (g - r) / keep + alike
        jacobian = slope * scale**2 * value.units * g * max(q_v - r_v, 0.0)
        return (
            _even(gradient, query, jacobian * max(q_k - r_k, 0.0), 0.0),
            _even(gradient, key, per_value * jacobian * q_q, 0.0),
            _even(gradient, value, to_value, alike),
        )

    return state(
        shape,
        r_v + (q_v - r_v) * own / keep,
        p_v,
        r_v + (q_v - r_v) * overlap,
        float(np.mean(value.mu)),
        sources=joined(query.sources, key.sources, value.sources),
        noise=value.noise + np.log1p(5 / width),
        parents=(query, key, value),
        pull=pull,
    )


def _even(gradient: Gradient, x: State, g: float, r: float) -> Gradient:
    def as_map(number: float) -> Array:
        return np.full((1,) * len(x.positions), number)

    return gradient.changed(as_map(g), as_map(r))


def _checked(layer: Any, query: Any, value: Any, options: dict[str, Any]) -> None:
    if any(options.get(name) is not None for name in ("attention_mask", "mask")):
        raise UnpredictableError("attention with a mask; only the causal one is known")
    if len(query.shape) != 2 or len(value.shape) != 2:
        raise UnpredictableError("attention over more than one axis of tokens")
    if getattr(layer, "use_gate", None) or getattr(layer, "_use_gate", None):
        raise UnpredictableError("gated attention")


def _projected(
    layer: Any, query: State, value: State, key: State | None = None, **options: Any
) -> State | Unknown | tuple[Any, ...]:
    _checked(layer, query, value, options)
    key = value if key is None else key
    dense = (layer._query_dense, layer._key_dense, layer._value_dense)
    projected = [apply(d, x) for d, x in zip(dense, (query, key, value), strict=True)]
    if any(isinstance(x, Unknown) for x in projected):
        return next(x for x in projected if isinstance(x, Unknown))
    q, k, v = projected
    made = attended(
        q,
        k,
        v,
        q.units**-0.5,
        1 - getattr(layer, "_dropout", getattr(layer, "dropout", 0.0)),
        bool(options.get("use_causal_mask")),
    )
    output = apply(layer._output_dense, _heads_as_queries(made, q, v))
    if not options.get("return_attention_scores"):
        return output
    return output, Unknown("the attention scores are not predicted", None, (q, k))


def _heads_as_queries(x: State, query: State, value: State) -> State:
    """Grouped queries share keys and values, so that there are as many heads as queries have."""
    return state(
        (*query.shape[:-1], value.units),
        x.q,
        x.p,
        x.r,
        x.mu,
        sources=x.sources,
        noise=x.noise,
        parents=x.parents,
        pull=_shared_heads(x, query, value),
    )


def _shared_heads(x: State, query: State, value: State) -> Any:
    groups = query.shape[1] / value.shape[1]

    def pull(gradient: Gradient) -> tuple[Gradient | None, ...]:
        assert x.pull is not None
        found = [each for each in x.pull(gradient) if each is not None]
        return found[0], found[1].times(groups), found[2].times(groups)

    return pull


transfer.register(keras.layers.MultiHeadAttention, _projected)
transfer.register(keras.layers.GroupQueryAttention, _projected)


@transfer.register(keras.layers.Attention)
def _(layer: Any, inputs: Any, **options: Any) -> Any:
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value
    _checked(layer, query, value, options)
    if layer.score_mode != "dot":
        raise UnpredictableError(f"score_mode={layer.score_mode!r}; only 'dot' is known")
    if query.sources is None or key.sources is None or query.sources & key.sources:
        raise UnpredictableError("its queries and keys depend on each other")
    scale = 1.0 if layer.scale is None else float(keras.ops.convert_to_numpy(layer.scale.value))
    causal = bool(options.get("use_causal_mask"))
    return attended(query, key, value, scale, 1 - layer.dropout, causal)


@transfer.register(keras.layers.AdditiveAttention)
def _(layer: Any, *_: Any, **__: Any) -> Any:
    raise UnpredictableError("no theory of additive scores is known here")
