"""Rectifiers with a negative side, on MNIST-1D: five layers of 100 units, Adam, 1500 steps.

`elu-2015`, after Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
exponential linear units". An ELU's units come closer to zero mean than a ReLU's: their mean is half
as large beside their standard deviation. It tells more of the signals apart that it has not seen.

`rrelu-2015`, after Xu, Wang, Chen and Li, "Empirical evaluation of rectified activations". A slope
of .01 for negative inputs is next to none, and helps next to nothing; that of 1/5.5 does, and so
does one that is drawn at random for each element and step from U(1/8, 1/3), or learnt (PReLU). Some
articles take U(0, 1) for it: that trains badly, down to a lower accuracy on the training signals
themselves, since a slope near 1 makes a unit linear and one near 0 does not, at random.

The papers' networks and images are far larger, and so are their numbers; none of them is a target
here. Accuracies are means over the last third of the training, since from step to step they go up
and down by as much as ELU is better than ReLU, and over seeds. What is left of that scatter in the
difference of two rectifiers is .008 to .014 for one seed, and their mean differences are .035 to
.042: the expectations stay three standard errors of two seeds below, or more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.layers import RReLU
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Networks, Trial, drawn_batches
from keras_initscope.presets.findings import findings, nothing_is_found
from keras_initscope.presets.losses import BatchLosses
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.sources import MNIST1D, Source
from keras_initscope.presets.training import accuracy, compiled

DEPTH, WIDTH = 5, 100
BATCH = 100
LEARNING_RATE = 3e-3
_TOGETHER = 25  # steps in one execution, which is faster; their mean loss is drawn
_EVERY = 50  # steps from one look at the accuracies to the next
#: Name to what makes the activation layer, from a seed.
ACTIVATIONS: Mapping[str, Callable[[int], keras.Layer]] = {
    "relu": lambda seed: keras.layers.ReLU(),
    "elu": lambda seed: keras.layers.ELU(),
    "leaky 0.01": lambda seed: keras.layers.LeakyReLU(negative_slope=0.01),
    "leaky 1/5.5": lambda seed: keras.layers.LeakyReLU(negative_slope=1 / 5.5),
    "prelu": lambda seed: keras.layers.PReLU(keras.initializers.Constant(0.25)),
    "rrelu 1/8..1/3": lambda seed: RReLU(seed=seed),
    "rrelu 0..1": lambda seed: RReLU(0.0, 1.0, seed=seed),
}
_ELU = ("relu", "elu")
_LEAKY = tuple(name for name in ACTIVATIONS if name != "elu")

Count = Annotated[int, Interval(low=1)]
Steps = Annotated[int, Interval(low=50)]


class Training(NamedTuple):
    """One network, trained.

    Args:
        train: Accuracy on the signals that it learns from, mean over the last third of the steps.
        test: Accuracy on others, likewise.
        offset: Size of an activation layer's mean over its standard deviation, mean over layers.
        losses: Means over the batches of an execution.
    """

    train: float
    test: float
    offset: float
    losses: NDArray[np.float64]


def _difference(column: str, activation: str, other: str, low: float, source: str) -> Expectation:
    def measure(rows: Sequence[Row]) -> float:
        here, there = (cell(column, activation=name)(rows) for name in (activation, other))
        return here - there

    return Expectation(
        claim=f"{column} of {activation} less that of {other}",
        source=source,
        interval=Interval(low=low),
        measure=measure,
    )


def _offsets(rows: Sequence[Row]) -> float:
    elu, relu = (cell("offset", activation=name)(rows) for name in ("elu", "relu"))
    return elu / relu


_OF_ELU = [
    _difference("test", "elu", "relu", 0.015, "units nearer to zero mean"),
    Expectation(
        claim="mean over standard deviation of activations, elu over relu",
        source="an ELU gives down to -1, a ReLU nothing below 0",
        interval=Interval(high=0.7),
        measure=_offsets,
    ),
    *(nothing_is_found("He's weights", activation=name) for name in ("elu", "relu")),
]
_OF_RRELU = [
    _difference("test", "rrelu 1/8..1/3", "relu", 0.02, "random slopes regularize"),
    _difference("test", "leaky 1/5.5", "relu", 0.005, "a slope that is felt"),
    _difference(
        "train", "leaky 1/5.5", "rrelu 0..1", 0.1, "random slopes up to 1 keep it from learning"
    ),
    nothing_is_found("He's weights", activation="rrelu 1/8..1/3"),
]


def _networks(activations: Sequence[str], steps: int, data: Source) -> Networks:
    def trial(name: str, seed: int) -> Trial:
        loaded = data.load(seed)
        model = compiled(network(name, loaded, seed), keras.optimizers.Adam(LEARNING_RATE))
        return Trial(model, loaded, steps, BATCH)

    return {name: partial(trial, name) for name in activations}


def _elu_networks(steps: int, data: Source) -> Networks:
    return _networks(_ELU, steps, data)


def _leaky_networks(steps: int, data: Source) -> Networks:
    return _networks(_LEAKY, steps, data)


@preset("elu-2015", quick={"seeds": 2}, expects=_OF_ELU, networks=_elu_networks)
def elu_2015(run: Run, steps: Steps = 1500, seeds: Count = 5, data: Source = MNIST1D) -> Outcome:
    """ELU beside ReLU on MNIST-1D: units nearer to zero mean, and fewer errors.

    `offset` is the size of the mean of an activation layer over its standard deviation, on the test
    signals after training; `findings` are those of the start.
    """
    return _outcome(run, _ELU, steps, seeds, data)


@preset("rrelu-2015", quick={"seeds": 2}, expects=_OF_RRELU, networks=_leaky_networks)
def rrelu_2015(run: Run, steps: Steps = 1500, seeds: Count = 5, data: Source = MNIST1D) -> Outcome:
    """Leaky rectifiers on MNIST-1D, with slopes fixed, learnt and random: which of them help.

    `offset` is the size of the mean of an activation layer over its standard deviation, on the test
    signals after training; `findings` are those of the start.
    """
    return _outcome(run, _LEAKY, steps, seeds, data)


def _outcome(run: Run, activations: Sequence[str], steps: int, seeds: int, data: Source) -> Outcome:
    loaded = data.load(run.seed)
    rows: list[Row] = []
    found: dict[str, list[Training]] = {}
    for name in activations:
        first = findings(network(name, loaded, run.seed), loaded.train_x)
        found[name] = [_trained(name, data, run.seed + number, steps) for number in range(seeds)]
        rows.append({"activation": name, **_columns(found[name]), "findings": first})
        run.progress(f"{name:14}  test accuracy {rows[-1]['test']:.3f}")
    return Outcome(rows=rows, files=[_picture(run, found)])


def _picture(run: Run, found: Mapping[str, Sequence[Training]]) -> Path:
    losses, points = {}, {}
    for name, trained in found.items():
        mean = np.mean([each.losses for each in trained], axis=0)
        steps = range(_TOGETHER, _TOGETHER * (len(mean) + 1), _TOGETHER)
        losses[name] = Curve(measured=(steps, mean))
        seeds = ([each.offset for each in trained], [each.test for each in trained])
        points[name] = Curve(measured=seeds, joined=False)
    panels = [
        Panel(
            "Learning, mean over seeds", "training step", f"loss of {_TOGETHER} steps", losses, "y"
        ),
        Panel(
            "After training, one point a seed",
            "mean of activations over their deviation",
            "test accuracy",
            points,
        ),
    ]
    return draw_curves(run.log_dir / "rectifiers.png", "Rectifiers on MNIST-1D", panels)


def network(activation: str, data: Data, seed: int) -> keras.Sequential:
    """Five hidden layers with He's weights and a logit for each digit."""
    kernels = keras.initializers.HeNormal(seed=keras.random.SeedGenerator(seed))
    dense = partial(keras.layers.Dense, kernel_initializer=kernels)
    model = keras.Sequential([keras.Input((data.features,))])
    for number in range(DEPTH):
        model.add(dense(WIDTH, name=f"hidden_{number + 1}"))
        model.add(ACTIVATIONS[activation](seed * DEPTH + number))
    model.add(dense(data.classes, name="logits"))
    return model


