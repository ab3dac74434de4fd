"""Attention: scores of near-random tokens spread the softmax, and values are averaged with it.

Owns MultiHeadAttention, GroupQueryAttention and Attention (dot product).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy.stats import chi2

from keras_initscope.prediction.activation import softmax_slope, softmax_square
from keras_initscope.prediction.expectations import over_rows
from keras_initscope.prediction.state import Array, Gradient, State, Unknown, joined, state
from keras_initscope.prediction.transfer import UnpredictableError, apply, transfer
from keras_initscope.prediction.weights import as_array

_LENGTHS = 8  # of queries, at which the softmax is looked at


def attended(
    query: State, key: State, value: State, scale: float, keep: float = 1.0, causal: bool = False
) -> State:
    """`y_i = sum_j a_ij v_j` with `a_i = softmax_j(scale q_i . k_j)`.

    Tokens come first; heads, where there are any, are positions beside the tokens. What all keys
    share shifts every score alike, so that scores vary by `scale^2 d q_Q (q_K - r_K)`, for `d`
    units of mean 0. With `A = E sum_j a_ij^2`, the inverse of the number of tokens looked at, and
    `J` the mean square of the softmax's Jacobian,

    ```
    q' = r_V + (q_V - r_V) A / keep,    p' = p_V
    g_V = g A / keep,    g_Q = g J scale^2 e (q_V - r_V) (q_K - r_K),    g_K alike with q_Q
    ```

    and what the gradients of two queries have in common adds up in `g_V` and `g_K`.

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
    q_k, r_k = float(np.mean(key.q)), float(np.mean(key.r))
    q_q, r_q = float(np.mean(query.q)), float(np.mean(query.r))
    q_v, p_v, r_v = (float(np.mean(m)) for m in (value.q, value.p, value.r))
    sizes = (query.shape[0], value.shape[0])
    apart = scale**2 * max(q_k - r_k, 0.0)  # of what tells keys apart, for each unit
    look = _Look.of(
        apart * query.units * q_q, r_q / q_q if q_q > 0 else 1.0, query.units, sizes, causal
    )
    shape = (*query.shape[:-1], value.units)
    column = (-1,) + (1,) * (len(shape) - 2)

    def pull(gradient: Gradient) -> tuple[Gradient, Gradient, Gradient]:
        g, r = float(np.mean(gradient.g)), float(np.mean(gradient.r))
        scores = value.units * max(q_v - r_v, 0.0)
        share = sizes[0] / sizes[1]
        to_key = q_q * g * look.jacobian * share + r_q * r * look.shared
        return (
            _even(gradient, query, scores * apart * g * look.jacobian, 0.0),
            _even(gradient, key, scores * scale**2 * to_key, 0.0),
            _even(gradient, value, share * look.focus * g / keep + look.shared * r, share**2 * r),
        )

    return state(
        shape,
        r_v + (q_v - r_v) * look.own.reshape(column) / keep,
        p_v,
        r_v + (q_v - r_v) * look.near,
        float(np.mean(value.mu)),
        sources=joined(query.sources, key.sources, value.sources),
        noise=value.noise + np.log1p(5 / query.units),
        scatter=value.scatter + np.log1p(5 / query.units),
        parents=(query, key, value),
        pull=pull,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """What attention weights add up to.

    Args:
        own: `E sum_j a_ij^2` for each query.
        focus: The mean of `own`.
        near: `E sum_j a_ij a_kj` for two queries, the mean over pairs.
        shared: `sum_{i != k} E a_ij a_kj` for a key, the mean over keys.
        jacobian: `E sum_j (da_ij / ds_ij)^2`, mean over queries: the softmax's Jacobian.
    """

    own: Array
    focus: float
    near: float
    shared: float
    jacobian: float

    @classmethod
    def of(
        cls, spread: float, likeness: float, width: int, sizes: tuple[int, int], causal: bool
    ) -> _Look:
        """Given a query of `width` units, scores are Gaussian; its length is a chi variable."""
        queries, keys = sizes
        seen = np.arange(1, queries + 1) if causal else np.full(queries, keys)
        seen = np.minimum(seen, keys).astype(float)
        lengths = chi2.ppf((np.arange(_LENGTHS) + 0.5) / _LENGTHS, width) / width

        def over_lengths(function: Any) -> Array:
            def mean(n: float) -> float:
                return float(np.mean([function(spread * each, int(n)) for each in lengths]))

            return seen * over_rows(mean, seen)

        own = over_lengths(softmax_square)
        alike = (own * seen) ** likeness
        pairs = (
            np.minimum.outer(seen, seen) / np.outer(seen, seen) * np.sqrt(np.outer(alike, alike))
        )
        both = float(pairs.sum() - np.trace(pairs))
        return cls(
            own,
            float(own.mean()),
            both / max(queries * (queries - 1), 1),
            both / keys,
            float(over_lengths(softmax_slope).mean()),
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
        scatter=x.scatter,
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
    scale = 1.0 if layer.scale is None else float(as_array(layer.scale))
    causal = bool(options.get("use_causal_mask"))
    return attended(query, key, value, scale, 1 - layer.dropout, causal)


@transfer.register(keras.layers.AdditiveAttention)
def _(layer: Any, *_: Any, **__: Any) -> Any:
    raise UnpredictableError("no theory of additive scores is known here")
