"""Activations whose input and output are scaled and shifted by fixed numbers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.arguments import factor, flag, number
from keras_initscope.theory.moments import output_mean, second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.transformed import Transformation, transformed


class _Transformed(keras.Layer):
    """`output_scale (phi(input_scale x + input_shift) + output_shift)`, for any `phi`."""

    def __init__(self, activation: Any, by: Transformation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Not `activation`: what it is given is not what this layer receives.
        self._inner = _callable(activation)
        self._by = by
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the activation, where it is a layer."""
        if isinstance(self._inner, keras.Layer) and not self._inner.built:
            self._inner.build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Apply the transformed activation; see the class for its arguments."""
        x = ops.cast(inputs, self.compute_dtype)
        if (self._by.input_scale, self._by.input_shift) != (1.0, 0.0):
            x = self._by.input_scale * x + self._by.input_shift
        y = ops.cast(self._inner(x), self.compute_dtype)
        return self._by.output_scale * (y + self._by.output_shift)

    @property
    def nonlinearity(self) -> Nonlinearity:
        """What theory knows of it: the activation's row, transformed."""
        return transformed(as_nonlinearity(self._inner), self._by)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input: the layer works element by element."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments that every transformed activation has."""
        return {**super().get_config(), "activation": activation_config(self._inner)}


@keras.saving.register_keras_serializable("keras_initscope")
class TransformedActivation(_Transformed):
    """An activation with its input and output scaled and shifted.

    Use it with the numbers of Deep Kernel Shaping or TAT, chosen so that a deep network without
    normalization or shortcuts trains: its correlation map then has the wanted value and slope.
    `theory.shaping` and `theory.rectifiers` compute them, for chains and residual structures. Give
    weights orthogonal or Gaussian values of unit gain, such as `ScaledOrthogonal`, and biases
    zeros.

    Formula:

    `f(x) = output_scale (phi(input_scale x + input_shift) + output_shift)`

    Args:
        activation: The activation `phi`: a name, an elementwise function or a layer. For the leaky
            ReLU of TAT a `keras.layers.LeakyReLU` with its slope.
        input_scale: Factor of the input, not zero.
        input_shift: Added to the scaled input.
        output_scale: Factor of the shifted output, not zero.
        output_shift: Added to the output of `phi`, before it is scaled.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        Tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If a scale is zero, or a number is not finite.

    Example:

    ```python
    from dataclasses import asdict

    import keras_initscope as initscope
    from keras_initscope.layers import TransformedActivation
    from keras_initscope.theory.nonlinearities import nonlinearity
    from keras_initscope.theory.shaping import dks

    numbers = dks(nonlinearity("tanh"), 50)  # for 50 layers
    activation = TransformedActivation("tanh", **asdict(numbers))
    assert abs(initscope.gain(activation) - 1) < 1e-9
    ```

    Reference:

    - [Martens et al., 2021](https://arxiv.org/abs/2110.01765), section 6
    - [Zhang et al., 2022](https://arxiv.org/abs/2203.08120), sections 3 and 4
    """

    def __init__(
        self,
        activation: Any,
        input_scale: float = 1.0,
        input_shift: float = 0.0,
        output_scale: float = 1.0,
        output_shift: float = 0.0,
        **kwargs: Any,
    ) -> None:
        hint = "Zero makes the activation a constant."
        self.input_scale = factor("input_scale", input_scale, hint)
        self.input_shift = number("input_shift", input_shift)
        self.output_scale = factor("output_scale", output_scale, hint)
        self.output_shift = number("output_shift", output_shift)
        by = Transformation(
            input_scale=self.input_scale,
            input_shift=self.input_shift,
            output_scale=self.output_scale,
            output_shift=self.output_shift,
        )
        super().__init__(activation, by, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("input_scale", "input_shift", "output_scale", "output_shift")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("keras_initscope")
class ScaledActivation(_Transformed):
    """Any activation, normalized to unit second moment on standard normal inputs.

    Use it so that weights of variance `1 / fan_in` (`LecunNormal`, `ScaledOrthogonal`) suit every
    activation: the gain sits in the activation, where it stays while weights are trained. With
    `center=True` the output has zero mean too, so that what all examples share does not add up over
    depth.

    Formula:

    ```
    f(x) = phi(x) / sqrt(E phi(z)^2)                          z ~ N(0, 1)
    f(x) = (phi(x) - E phi(z)) / sqrt(Var phi(z))             with center
    ```

    Args:
        activation: The activation `phi`: a name, an elementwise function or a layer.
        center: Whether to take the mean away.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of any shape.

    Returns:
        Tensor of the shape of `inputs`, in the layer's compute dtype.

    Raises:
        ValueError: If the activation cannot be read, or is constant or not finite.

    Example:

    ```python
    import keras

    from keras_initscope.layers import ScaledActivation

    z = keras.random.normal((100_000,), seed=0)
    y = ScaledActivation("gelu", center=True)(z)
    assert abs(float(keras.ops.mean(y))) < 0.02 and abs(float(keras.ops.var(y)) - 1) < 0.02
    ```

    Reference:

    - [Klambauer et al., 2017](https://arxiv.org/abs/1706.02515), for mean 0 and variance 1
    - [Brock et al., 2021](https://arxiv.org/abs/2101.08692), section 4.1, for scaled activations
    """

    def __init__(self, activation: Any, center: bool = False, **kwargs: Any) -> None:
        self.center = flag("center", center)
        phi = as_nonlinearity(activation)
        mean = float(output_mean(phi)) if center else 0.0
        power = float(second_moment(phi)) - mean**2
        if not 1e-12 < power < float("inf"):
            raise ValueError(
                f"{phi.name} cannot be normalized: its output on N(0, 1) has the "
                f"{'variance' if center else 'second moment'} {power:g}. Expected a positive and "
                "finite one."
            )
        by = Transformation(output_scale=power**-0.5, output_shift=-mean)
        super().__init__(activation, by, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; mean and scale follow from them."""
        return {**super().get_config(), "center": self.center}


def _callable(activation: Any) -> Any:
    try:
        found = keras.activations.get(activation)
    except (TypeError, ValueError) as error:
        raise ValueError(_not_one(activation)) from error
    if isinstance(found, type):
        raise ValueError(_not_one(activation))
    return found


def _not_one(activation: Any) -> str:
    return (
        "Expected `activation` to be a name of `keras.activations`, an elementwise function or an "
        f"activation layer. Received: activation={activation!r}. Give a layer as an object, such "
        "as `keras.layers.LeakyReLU(0.1)`, not as a class or by its name."
    )
