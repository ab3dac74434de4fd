"""The exponential linear unit with learnt parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import number
from keras_initscope.fans import Fans, own_fans
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity

_LEAST = 0.1  # the bound of the paper, section III


class _AtLeast(keras.constraints.Constraint):
    def __call__(self, value: Any) -> Any:
        return ops.maximum(value, _LEAST)


@keras.saving.register_keras_serializable("keras_initscope")
class ParametricELU(keras.Layer):
    """ELU whose slope, saturation and decay are learnt: two numbers a layer (PELU).

    Use it in the place of `ELU` in convolutional networks, where the shape of the activation may
    differ from layer to layer; the function stays differentiable at zero whatever it learns.

    Formula:

    ```
    f(x) = alpha / beta x                for x >= 0
    f(x) = alpha (exp(x / beta) - 1)     for x < 0
    ```

    Args:
        alpha: First value of the saturation, at least 0.1. The default makes it an ELU.
        beta: First value of the decay, at least 0.1. Both are kept there in training.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        Tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If a value is less than 0.1.

    Example:

    ```python
    import keras
    import numpy as np

    from keras_initscope.layers import ParametricELU

    x = np.array([-2.0, 0.0, 3.0], dtype="float32")
    np.testing.assert_allclose(ParametricELU()(x), keras.activations.elu(x), rtol=1e-6)
    ```

    Reference:

    - [Trottier et al., 2017](https://arxiv.org/abs/1605.09332), equation 2
    """

    def __init__(self, alpha: float = 1.0, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        hint = "Use `ReLU` for no saturation at all."
        self._first = {
            name: number(name, value, least=_LEAST, hint=hint)
            for name, value in (("alpha", alpha), ("beta", beta))
        }
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the two numbers that are learnt."""
        self.alpha, self.beta = (
            self.add_weight(
                shape=(),
                name=name,
                initializer=keras.initializers.Constant(value),
                constraint=_AtLeast(),
            )
            for name, value in self._first.items()
        )

    def call(self, inputs: Any) -> Any:
        """Apply the function; see the class for its arguments."""
        x = ops.cast(inputs, self.compute_dtype)
        alpha, beta = (ops.cast(each, self.compute_dtype) for each in (self.alpha, self.beta))
        below = alpha * ops.expm1(ops.minimum(x, 0) / beta)
        return ops.where(x >= 0, alpha / beta * x, below)

    @property
    def nonlinearity(self) -> Nonlinearity:
        """What theory knows of it, with the parameters it has now."""
        now = dict(self._first)
        if self.built:
            now = {"alpha": float(self.alpha.value), "beta": float(self.beta.value)}
        return nonlinearity("parametric_elu", **now)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input: the layer works element by element."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self._first}


@own_fans.register(ParametricELU)
def _(layer: Any) -> Mapping[str, Fans | str]:
    reason = "it is a parameter of the activation: nothing is summed"
    return {"alpha": reason, "beta": reason}
