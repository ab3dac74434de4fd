"""Kernels that are several matrices side by side: one for each gate, or for each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import whole
from keras_initscope.initializers.matrices import drawing_dtype, seed_for


@keras.saving.register_keras_serializable("keras_initscope")
class Gated(keras.initializers.Initializer):
    """Each gate of a recurrent cell gets a draw of its own, as if its matrix stood alone.

    Use it for `LSTM` and `GRU`, which keep the matrices of all gates in one kernel: drawn as a
    whole, an orthogonal recurrent kernel has gates whose singular values lie between .005 and .86.
    One initializer for each gate sets a forget bias, or opens a gate. Half precision works too:
    values are drawn in float32, without which `LSTM(dtype="bfloat16")` of Keras cannot be built.
    Groups of a convolution lie side by side in the same way.

    Formula:

    `U = [U_1 ... U_gates]`, each `U_k` drawn by the inner initializer for `shape[-1] / gates`
    columns, with a seed of its own

    Args:
        inner: An initializer or its name, for every gate; or a list with one for each gate, in
            Keras' order: input, forget, cell, output in an LSTM; update, reset, candidate in a GRU.
        gates: Number of gates: 4 for an LSTM, 3 for a GRU. With a list its length.

    Raises:
        ValueError: If a list has another length, or a kernel cannot be divided into that many.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import Gated

    lstm = keras.layers.LSTM(
        32,
        kernel_initializer=Gated("glorot_uniform", gates=4),
        recurrent_initializer=Gated("orthogonal", gates=4),
        bias_initializer=Gated(["zeros", keras.initializers.Constant(2.0), "zeros", "zeros"]),
        unit_forget_bias=False,
    )
    lstm.build((None, 10, 8))
    assert float(keras.ops.sum(lstm.cell.bias)) == 2 * 32
    ```

    Reference:

    - [Henaff et al., 2016](https://arxiv.org/abs/1602.06662), for orthogonal recurrence
    - [Jozefowicz et al., 2015](https://proceedings.mlr.press/v37/jozefowicz15.html), for the
      forget bias
    """

    def __init__(self, inner: Any = "orthogonal", gates: int | None = None) -> None:
        several = isinstance(inner, list | tuple)
        guess = len(inner) if several else 4
        hint = "Give 4 for an LSTM, 3 for a GRU, or one initializer for each gate."
        self.gates = whole("gates", guess if gates is None else gates, 1, hint)
        if several and len(inner) != self.gates:
            raise ValueError(
                "Expected one initializer, or one for each gate. "
                f"Received: {len(inner)} initializers, gates={self.gates}."
            )
        self.inner: Any = [_initializer(each) for each in inner] if several else _initializer(inner)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the weights of all gates.

        Args:
            shape: Shape of the kernel or bias; its last axis is divided into the gates.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        if not shape or shape[-1] % self.gates:
            raise ValueError(
                f"Expected a last axis that can be divided into {self.gates} gates. "
                f"Received: shape={tuple(shape)}. Give `gates`: 4 for an LSTM, 3 for a GRU."
            )
        asked, dtype = drawing_dtype(dtype)
        part = (*shape[:-1], shape[-1] // self.gates)
        several = self.inner if isinstance(self.inner, list) else [self.inner] * self.gates
        drawn = [_apart(inner, k)(part, dtype=dtype) for k, inner in enumerate(several)]
        return ops.cast(ops.concatenate(drawn, axis=-1), asked)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        several = isinstance(self.inner, list)
        inner = (
            [keras.initializers.serialize(each) for each in self.inner]
            if several
            else keras.initializers.serialize(self.inner)
        )
        return {"inner": inner, "gates": self.gates}


def _initializer(given: Any) -> Any:
    try:
        found = keras.initializers.get(given)
    except (TypeError, ValueError) as error:
        raise ValueError(_not_one(given)) from error
    if found is None:
        raise ValueError(_not_one(given))
    return found


def _not_one(given: Any) -> str:
    return (
        "Expected `inner` to be an initializer or its name, or a list of them. "
        f"Received: {given!r}. Use 'zeros' for a gate without weights."
    )


def _apart(inner: Any, number: int) -> Any:
    """The initializer with a seed for this draw; one that draws on is used as it is."""
    seed = getattr(inner, "seed", None)
    if not isinstance(seed, int) or number == 0:
        return inner
    return type(inner).from_config({**inner.get_config(), "seed": seed_for(seed, number)})
