"""Nonlinearities by name. Owns the look-up; the rows are in `piecewise` and `smooth`."""

from __future__ import annotations

from typing import Any

from keras_initscope.theory import piecewise, smooth
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.rows import TABLE

__all__ = ["ALIASES", "NOT_ELEMENTWISE", "TABLE", "nonlinearity", "piecewise", "smooth"]

ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "identity": "linear"}

NOT_ELEMENTWISE = {
    "softmax": "every output depends on all inputs of its axis",
    "log_softmax": "every output depends on all inputs of its axis",
    "sparsemax": "every output depends on all inputs of its axis",
    "glu": "every output depends on two inputs",
}
"""Keras activations that are no function of one number, and why."""


def nonlinearity(name: str, **parameters: Any) -> Nonlinearity:
    """The row of a nonlinearity, by name.

    Args:
        name: A name in `TABLE` or `ALIASES`: every elementwise activation of Keras, and `erf`,
            `sin`, `lecun_tanh`, `prelu` and `rrelu`.
        **parameters: Parameters of the nonlinearity, as in `keras.activations`.

    Returns:
        The row; the same object for the same parameters.

    Raises:
        ValueError: If the name is unknown, if the nonlinearity is not elementwise, or if the
            parameters do not fit.

    Example:

    ```python
    assert nonlinearity("leaky_relu", negative_slope=0.1).name == "leaky_relu(negative_slope=0.1)"
    assert nonlinearity("swish") is nonlinearity("silu")
    ```
    """
    if name in NOT_ELEMENTWISE:
        raise ValueError(
            f"{name} is not elementwise: {NOT_ELEMENTWISE[name]}, so no expectation under a "
            "Gaussian describes it. Expected an elementwise activation such as 'relu' or 'tanh'."
        )
    make = TABLE.get(ALIASES.get(name, name))
    if make is None:
        raise ValueError(
            f"Unknown nonlinearity. Received: name={name!r}. "
            f"Expected one of {sorted([*TABLE, *ALIASES])}."
        )
    try:
        return make(**parameters)
    except TypeError as error:
        if "missing" in str(error):
            raise ValueError(
                f"{name} has no default parameters: {error}. Give the activation as a function "
                f"that passes them, such as `lambda x: keras.activations.{name}(x, ...)`, or as a "
                "layer."
            ) from error
        raise ValueError(f"{name} got parameters that it does not take: {error}.") from error
