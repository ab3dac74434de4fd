"""The registry: the fans of the weights of a layer, one function a layer type.

Owns the records, `own_fans`, and the walk over the layers of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

_QUANTIZED = "it belongs to a quantized kernel, which is not drawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fans:
    """The fans of one weight.

    The weight is one matrix from its input axes to its output axes. Axes that are neither number
    independent matrices, as the channels of a depthwise kernel do.

    Args:
        fan_in: Weighted inputs that add up in one output, on average over positions: weights of
            variance `1 / fan_in` turn unit second moments into unit variances.
        fan_out: Outputs that one input has a share in, likewise; the fan of the gradient.
        input_axes: Axes of the weight that are summed over.
        output_axes: Axes of the weight that number the outputs.
        parts: Independent matrices side by side on the last axis: the gates of a recurrent
            cell, the groups of a convolution. The fans are those of one of them.
        window: Leading axes of the weight that are the window of a convolution.

    Example:

    ```python
    from keras_initscope.fans import Fans

    depthwise = Fans(fan_in=9, fan_out=9, input_axes=(0, 1), output_axes=(3,))
    assert depthwise.parts == 1
    ```
    """

    fan_in: float
    fan_out: float
    input_axes: tuple[int, ...]
    output_axes: tuple[int, ...]
    parts: int = 1
    window: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFans:
    """A weight, the layer that holds it, and its fans or the reason why it has none.

    Args:
        layer: The innermost layer that holds the weight.
        variable: The weight.
        fans: Its fans, or `None`.
        reason: Why it has none; empty where it has.
    """

    layer: Any
    variable: Any
    fans: Fans | None
    reason: str = ""


@singledispatch
def own_fans(layer: Any) -> Mapping[str, Fans | str]:
    """The fans of the weights that a built layer holds itself, by the names of the weights.

    For a layer of your own, register one function. It gives, for each weight, its fans or the
    reason why it has none. Weights of sub-layers are found without it.

    Args:
        layer: A built Keras layer.

    Returns:
        Name of a weight to its `Fans`, or to a reason in words; empty for a layer that nobody has
        registered.

    Example:

    ```python
    import keras

    from keras_initscope.fans import Fans, fans_of, own_fans


    class Mixing(keras.layers.Layer):
        def build(self, shape):
            self.mix = self.add_weight(shape=(shape[-1], shape[-1]), name="mix")

        def call(self, x):
            return keras.ops.matmul(x, keras.ops.transpose(self.mix))


    @own_fans.register(Mixing)
    def _(layer):
        n = layer.mix.shape[0]
        return {"mix": Fans(fan_in=n, fan_out=n, input_axes=(1,), output_axes=(0,))}


    layer = Mixing()
    layer.build((None, 8))
    assert fans_of(layer)[0].fans.input_axes == (1,)
    ```
    """
    return {}


def fans_of(layer: Any) -> tuple[WeightFans, ...]:
    """The fans of all weights of a layer or model, sub-layers included.

    Use it where an initializer must know more than the shape of a kernel: the kernels of depthwise,
    grouped and transposed convolutions and of gates do not say what is summed over.

    Args:
        layer: A built Keras layer or model of any kind.

    Returns:
        One record a weight, in the order of the layers; a weight that is shared is given once.

    Raises:
        ValueError: If the layer is not built, so that it has no weights yet.

    Example:

    ```python
    import keras

    from keras_initscope.fans import fans_of

    layer = keras.layers.Conv2DTranspose(32, 4, strides=2)
    layer.build((None, 8, 8, 64))
    kernel, bias = fans_of(layer)
    assert kernel.fans.fan_in == 64 * 4 * 4 / (2 * 2)
    assert bias.fans is None and "added" in bias.reason
    ```
    """
    if not layer.built:
        raise ValueError(
            f"Expected a layer that is built. Received: {layer.name!r} "
            f"({type(layer).__name__}), which is not. Call it on data first, or use its `build`."
        )
    found: dict[int, WeightFans] = {}
    for holder in layer._flatten_layers():
        for name, variable in _own_weights(holder):
            known = found.get(id(variable))
            if known is None or known.fans is None:  # a wrapper may track its layer's kernel too
                found[id(variable)] = _looked_up(holder, name, variable)
    return tuple(found.values())


def fan_in_of(layer: Any, name: str) -> float:
    """The fan-in of one weight of a layer, 1 where it has none or nobody has registered it.

    Args:
        layer: A built Keras layer that holds the weight itself.
        name: Name of the weight.

    Returns:
        Its fan-in.

    Example:

    ```python
    import keras

    from keras_initscope.fans import fan_in_of

    layer = keras.layers.Dense(3)
    layer.build((None, 5))
    assert fan_in_of(layer, "kernel") == 5 and fan_in_of(layer, "bias") == 1
    ```
    """
    found = own_fans(layer).get(name)
    return found.fan_in if isinstance(found, Fans) else 1.0


def _own_weights(layer: Any) -> Iterator[tuple[str, Any]]:
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        yield variable.name, variable


def _looked_up(layer: Any, name: str, variable: Any) -> WeightFans:
    found: Fans | str | None = own_fans(layer).get(name)
    if "float" not in str(variable.dtype) or (found is None and _is_of_quantization(name)):
        found = _QUANTIZED
    if found is None:
        found = (
            f"nobody has registered the fans of `{name}` of {type(layer).__name__}; "
            "use keras_initscope.fans.own_fans.register"
        )
    if isinstance(found, Fans):
        return WeightFans(layer=layer, variable=variable, fans=found)
    return WeightFans(layer=layer, variable=variable, fans=None, reason=found)


def _is_of_quantization(name: str) -> bool:
    return name.endswith(("_scale", "_zero", "_amax_history"))
