"""Weights scaled by data, all in one forward sweep: `calibrate`.

Owns what is covered, what is drawn anew beforehand, and what is said of it.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initscope import graph
from keras_initscope.calls import arguments, taken
from keras_initscope.initializers import ScaledOrthogonal
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.initializers.fitting import fitted
from keras_initscope.model_init.linear import cells_of, has_gates, scaling_kernel
from keras_initscope.model_init.selection import Weight, alike, no_kernel, selected
from keras_initscope.model_init.sweep import Sweep
from keras_initscope.records import Change, Changes

UNCOVERED = "what its layer gives is not linear in it, as far as is known here"
_NORMALIZED = keras.layers.SpectralNormalization  # whatever the scale of its kernel


def calibrate(
    model: Any,
    x: Any,
    method: str = "lsuv",
    target: float = 1.0,
    at: str = "preactivation",
    orthogonal: bool = True,
    exclude: Any = None,
) -> Changes:
    """Scale every layer of a model so that it gives unit variance on a batch, in place (LSUV).

    Use it where theory does not reach: real data, odd activations, layers of your own in between.
    Give it a batch as training will see, a few hundred examples. Layer-sequential unit-variance
    initialization needs no sub-models and no iteration: a layer's preactivation is linear in its
    kernel, so that one look at it gives the factor, and the layer hands on what it would have given
    with the new kernel. The model runs once, each layer is called once:

    ```
    z = u + b  ->  s u + b,   kernel -> s kernel,   s > 0 such that Var(s u + b) = target
    ```

    The variance is that over the whole tensor: examples, positions and units. Covered are dense,
    einsum, convolutional, depthwise, transposed and separable layers (scaled by their pointwise
    kernel) and embeddings, wherever they are: in attention, in residual branches, inside layers and
    models. A shared layer is scaled at its first call. Of a recurrent cell each gate is scaled by
    what the inputs bring to it over all steps, in a stack of cells what the cell below brings; the
    state's part is left to orthogonal matrices.
    Biases, normalizations and all other weights stay as they are. What is computed in half
    precision comes out within its rounding: about .1 % in float16, .6 % in bfloat16.

    The model runs in training mode, as in its first training step: batch normalization uses the
    batch, dropout drops. Its averages and random states stand afterwards where they stood.

    Args:
        model: A Keras model of any kind. One that is not built is built for `x`.
        x: A batch of inputs, as the model takes it; or, as for `fit`, a `tf.data.Dataset`,
            `keras.utils.PyDataset` or generator of batches, of which the first is taken, without
            its targets. A generator is one batch further on afterwards. Of a model whose
            `call(self, p, q)` takes several inputs: a tuple or mapping of them.
        method: `"lsuv"`.
        target: The variance wanted, positive.
        at: `"preactivation"`, in front of the activation that a layer has itself, or
            `"activation"`, behind it.
        orthogonal: Whether to draw the kernels anew first, as orthogonal matrices by gate and
            group, as the paper does. `False` keeps their values but for the scale. Embeddings are
            kept in any case.
        exclude: What to leave alone: a regular expression on the path of a weight, a layer, a layer
            class or a function of a layer, or a list of those. A pattern or layer that means
            nothing of the model is refused. Frozen weights are left alone in any case.

    Returns:
        What was done to each weight; in `skipped` the kernels that could not be scaled, and why; in
        `notes` which kernels had the same values and, but for their scale, keep them.

    Raises:
        ValueError: If an argument cannot be read, `exclude` names what the model does not have, or
            the model does not take `x`.

    Example:

    ```python
    import keras
    import numpy as np

    import keras_initscope as initscope

    hidden = [keras.layers.Dense(64, "mish") for _ in range(20)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    x = np.random.default_rng(0).uniform(size=(256, 64))
    print(initscope.calibrate(model, x))
    assert abs(np.var(model.predict(x, verbose=0)) - 1) < 1e-3
    ```

    Reference:

    - [Mishkin and Matas, 2016](https://arxiv.org/abs/1511.06422), algorithm 1
    """
    _check(method, target, at)
    x = taken(model, x)
    _check_finite(x)
    build(model, x)
    weights = selected(model, exclude)
    covered, others = covered_by(model, weights)
    sweep = Sweep({id(w.variable): float(target) for w in covered}, at == "activation")
    before = {id(w.variable): w.variance for w in (*covered, *others)}
    with keras.StatelessScope() as scope:
        drawn = _draw([*covered, *others]) if orthogonal else set()
        sweep.run(model, [node.layer for node in graph.layers(model)], x)
        values = {key: scope.get_current_value(w.variable) for key, w in _by_id(weights)}
    same = alike([weight for key, weight in _by_id(weights) if key not in drawn])
    changes = []
    for key, weight in _by_id([w for w in weights if id(w.variable) in drawn | set(sweep.factors)]):
        weight.variable.assign(values[key])
        what = _words(key in drawn, sweep.factors.get(key, []))
        changes.append(weight.changed(what, before[key]))
    known = {id(w.variable) for w in (*covered, *others)}
    notes = [*no_kernel(model, weights), *same]
    return _report(model, weights, changes, sweep, known, notes)


def _check(method: str, target: float, at: str) -> None:
    if method != "lsuv":
        raise ValueError(f"Expected method='lsuv'. Received: method={method!r}.")
    if at not in ("preactivation", "activation"):
        raise ValueError(f"Expected at='preactivation' or at='activation'. Received: at={at!r}.")
    if not (isinstance(target, Real) and 0 < target < float("inf")):
        raise ValueError(f"Expected a positive variance as target. Received: target={target!r}.")


def _check_finite(x: Any) -> None:
    arrays = [np.asarray(ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(x)]
    floats = [array for array in arrays if np.issubdtype(array.dtype, np.floating)]
    if bad := sum(int(np.count_nonzero(~np.isfinite(array))) for array in floats):
        raise ValueError(f"x holds {bad} values that are NaN or infinite. Clean the data first.")


def build(model: Any, x: Any) -> None:
    """Build a model for a batch, if it is not built.

    Raises:
        ValueError: If it cannot be.
    """
    if not isinstance(model, keras.Layer) or (model.built and graph.has_weights(model)):
        return
    shapes = keras.tree.map_structure(np.shape, x)
    args, kwargs = keras.tree.map_structure(lambda each: each[:1], arguments(model, x))
    try:
        model(*args, **kwargs, training=False)
    except Exception as error:  # the model is the user's and may raise anything
        raise ValueError(
            f"The model {model.name!r} cannot be called on inputs of shape {shapes}: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error


def covered_by(model: Any, weights: list[Weight]) -> tuple[list[Weight], list[Weight]]:
    """The kernels that are scaled, and those beside them that are drawn anew alone."""
    cells = {
        id(cell) for node in graph.layers(model) for cell in cells_of(node.layer) if has_gates(cell)
    }
    main, others = [], []
    for weight in weights:
        if any(isinstance(layer, _NORMALIZED) for layer in weight.holders):
            continue
        is_gates = id(weight.layer) in cells
        if weight.variable is (weight.layer.kernel if is_gates else scaling_kernel(weight.layer)):
            main.append(weight)
        elif weight.variable.name in ("recurrent_kernel", "depthwise_kernel"):
            others.append(weight)
    return main, others


def _draw(weights: list[Weight]) -> set[int]:
    """Orthogonal matrices; single columns, as depthwise kernels are, stand beside no other."""
    drawn = set()
    for weight in weights:
        shape, fans = tuple(weight.variable.shape), weight.fans
        if fans is None or isinstance(weight.layer, keras.layers.Embedding):
            continue
        single = all(shape[axis] == fans.parts for axis in fans.output_axes)
        initializer = FanScaling(1.0) if single else ScaledOrthogonal()
        weight.variable.assign(fitted(initializer, fans)(shape, dtype=weight.variable.dtype))
        drawn.add(id(weight.variable))
    return drawn


def _by_id(weights: list[Weight]) -> list[tuple[int, Weight]]:
    return [(id(weight.variable), weight) for weight in weights]


def _words(drawn: bool, factors: list[float]) -> str:
    scale = f"times {', '.join(f'{factor:.4g}' for factor in factors)}" if factors else ""
    return ", ".join(filter(None, ["orthogonal" if drawn else "", scale]))


def _report(
    model: Any,
    weights: list[Weight],
    changes: list[Change],
    sweep: Sweep,
    known: set[int],
    notes: list[str],
) -> Changes:
    skipped = {}
    redrawn = {change.path for change in changes}
    for key, weight in _by_id(weights):
        if key in sweep.failed and weight.path in redrawn:
            notes.append(f"Drawn anew, but not scaled: {weight.path}. Reason: {sweep.failed[key]}.")
        elif key in sweep.failed:
            skipped[weight.path] = sweep.failed[key]
        elif weight.is_kernel and key not in known:
            skipped[weight.path] = UNCOVERED
    return Changes(
        model=model.name,
        action="calibrate",
        changes=tuple(changes),
        skipped=skipped,
        notes=tuple(notes),
    )
