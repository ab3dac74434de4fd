"""The signal of a whole model before it runs: `predict_signal`.

Owns what a prediction looks like as a `Snapshot`, which it shares with a measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import prod
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.prediction import families  # noqa: F401  (which enters the rules)
from keras_initscope.prediction.backward import backward
from keras_initscope.prediction.inputs import arguments
from keras_initscope.prediction.state import Gradient, State, Unknown
from keras_initscope.prediction.transfer import Walk, apply, walking
from keras_initscope.prediction.weights import read_from
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats

_ANYTHING = 100.0  # variance of a logarithm beyond which a number says nothing more


def predict_signal(model: Any, input: Any = None, weights: str = "actual") -> Snapshot:
    """What signal and gradient will be in every layer of a model, without running it.

    Use it before training to see whether the signal survives the depth of the model, and beside a
    measured snapshot to see whether the model does what its weights promise. It follows second
    moments through the layers as wide networks have them, in training mode, for every kind of model
    whose structure Keras can tell:

    ```
    q = E x^2         what a single example carries
    p = E x_a x_b     what two examples have in common: the constant part
    q - p             the signal
    g = E (dL/dx)^2   for a cotangent of variance 1 at the outputs
    ```

    Forward moments are good to 5 % and the finite-width noise that `relative_error` states, in the
    median over the layers of the networks in `keras.applications`. Single layers may be half off:
    means and maxima over positions that depend on each other, depthwise kernels of few weights, and
    rectified sums of rectified tensors (ResNet50), none of which makes Gaussians. Gradients drift
    by one or two percent at each batch normalization of a convolution, and by more behind rectified
    sums; compare such depths by their order of magnitude.

    A layer that no theory is known for is listed in `unknown`, with the reason, and so is all that
    depends on it, until a normalization sets the moments anew. Teach it your own layer with
    `keras_initscope.prediction.transfer.register`.

    Args:
        model: A built Keras model.
        input: What goes in. `None` takes independent values of mean 0 and variance 1, which a
            `Normalization` layer passes on as such, adapted to whatever it was, and equally
            frequent tokens; a batch (an array, or a list or mapping of arrays as the model takes
            it) gives its own moments; a mapping such as `{"q": 1.0, "p": 0.2, "mu": 0.1}` gives
            them directly, the same for every input; or one of these for each input, in a list or
            mapping: `[tokens, {"q": 1.0}]`.
        weights: `"actual"` reads the variances of the weights as they are, `"initializers"` those
            that the initializers would draw.

    Returns:
        A snapshot of origin `"predicted"` with the layer paths and depths of a measured one. Its
        statistics are `mean`, `variance`, `root_mean_square`, `signal` (`q - p`) and `constant`
        (`p`) of preactivations and activations, the first three of their gradients, and
        `relative_error`: how far a single network of this width scatters around the prediction of
        its second moment, as a standard deviation. It compounds `5/n` for each layer of `n` units
        since the last normalization, and for that one, and the relative variance of the length of
        the input vectors that meet the first weights, `2/n` for `n` inputs without data. Where
        activations amplify deviations of the signal, as GELU, SiLU and Mish do, it is that of a
        log-normal variable whose logarithm grows at each layer by the slope of the variance map on
        logarithmic axes; gradients also scatter with the signal that their slopes depend on.
        `relative_median` is how far half of such networks stay below the prediction, a mean.

    Raises:
        ValueError: If the model is not built, if `input` or `weights` is none of the above, or if
            `input` does not fit the model or is not finite.

    Example:

    ```python
    import keras

    from keras_initscope.prediction.signal import predict_signal

    model = keras.Sequential([keras.Input((100,))])
    for _ in range(3):
        model.add(keras.layers.Dense(100, "relu", kernel_initializer="glorot_normal"))
    snapshot = predict_signal(model, weights="initializers")
    powers = [rms**2 for rms in snapshot.profile("activation", "root_mean_square").values()]
    assert [round(power, 3) for power in powers] == [0.5, 0.25, 0.125]
    assert not snapshot.unknown
    ```

    Reference:

    - [Poole et al., 2016](https://arxiv.org/abs/1606.05340)
    - [Schoenholz et al., 2017](https://arxiv.org/abs/1611.01232)
    """
    if not isinstance(model, keras.Layer):
        raise ValueError(f"Expected a Keras model. Received: {model!r}.")
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has no weights yet. Call `model.build(input_shape)`, or the "
            "model itself on a batch, before `predict_signal`."
        )
    walk = Walk(variables=tuple(model.variables))
    with read_from(weights), walking(walk):
        args, kwargs = arguments(model, input)
        outputs = apply(model, *args, **kwargs)
    flat = [x for x in keras.tree.flatten(outputs) if isinstance(x, State | Unknown)]
    return _snapshot(model, walk, backward(flat))


def _snapshot(model: Any, walk: Walk, gradients: dict[object, Gradient]) -> Snapshot:
    stats: list[TensorStats] = []
    unknown: dict[str, str] = {}
    nodes = graph.layers(model)
    inside = _opaque(nodes, walk)
    for depth, node in enumerate(nodes):
        calls = walk.outputs.get(id(node.layer), []) or inside.get(node.path.rpartition("/")[0], [])
        reasons = [call.reason for call in calls if isinstance(call, Unknown)]
        if reasons:
            unknown[node.path] = reasons[0]
            continue
        states = [call for call in calls if isinstance(call, State)]
        stats.extend(_of_layer(node.path, depth, states, gradients))
        missing = [s.reason for s in states if s.reason and np.isnan(s.q).all()]
        if missing:
            unknown[node.path] = missing[0]
    info = StepInfo(loss=None, learning_rate=None, time=time.time())
    return Snapshot(step=0, info=info, stats=tuple(stats), origin="predicted", unknown=unknown)


def _opaque(nodes: list[graph.LayerNode], walk: Walk) -> dict[str, list[State | Unknown]]:
    """What is said of layers that nobody looked at, since the layer that holds them is unknown."""
    found: dict[str, list[State | Unknown]] = {}
    for node in reversed(nodes):  # a layer stands before those that it holds
        calls = walk.outputs.get(id(node.layer), []) or found.get(node.path.rpartition("/")[0], [])
        if any(isinstance(call, Unknown) for call in calls):
            found[node.path] = [call for call in calls if isinstance(call, Unknown)]
    return found


def _of_layer(
    path: str, depth: int, states: list[State], gradients: dict[object, Gradient]
) -> Iterator[TensorStats]:
    before = [state.received for state in states if state.received is not None]
    for quantity, found in ((Quantity.PREACTIVATION, before), (Quantity.ACTIVATION, states)):
        if not found:
            continue
        tap = Tap(layer=path, quantity=quantity, depth=depth, size=_size(found))
        yield TensorStats(tap=tap, values=_averaged([_values(state) for state in found]))
        back = [gradients[state.key] for state in found if state.key in gradients]
        values = _averaged([_gradient_values(gradient) for gradient in back])
        if values:
            kind = Quantity(f"{quantity}_gradient")
            tap = Tap(layer=path, quantity=kind, depth=depth, size=_size(found))
            yield TensorStats(tap=tap, values=values)


def _size(states: list[State]) -> int:
    return sum(prod(state.shape) for state in states)


def _values(state: State) -> dict[str, float]:
    q, p, mu = (float(np.mean(m)) for m in (state.q, state.p, state.mu))
    values = {
        "mean": mu,
        "variance": q - mu**2,
        "root_mean_square": q**0.5,
        "signal": q - p,
        "constant": p,
        "relative_error": _relative(state.deviation),
        "relative_median": float(np.exp(-state.noise / 2)),
    }
    return {name: value for name, value in values.items() if not np.isnan(value)}


def _relative(deviation: float) -> float:
    """Standard deviation over mean, of a log-normal variable."""
    return float(np.sqrt(np.expm1(min(deviation, _ANYTHING))))


def _gradient_values(gradient: Gradient) -> dict[str, float]:
    g = float(np.mean(gradient.g))
    if np.isnan(g):
        return {}
    error = _relative(gradient.deviation)
    return {
        "mean": 0.0,
        "variance": g,
        "root_mean_square": g**0.5,
        "relative_error": error,
        "relative_median": float(np.exp(-gradient.noise / 2)),
    }


def _averaged(calls: list[dict[str, float]]) -> dict[str, float]:
    """Over the calls of a shared layer, whose tensors a measurement pools."""
    names = [name for name in (calls[0] if calls else {}) if all(name in call for call in calls)]
    found = {name: float(np.mean([call[name] for call in calls])) for name in names}
    if "root_mean_square" in found:
        found["root_mean_square"] = float(
            np.sqrt(np.mean([call["root_mean_square"] ** 2 for call in calls]))
        )
    return found
