"""An initializer, fitted to the true fans of a weight, which no shape shows.

Owns what Keras' initializers and ours need to be told of a weight; knows no layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, singledispatch
from math import prod
from typing import Any

import keras
from keras import ops

from keras_initscope.fans import Fans
from keras_initscope.initializers.dirac import Dirac
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.initializers.gated import Gated
from keras_initscope.initializers.matrices import drawing_dtype, layout
from keras_initscope.initializers.orthogonal import (
    DeltaOrthogonal,
    ScaledOrthogonal,
    at_the_middle,
)
from keras_initscope.initializers.sparse import Sparse


@singledispatch
def fitted(initializer: Any, fans: Fans) -> Any:
    """A copy of an initializer that draws for the true fans of a weight.

    Use it for kernels whose shape misleads: depthwise, grouped, transposed, gates. Scales by fans
    take the true ones; orthogonal and sparse draws and identities take the matrices, one for each
    gate, group or channel.
    `keras.initializers.Orthogonal` becomes `ScaledOrthogonal`, which keeps the variance. Others do
    not depend on fans and are handed back. Seeds stay; a `SeedGenerator` is shared with the copy.
    Register a function for an initializer of your own that scales by fans.

    Args:
        initializer: A Keras initializer.
        fans: The fans of the weight; `keras_initscope.fans.fans_of` gives them.

    Returns:
        An initializer to call with the shape of the weight.

    Example:

    ```python
    import keras

    from keras_initscope.fans import fans_of
    from keras_initscope.initializers.fitting import fitted

    layer = keras.layers.DepthwiseConv2D(3)
    layer.build((None, 8, 8, 64))
    kernel, _ = fans_of(layer)
    values = fitted(keras.initializers.LecunNormal(seed=0), kernel.fans)(layer.kernel.shape)
    assert abs(float(keras.ops.var(values)) - 1 / 9) < 0.02
    ```
    """
    return initializer


@fitted.register(keras.initializers.VarianceScaling)
def _(initializer: Any, fans: Fans) -> Any:
    """Keras' own and those that draw as it does; a subclass that draws in its own way stays."""
    if type(initializer).__call__ is not keras.initializers.VarianceScaling.__call__:
        return initializer
    return FanScaling(
        initializer.scale,
        initializer.mode,
        initializer.distribution,
        initializer.seed,
        fans=(fans.fan_in, fans.fan_out),
    )


@fitted.register(FanScaling)
def _(initializer: Any, fans: Fans) -> Any:
    return _told(initializer, fans=(fans.fan_in, fans.fan_out))


@fitted.register(ScaledOrthogonal)
@fitted.register(Sparse)
def _(initializer: Any, fans: Fans) -> Any:
    share = _matrix(fans)
    return _by_parts(_told(initializer, fans=(fans.fan_in, fans.fan_out), **share), fans)


@fitted.register(DeltaOrthogonal)
def _(initializer: Any, fans: Fans) -> Any:
    if not fans.window:
        return fitted(ScaledOrthogonal(initializer.gain, initializer.seed), fans)
    rank = fans.window + 2
    channels = {
        name: tuple(axis - rank for axis in axes if axis >= fans.window)
        for name, axes in _matrix(fans).items()
    }
    return _by_parts(_told(initializer, **channels), fans)


@fitted.register(keras.initializers.Orthogonal)
def _(initializer: Any, fans: Fans) -> Any:
    if type(initializer) is not keras.initializers.Orthogonal:
        return initializer
    return fitted(ScaledOrthogonal(initializer.gain, initializer.seed), fans)


@fitted.register(Dirac)
@fitted.register(keras.initializers.Identity)
def _(initializer: Any, fans: Fans) -> Any:
    kind, is_told = type(initializer), fans.parts == 1 and getattr(initializer, "groups", 1) > 1
    if is_told or kind not in (Dirac, keras.initializers.Identity):
        return initializer
    return _by_parts(partial(_identity, initializer.gain, fans), fans)


def _identity(gain: float, fans: Fans, shape: Sequence[int], dtype: Any = None) -> Any:
    """Each matrix of a weight as the identity, at the middle of the window if it has one."""
    found, window = layout(shape, fans.input_axes, fans.output_axes), tuple(shape[: fans.window])
    asked, dtype = drawing_dtype(dtype)
    one = gain * ops.eye(found.rows // prod(window), found.columns, dtype=dtype)
    matrix = ops.reshape(at_the_middle(one, window), (1, found.rows, found.columns))
    return ops.cast(found.arranged(ops.repeat(matrix, found.count, axis=0)), asked)


@fitted.register(Gated)
def _(initializer: Any, fans: Fans) -> Any:
    whole = replace(fans, parts=1)
    several = isinstance(initializer.inner, list)
    inner = initializer.inner if several else [initializer.inner] * initializer.gates
    made = [fitted(each, whole) for each in inner]
    return Gated(made if several else made[0], initializer.gates)


def _matrix(fans: Fans) -> dict[str, tuple[int, ...]]:
    return {"input_axes": fans.input_axes, "output_axes": fans.output_axes}


def _told(initializer: Any, **known: Any) -> Any:
    config = {**initializer.get_config(), "seed": initializer.seed, **known}
    return type(initializer).from_config(config)


def _by_parts(initializer: Any, fans: Fans) -> Any:
    return Gated(initializer, fans.parts) if fans.parts > 1 else initializer
