"""Layers that learn, one after the other, to give back what they receive: `pretrain`.

Owns which layers are trained, and what is said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initscope import graph
from keras_initscope.model_init.autoencoder import Autoencoder, Training, output_for, received_by
from keras_initscope.model_init.calibration import build
from keras_initscope.model_init.chain import Step, behind, chain_of
from keras_initscope.model_init.examples import check_shape, read
from keras_initscope.model_init.mirror import is_weighted, mirror
from keras_initscope.model_init.seeds import seed_of
from keras_initscope.model_init.selection import Weight, no_kernel, selected
from keras_initscope.prediction.weights import as_array
from keras_initscope.preserved import preserved
from keras_initscope.records import Change, Changes
from keras_initscope.text import did_you_mean

_FIT = {"batch_size": 32, "verbose": "auto"}
_KIND = "only dense and convolutional layers of Keras are pretrained"
_HEAD = "its activation is not elementwise, as that of an output layer, or cannot be read"
_CONSTANT = "what it receives is the same for all examples, which leaves nothing to learn"
_LAST = (
    "{} gives the model's outputs and was pretrained like the others. Exclude it where it is to "
    "learn from targets alone."
)


def pretrain(
    model: Any,
    x: Any,
    epochs: int = 10,
    corruption: float = 0.0,
    optimizer: Any = "adam",
    exclude: Any = None,
    seed: int = 0,
    **fit: Any,
) -> Changes:
    """Train the layers of a chain one by one, without targets, to keep what they receive; in place.

    Use it where labels are few, or where a deep network of saturating units gets no gradient to
    start with. From the inputs on, each dense and convolutional layer becomes the encoder of an
    autoencoder of what the layers below make of the data, those staying as they are by then. The
    decoder has the transpose of the layer's kernel (tied weights, as a restricted Boltzmann machine
    has them) and a bias of its own, and is thrown away:

    ```
    h' = g(W^T f(W h~ + b) + c),   W, b, c such that h' is near h
    ```

    where `f` is the activation of the layer, its own or that of a layer behind it, and `h~` is `h`,
    or, in a denoising autoencoder, `h` with a random share of its values set to zero: use that
    where a layer is not narrower than what it receives, which a plain one may just copy. `g` has
    the range of `h`: a sigmoid with cross-entropy where a sigmoid made it, and for data that lie in
    [0, 1]; tanh with squared error where a tanh made it; else none, with squared error. Layers in
    between (pooling, flatten, normalization, dropout, ...) work as in inference and stay as they
    are. A layer whose activation is not elementwise, a softmax, is an output layer and is left out.

    Each layer is trained by `fit`, as a copy in single precision, also in models of half precision.
    The model, its optimizer, its averages and all random states stand afterwards where they stood.

    Args:
        model: A `keras.Sequential` or functional model in which each layer receives what the last
            gave, models inside of it among them. One that is not built is built for `x`.
        x: An array of inputs, also in a mapping by the input's name, or a dataset of batches that
            can be gone through again, such as a `tf.data.Dataset` or `keras.utils.PyDataset`;
            targets in it are not looked at. It is gone through once beforehand. Arrays are
            shuffled, datasets have their own order. A generator is refused: it is over after one
            layer.
        epochs: How often each layer goes through the data; 0 leaves the model as it is.
        corruption: Share of the values a layer receives that are set to zero in training, at least
            0 and less than 1. Usual are .1 to .5.
        optimizer: Name of a Keras optimizer, or one, of which each layer gets a copy.
        exclude: What to leave alone: a regular expression on the path of a weight, a layer, a layer
            class or a function of a layer, or a list of those. A pattern or layer that means
            nothing of the model is refused. Frozen weights are left alone in any case; a layer is
            trained if its kernel may be.
        seed: A Python integer, from which order and corruption follow: the same model, data and
            seed give the same weights.
        **fit: `batch_size` of an array (32) and `verbose` (`"auto"`), as in `keras.Model.fit`.

    Returns:
        What was done to each weight, and the error of its autoencoder before and after: the mean
        square error of the reconstruction as a share of the variance of what the layer receives, on
        256 examples. In `skipped` the kernels that were not trained, and why.

    Raises:
        ValueError: If the model is no chain, the data or an argument cannot be used, or the
            training of a layer diverges; that layer and those behind it are as they were.

    Example:

    ```python
    import keras
    import numpy as np

    import keras_initscope as initscope

    hidden = [keras.layers.Dense(n, "sigmoid", name=f"hidden_{n}") for n in (32, 16, 8)]
    classes = keras.layers.Dense(10, "softmax", name="classes")
    model = keras.Sequential([keras.Input((64,)), *hidden, classes])
    x = np.random.default_rng(0).uniform(size=(512, 4)) @ np.full((4, 64), 0.25)
    changes = initscope.pretrain(model, x, epochs=5, verbose=0)
    print(changes)
    assert changes.skipped.keys() == {"classes/kernel"}
    model.compile("sgd", "sparse_categorical_crossentropy")  # and fit, as ever
    ```

    Reference:

    - [Hinton and Salakhutdinov, 2006](https://doi.org/10.1126/science.1127647)
    - [Bengio et al., 2007](https://papers.nips.cc/paper/3048), section 4.1
    - [Vincent et al., 2008](https://doi.org/10.1145/1390156.1390294), section 2.3
    """
    _check(epochs, corruption, seed, fit)
    examples = read(x)
    if isinstance(model, keras.Layer) and not isinstance(model, keras.Sequential):
        chain_of(model)  # what is no chain need not be built
    build(model, examples.sample)
    weights = selected(model, exclude)
    steps = chain_of(model)
    check_shape(examples, model)
    training = Training(
        examples=examples,
        epochs=epochs,
        corruption=float(corruption),
        optimizer=keras.optimizers.get(optimizer),
        seed=seed,
        fit={**_FIT, **fit},
    )
    changes: list[Change] = []
    skipped, last = {}, -1
    with preserved([model, *(node.layer for node in graph.layers(model))]), graph.kept_seeds():
        for weight in (each for each in weights if each.fans is not None):
            k = _place(steps, weight)
            if reason := _reason(steps, k):
                skipped[weight.path] = reason
            elif epochs and _is_constant(received_by(steps, k, examples.sample)):
                skipped[weight.path] = _CONSTANT
            elif epochs:
                changes += _trained(steps, k, _pair(weights, weight), training)
                last = k
    is_last = last >= 0 and not any(is_weighted(step.operation) for step in steps[last + 1 :])
    return Changes(
        model=model.name,
        action="pretrain",
        changes=tuple(changes),
        skipped=skipped,
        notes=(
            *no_kernel(model, weights),
            *([_LAST.format(steps[last].operation.name)] if is_last else []),
        ),
    )


def _check(epochs: Any, corruption: Any, seed: Any, fit: dict[str, Any]) -> None:
    if not _is_count(epochs, 0):
        raise ValueError(f"Expected epochs to be an integer of 0 or more. Received: {epochs!r}.")
    if not (isinstance(corruption, int | float) and 0 <= corruption < 1):
        raise ValueError(
            "Expected as corruption a share of values, at least 0 and less than 1. Received: "
            f"corruption={corruption!r}."
        )
    if not _is_count(seed, 0):
        raise ValueError(f"Expected seed to be an integer of 0 or more. Received: {seed!r}.")
    for name in fit:
        if name not in _FIT:
            raise ValueError(
                f"Received an argument that pretrain does not take: {name!r}. "
                f"{did_you_mean(name, _FIT)}Expected, of those of `fit`: {', '.join(_FIT)}."
            )
    if not _is_count(fit.get("batch_size", 1), 1):
        raise ValueError(
            f"Expected batch_size to be an integer of 1 or more. Received: {fit['batch_size']!r}."
        )


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _place(steps: Sequence[Step], weight: Weight) -> int:
    """At which step a kernel is used first, -1 if its layer is none that is trained."""
    for k, step in enumerate(steps):
        if step.operation is weight.layer and is_weighted(weight.layer):
            return k if weight.variable.name == "kernel" else -1
    return -1


def _reason(steps: Sequence[Step], k: int) -> str:
    """Why a kernel is not trained, empty if it is."""
    if k < 0:
        return _KIND
    try:
        mirror(steps[k].operation, steps[k].received.shape, name="decoder")
    except ValueError as error:
        return str(error)
    try:
        behind(steps, k)
    except ValueError:
        return _HEAD
    return ""


def _is_constant(received: Any) -> bool:
    values = as_array(received)
    return bool((values == values[:1]).all())


def _pair(weights: Sequence[Weight], kernel: Weight) -> list[Weight]:
    """A kernel, and the bias of its layer if that may be changed too."""
    return [each for each in weights if each.layer is kernel.layer]


def _trained(
    steps: Sequence[Step], k: int, weights: Sequence[Weight], training: Training
) -> list[Change]:
    """Train one layer, and give its weights to the model."""
    examples, seed = training.examples, seed_of(f"{training.seed}{weights[0].key}")
    output = output_for(steps, k, examples.low, examples.high)
    net = Autoencoder(steps, k, behind(steps, k), output, training.corruption, seed)
    found = {variable.name: variable for variable in net.encoder.trainable_variables}
    for name in found.keys() - {weight.variable.name for weight in weights}:
        found[name].trainable = False
    net.centre(examples.sample)
    before = net.error(examples.sample)
    net.learn(training, seed)
    values = {name: as_array(variable) for name, variable in found.items()}
    if not all(np.isfinite(value).all() for value in values.values()):
        raise ValueError(
            f"The training of layer {steps[k].operation.name!r} diverged: its weights are no "
            f"longer finite. Received: {type(training.optimizer).__name__} with a learning rate "
            f"of {float(training.optimizer.learning_rate):.3g}. Take a smaller one, or scale `x`, "
            f"which lies between {examples.low:.3g} and {examples.high:.3g}."
        )
    what = f"reconstruction error {before:.3g} -> {net.error(examples.sample):.3g}"
    return [_given(weight, values[weight.variable.name], what) for weight in weights]


def _given(weight: Weight, value: Any, what: str) -> Change:
    before = weight.variance
    weight.variable.assign(ops.cast(value, weight.variable.dtype))
    return weight.changed(what, before)