def _trained(activation: str, source: Source, seed: int, steps: int) -> Training:
    """On batches drawn at random."""
    data = source.load(seed)
    model = network(activation, data, seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, loss, jit_compile=False, steps_per_execution=_TOGETHER)
    drawn = drawn_batches(len(data.train_x), steps, BATCH, seed)
    losses, accuracies = BatchLosses(), _Accuracies(data, steps)
    model.fit(
        data.train_x[drawn],
        data.train_y[drawn],
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[losses, accuracies],
    )
    train, test = np.mean(accuracies.values, axis=0)
    return Training(train, test, _offset(model, data), np.array(losses.values))


class _Accuracies(keras.callbacks.Callback):
    """Keeps training and test accuracy, now and then in the last third of the steps."""

    def __init__(self, data: Data, steps: int) -> None:
        super().__init__()
        self._data, self._steps = data, steps
        self.values: list[tuple[float, float]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, if it is time."""
        to_go = max(0, self._steps - 1 - batch)  # the last execution may be shorter
        if to_go % _EVERY == 0 and 3 * to_go <= self._steps:
            train = accuracy(self.model, self._data.train_x, self._data.train_y)
            test = accuracy(self.model, self._data.test_x, self._data.test_y)
            self.values.append((train, test))


def _offset(model: keras.Sequential, data: Data) -> float:
    found = []
    seen: Any = data.test_x
    for layer in model.layers[:-1]:
        seen = layer(seen)
        if not isinstance(layer, keras.layers.Dense):
            values = keras.ops.convert_to_numpy(seen)
            found.append(abs(float(values.mean())) / float(values.std()))
    return float(np.mean(found))


def _columns(trained: Sequence[Training]) -> dict[str, Any]:
    numbers = {
        name: float(np.mean([getattr(each, name) for each in trained]))
        for name in ("train", "test", "offset")
    }
    return {"seeds": len(trained), **numbers}
