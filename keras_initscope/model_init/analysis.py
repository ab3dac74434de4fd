"""Weights scaled by theory, without data: `autoinit`.

Owns the walk that scales each layer before its moments are handed on, and what is done where theory
ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.calls import taken
from keras_initscope.model_init.calibration import UNCOVERED, covered_by
from keras_initscope.model_init.following import Following
from keras_initscope.model_init.linear import cells_of, gates_of, has_gates, scaling_kernel
from keras_initscope.model_init.sampling import sampled
from keras_initscope.model_init.selection import Weight, alike, no_kernel, selected
from keras_initscope.model_init.sweep import Sweep
from keras_initscope.prediction import families  # noqa: F401  (which enters the rules)
from keras_initscope.prediction.inputs import arguments, is_described
from keras_initscope.prediction.state import State, Unknown
from keras_initscope.prediction.transfer import Walk, apply, walking
from keras_initscope.prediction.weights import as_array, multiplied_by_each
from keras_initscope.records import Changes
from keras_initscope.text import shortened


def autoinit(model: Any, input: Any = None, exclude: Any = None) -> Changes:
    """Scale every layer of a model by theory, without data, so that signals keep their size.

    Use it where the network is made of what theory knows, and there is no batch at hand or none to
    be trusted; `calibrate` is the way with data. The second moment of each tensor follows from the
    one before (Bingham and Miikkulainen, 2021), so that each kernel can be scaled as its turn
    comes. Weights keep their directions:

    ```
    E z^2 = fan_in E w^2 E x^2 + E b^2 = 1    for the preactivation z of every layer with a kernel
    E z^2 = 1/L                               where z is added to a signal that goes on, at one of
                                              L such sums in the model
    E z^2 = 1/n                               where a sum is made of n such z and nothing else
    ```

    so that whatever activations, pooling, dropout, attention and sums do to a signal is made up for
    by the next kernel, and the trunk of a residual network grows from 1 to 2 in all, however deep
    it is. Of recurrent cells each gate receives unit second moment from the inputs.

    This holds in the mean over wide networks. Kernels enter with the second moments that they have,
    not those that their initializers promise, but a single network still scatters, with a relative
    variance of about 5/n for each layer of n units: a signal meets a kernel along few directions,
    whose gains are fixed neither by the norm of the kernel nor by those of its columns. Small
    convolutional networks are off by a third. GELU, SiLU and Mish amplify what is off from layer to
    layer, since their variance maps are steeper than the diagonal: 20 layers of width 256 end, in
    the mean, at about 3 (GELU) and 16 (SiLU) in the place of 1. The result says so where a factor
    of three is likely; `calibrate` has no such error on its batch.

    Layers behind something that theory does not know are measured instead: the model runs once on
    inputs drawn at random, and they are scaled as `calibrate` does it. The result says which.

    Args:
        model: A built Keras model.
        input: What goes in, as for `predict_signal`: `None` for independent values of mean 0 and
            variance 1, a mapping of moments such as `{"q": 1.0, "p": 0.2}`, or a batch; also, as
            for `fit`, a `tf.data.Dataset`, `keras.utils.PyDataset` or generator of batches, of
            which the first is taken, without its targets. A generator is one batch further on
            afterwards.
        exclude: What to leave alone: a regular expression on the path of a weight, a layer, a layer
            class or a function of a layer, or a list of those. A pattern or layer that means
            nothing of the model is refused. Frozen weights are left alone in any case.

    Returns:
        What was done to each weight; in `notes` what was measured and why, in `skipped` the kernels
        that could not be scaled.

    Raises:
        ValueError: If the model is not built, does not take `input`, or `input` or `exclude` cannot
            be read, or `exclude` names what the model does not have.

    Example:

    ```python
    import keras

    import keras_initscope as initscope

    hidden = [keras.layers.Dense(128, "mish") for _ in range(20)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    initscope.autoinit(model)
    q = initscope.predict_signal(model).profile("preactivation", "root_mean_square")
    assert all(abs(value - 1) < 1e-3 for value in q.values())
    ```

    Reference:

    - [Bingham and Miikkulainen, 2023](https://arxiv.org/abs/2109.08958), for analytic
      initialization
    - [Zhang et al., 2019](https://arxiv.org/abs/1901.09321), for branches that grow with their
      number
    """
    weights = selected(model, exclude)
    input = input if is_described(input) else taken(model, input)
    covered, _ = covered_by(model, weights)
    before, same = {id(w.variable): w.variance for w in covered}, alike(weights)
    shares = Following(model).shares()
    walk = _Scaling(open={id(w.variable): shares.get(id(w.layer), 1.0) for w in covered})
    with walking(walk), multiplied_by_each(walk.columns):
        args, kwargs = arguments(model, input)
        apply(model, *args, **kwargs)
    for weight in covered:  # once nothing can fail any more
        if (columns := walk.columns.get(id(weight.variable))) is not None:
            kernel = weight.variable
            kernel.assign(keras.ops.cast(as_array(kernel) * columns, kernel.dtype))
    measured = set(walk.open)
    if measured:
        _measure(model, input, walk, covered)
    factors = [(w, walk.factors[id(w.variable)]) for w in covered if id(w.variable) in walk.factors]
    skipped = {
        w.path: walk.failed[id(w.variable)] for w in covered if id(w.variable) in walk.failed
    }
    return Changes(
        model=model.name,
        action="autoinit",
        changes=tuple(
            w.changed(_words(found, id(w.variable) in measured), before[id(w.variable)])
            for w, found in factors
        ),
        skipped=skipped | {w.path: UNCOVERED for w in _uncovered(weights, covered)},
        notes=(
            *no_kernel(model, weights),
            *same,
            *_notes(walk, [w.path for w in covered if id(w.variable) in measured]),
            *(_scatter(model, walk) if factors else []),
        ),
    )


def _uncovered(weights: list[Weight], covered: list[Weight]) -> list[Weight]:
    """Recurrent and depthwise kernels stand beside one that is scaled."""
    known = {id(w.variable) for w in covered}
    beside = ("recurrent_kernel", "depthwise_kernel")
    return [
        w
        for w in weights
        if w.is_kernel and id(w.variable) not in known and w.variable.name not in beside
    ]


@dataclass(slots=True)
class _Scaling(Walk):
    """Scales kernels while their moments are followed.

    Args:
        open: `id(variable)` of those not yet scaled to the second moment wanted.
        factors: `id(variable)` to the factors of its parts.
        columns: `id(variable)` to what its columns are to be multiplied by, and are read as if they
            were: code of the user's is followed in a scope that forgets what is assigned in it.
        failed: `id(variable)` to the reason why it cannot be scaled.
    """

    open: dict[int, float] = field(default_factory=dict)
    factors: dict[int, list[float]] = field(default_factory=dict)
    columns: dict[int, Any] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def prepare(self, layer: Any, tensors: list[State | Unknown], look: Callable[[], Any]) -> None:
        """Scale the kernel of a layer by what it would give."""
        kernel = scaling_kernel(layer)
        for cell in cells_of(layer)[:1]:  # what reaches the others is not known
            if has_gates(cell) and id(cell.kernel) in self.open and isinstance(tensors[0], State):
                self._scale_gates(cell, float(np.mean(tensors[0].q)))
        if id(kernel) not in self.open:
            return
        found = keras.tree.flatten(look())[0]
        if isinstance(found, State):
            moments = found if found.received is None else found.received
            bias = getattr(layer, "bias", None)
            added = 0.0 if bias is None else float(np.mean(as_array(bias) ** 2))
            self._scale(kernel, [float(np.mean(moments.q)) - added], added)

    def _scale_gates(self, cell: Any, q: float) -> None:
        values = np.split(as_array(cell.kernel), gates_of(cell), axis=-1)
        fan_in = np.prod(values[0].shape[:-1])
        self._scale(cell.kernel, [float(np.mean(gate**2) * fan_in * q) for gate in values], 0.0)

    def _scale(self, kernel: Any, found: list[float], added: float) -> None:
        target = self.open.pop(id(kernel))
        if min(found) <= 0:
            self.failed[id(kernel)] = "no signal comes out of it"
        elif added >= target:
            self.failed[id(kernel)] = f"its bias alone has second moment {added:.3g}"
        else:
            factors = [sqrt((target - added) / each) for each in found]
            width = kernel.shape[-1] // len(factors)
            by_column = np.repeat(factors, width) if len(factors) > 1 else factors[0]
            self.columns[id(kernel)] = by_column
            self.factors[id(kernel)] = factors


def _measure(model: Any, given: Any, walk: _Scaling, covered: list[Weight]) -> None:
    """Scale what theory did not reach, in one sweep over a batch drawn at random."""
    sweep = Sweep(walk.open)
    with keras.StatelessScope() as scope:
        try:
            layers = [node.layer for node in graph.layers(model)]
            sweep.run(model, layers, sampled(model, given))
        except Exception as error:  # the model is the user's and may raise anything
            reason = shortened(f"theory does not know what reaches it, and {error!r}", 400)
            walk.failed |= dict.fromkeys(walk.open, reason)
            return
        values = [(w.variable, scope.get_current_value(w.variable)) for w in covered]
    for variable, value in values:
        if id(variable) in sweep.factors:
            variable.assign(value)
    walk.factors |= sweep.factors
    walk.failed |= sweep.failed


def _notes(walk: Walk, measured: list[str]) -> tuple[str, ...]:
    if not measured:
        return ()
    unknown = [x for calls in walk.outputs.values() for x in calls if isinstance(x, Unknown)]
    reasons = list(dict.fromkeys(x.reason for x in unknown)) or ["they were not reached"]
    return (
        "Measured on inputs drawn at random, since theory does not know what reaches them: "
        f"{', '.join(measured)}. Reason: {'; '.join(reasons)}.",
    )


def _scatter(model: Any, walk: Walk) -> list[str]:
    """How far single networks lie from theory, where that is more than a factor of three."""
    found = {
        node.path: max((x.deviation for x in calls if isinstance(x, State)), default=0.0)
        for node in graph.layers(model)
        if (calls := walk.outputs.get(id(node.layer)))
    }
    worst = max(found, key=lambda path: found[path], default="")
    if not worst or found[worst] < log(3) ** 2:
        return []
    return [
        f"Theory is of the mean over networks: at {worst} two of three of this width lie within a "
        f"factor of {exp(min(found[worst], 100.0) ** 0.5):.2g} of its median. `calibrate` is exact."
    ]


def _words(factors: list[float], measured: bool) -> str:
    numbers = ", ".join(f"{factor:.4g}" for factor in factors)
    return f"times {numbers}" + (", measured" if measured else "")
