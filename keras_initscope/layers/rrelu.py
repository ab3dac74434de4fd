"""The randomized leaky rectifier."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import checked_seed, number
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity

_SLOPES = "Expected slopes with 0 <= lower <= upper <= 1."


@keras.saving.register_keras_serializable("keras_initscope")
class RReLU(keras.Layer):
    """Leaky rectifier with a random slope in training: a regularizer and an activation in one.

    Use it in place of `ReLU` or `LeakyReLU` where a network overfits a small data set. Each
    negative element gets a slope of its own at each training step; inference uses the mean slope.

    Formula:

    ```
    f(x) = x           for x >= 0
    f(x) = slope * x   for x < 0
    slope ~ U(lower, upper) for each element in training, (lower + upper) / 2 in inference
    ```

    Args:
        lower: Float in `[0, upper]`, the smallest slope. The default 1/8 is the paper's.
        upper: Float in `[lower, 1]`, the largest slope. The default 1/3 is the paper's. Slopes
            up to 1 (`lower=0, upper=1`) regularize so much that networks train badly.
        seed: Optional Python integer that makes the slopes reproducible.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of any shape.
        training: Whether slopes are random. `fit` sets it to `True`, `evaluate`, `predict` and a
            plain call leave it `False`.

    Returns:
        Tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If not `0 <= lower <= upper <= 1`.

    Example:

    ```python
    import numpy as np

    from keras_initscope.layers import RReLU

    activation = RReLU(seed=0)
    x = np.array([-24.0, 0.0, 24.0], dtype="float32")
    np.testing.assert_allclose(activation(x), [-5.5, 0.0, 24.0])
    assert -8.0 <= float(activation(x, training=True)[0]) <= -3.0
    ```

    Reference:

    - [Xu et al., 2015](https://arxiv.org/abs/1505.00853), section 2.4
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lower = number("lower", lower, least=0, most=1, hint=_SLOPES)
        self.upper = number("upper", upper, least=0, most=1, hint=_SLOPES)
        if self.lower > self.upper:
            raise ValueError(
                f"{_SLOPES} Received: lower={lower!r}, upper={upper!r}. Swap them; lower == upper "
                "gives a leaky ReLU."
            )
        self.seed = checked_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply the rectifier; see the class for its arguments."""
        inputs = ops.cast(inputs, self.compute_dtype)
        return ops.where(inputs >= 0, inputs, self._slope(inputs, training) * inputs)

    def _slope(self, inputs: Any, training: bool) -> Any:
        if not training:
            return (self.lower + self.upper) / 2
        return keras.random.uniform(
            ops.shape(inputs),
            self.lower,
            self.upper,
            dtype=self.compute_dtype,
            seed=self.seed_generator,
        )

    @property
    def nonlinearity(self) -> Nonlinearity:
        """What theory knows of it: the slopes as they are drawn in training."""
        return nonlinearity("rrelu", lower=self.lower, upper=self.upper)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input: the layer works element by element."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"lower": self.lower, "upper": self.upper, "seed": self.seed}
        return {**super().get_config(), **config}
