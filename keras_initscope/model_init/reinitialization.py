"""New weights for a whole model: `reinitialize`.

Owns which initializer a weight gets where nobody gave a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras

from keras_initscope.initializers import Gated, ScaledOrthogonal
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.initializers.fitting import fitted
from keras_initscope.model_init.following import Following
from keras_initscope.model_init.seeds import seeded
from keras_initscope.model_init.selection import Weight, matcher, nothing, selected
from keras_initscope.records import Changes
from keras_initscope.text import number_text
from keras_initscope.theory.gains import gain

_ONES = (keras.layers.RMSNormalization, keras.layers.Attention)  # whose scales have no argument
_UNTRACED = (
    "The code of the model, or of a layer in it, does not take symbolic tensors: activations are "
    "known of the layers that have one themselves."
)


def reinitialize(
    model: Any,
    rules: Sequence[tuple[Any, Any]] | None = None,
    seed: int = 0,
    exclude: Any = None,
) -> Changes:
    """Draw new weights for a whole model, in place, each suited to the layer it serves.

    Use it on a model that is not yours to write, such as one of `keras.applications` with
    `weights=None`, or in the place of the initializers of your layers: the scale of depthwise,
    grouped, transposed and recurrent kernels comes out right, and no two kernels start alike.
    Where no rule speaks of a weight:

    ```
    kernels, embeddings     Var w = gain^2 / fan_in, with the true fan-in and the gain of the
                            activation that follows: 2 for ReLU, 1 for none, for a softmax and for
                            gates
    recurrent kernels       an orthogonal matrix for each gate
    biases, gamma, beta     what the layer's own initializer says (with a seed of the weight's own)
    ```

    so that inputs of unit second moment come out with unit variance where there is no activation,
    with unit second moment behind a rectifier, and a stack of one activation keeps preactivations
    of unit variance. The activation is the layer's own, or that of a layer or operation further on,
    behind normalization, dropout, pooling and reshaping.

    Args:
        model: A built Keras model: Sequential, functional, nested or subclassed.
        rules: A list of `(where, initializer)`; the first that matches a weight is taken. `where`
            is a regular expression on the weight's path (`"block_1/.*kernel"`), a layer class, a
            layer or a function of a layer; the latter three speak of kernels alone. The initializer
            is one of Keras' or ours, or its name. It is fitted to the weight: to its true fans, and
            with a seed of its own.
        seed: A Python integer. Seeds are found from it and from the path of each weight, so that
            values stay when another layer is added. Names that Keras makes (`dense_3`) count the
            layers of that kind: give names to layers that must keep their values.
        exclude: What to leave alone: any `where`, or a list of them. A pattern or layer that means
            nothing of the model is refused. Frozen weights are left alone in any case.

    Returns:
        What was done to each weight.

    Raises:
        ValueError: If the model is not built, a rule cannot be read, or `exclude` names what the
            model does not have.

    Example:

    ```python
    import keras

    import keras_initscope as initscope

    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
            keras.layers.Conv2D(16, 1, name="pointwise"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ]
    )
    changes = initscope.reinitialize(model, rules=[("pointwise/kernel", "orthogonal")], seed=1)
    print(changes)
    assert changes.find("depthwise/kernel").what == "variance 1 / fan_in"
    ```

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), equation 10
    - [LeCun et al., 1998](http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf), section 4.6
    """
    if not isinstance(seed, Integral):
        raise ValueError(f"Expected seed to be an integer. Received: {seed!r}.")
    read = [(matcher(*_rule(rule)), _initializer(rule), rule[0]) for rule in rules or ()]
    weights, following = selected(model, exclude), Following(model)
    changes, skipped, drawn = [], {}, []
    for weight in weights:
        given = next((i for matches, i, w in read if _speaks(matches, w, weight)), None)
        initializer, what = (given, _name(given)) if given else _default(weight, following)
        if initializer is None:
            skipped[weight.path] = what
            continue
        drawn.append((weight, what, weight.variance, _drawn(initializer, weight, seed)))
    for weight, what, before, values in drawn:  # once nothing can fail any more
        weight.variable.assign(values)
        changes.append(weight.changed(what, before))
    notes = nothing(model, weights) + ([] if following.traced else [_UNTRACED])
    notes += [
        f"The rule for {where!r} means no weight."
        for matches, _, where in read
        if not any(_speaks(matches, where, weight) for weight in weights)
    ]
    return Changes(
        model=model.name,
        action="reinitialize",
        changes=tuple(changes),
        skipped=skipped,
        notes=tuple(notes),
    )


def _rule(rule: Any) -> tuple[Any, str]:
    if not isinstance(rule, list | tuple) or len(rule) != 2:
        raise ValueError(f"Expected a list of (where, initializer) as rules. Received: {rule!r}.")
    return rule[0], "where"


def _initializer(rule: Any) -> Any:
    found = keras.initializers.get(rule[1])
    if found is None:
        raise ValueError(
            f"Expected an initializer for each rule. Received: {rule!r}. Leave out the rule for "
            "the default, or name the weight in `exclude` to leave it as it is."
        )
    return found


def _speaks(matches: Any, where: Any, weight: Weight) -> bool:
    return matches(weight) and (isinstance(where, str) or weight.is_kernel)


def _drawn(initializer: Any, weight: Weight, seed: int) -> Any:
    drawing = seeded(initializer, f"{seed}{weight.key}")
    if weight.fans is not None:
        drawing = fitted(drawing, weight.fans)
    shape = tuple(weight.variable.shape)
    try:
        return drawing(shape, dtype=weight.variable.dtype)
    except Exception as error:  # the initializer may be the user's and may raise anything
        raise ValueError(
            f"The weight {weight.path!r} of shape {shape} cannot be drawn by {_name(initializer)}: "
            f"{error} Nothing was changed."
        ) from error


def _default(weight: Weight, following: Following) -> tuple[Any, str]:
    """An initializer and what it does in words, or `None` and why there is none."""
    name = weight.variable.name
    if name.startswith("lora_"):
        return None, "a low-rank adapter must start at zero as a whole, as Keras starts it"
    if weight.fans is None:
        own = _own(weight)
        return (own, _name(own)) if own else (None, weight.reason)
    if name == "recurrent_kernel":
        return ScaledOrthogonal(), "orthogonal" + (" by gate" if weight.fans.parts > 1 else "")
    activation = None if name == "depthwise_kernel" else following.of(weight.layer)
    scale = 1.0 if activation is None else _scale(activation)
    behind = "" if activation is None else f" for {activation.name}"
    return FanScaling(scale), f"variance {scale:.3g} / fan_in{behind}"


def _scale(activation: Any) -> float:
    try:
        return gain(activation) ** 2
    except ValueError:  # no signal passes, whatever the weights
        return 1.0


def _own(weight: Weight) -> Any:
    """The initializer that the layer itself gave the weight, where it can be told."""
    layer, name = weight.layer, weight.variable.name
    if isinstance(layer, _ONES):
        return keras.initializers.Ones()
    own = getattr(layer, f"{name}_initializer", None)
    if own is not None and name == "bias" and getattr(layer, "unit_forget_bias", False):
        return Gated([own, "ones", own, own])
    return own


def _name(initializer: Any) -> str:
    config: dict[str, Any] = getattr(initializer, "get_config", dict)()
    value = f" {number_text(float(config['value']))}" if "value" in config else ""
    return getattr(initializer, "__name__", type(initializer).__name__) + value
