"""The scaled hyperbolic tangent."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity


@keras.saving.register_keras_serializable("keras_initscope")
class LeCunTanh(keras.Layer):
    """LeCun's tanh, which maps -1 and 1 to themselves and has its largest curvature there.

    Use it in the place of tanh with standardized inputs and weights of variance `1 / fan_in`
    (`LecunNormal`): outputs keep a variance of about 1, and targets of -1 and 1 are reached where
    the slope is still large.

    Formula:

    `f(x) = 1.7159 tanh(2x / 3)`

    Args:
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        Tensor of the shape of `inputs`, in the layer's compute dtype.

    Example:

    ```python
    import numpy as np

    from keras_initscope.layers import LeCunTanh

    x = np.array([-1.0, 0.0, 1.0], dtype="float32")
    np.testing.assert_allclose(LeCunTanh()(x), x, atol=1e-4)
    ```

    Reference:

    - LeCun, Bottou, Orr and Mueller, 1998, "Efficient BackProp", section 4.4
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Apply the function; see the class for its arguments."""
        return 1.7159 * ops.tanh(2 / 3 * ops.cast(inputs, self.compute_dtype))

    @property
    def nonlinearity(self) -> Nonlinearity:
        """What theory knows of it."""
        return nonlinearity("lecun_tanh")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input: the layer works element by element."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The base layer's: one that Keras makes up cannot hold a dtype policy."""
        return {**super().get_config()}
