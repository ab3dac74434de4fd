"""ReLU networks of 10 and 30 layers from Glorot's and from He's weights.

A ReLU halves the mean square of a symmetric signal, so that a layer multiplies it by n Var(w) / 2,
and the gradient on its way back alike. With Glorot's n Var(w) = 1 that is 1/2: 2^-10 of the signal
and of the gradient are left after ten layers, and 2^-30 = 9e-10 after thirty. With He's 2 it is 1.

The paper's networks of 22 layers converge from both; at this size they are split already. Ten
layers are enough to see He's learn faster, to the same accuracy; at thirty Glorot's do not learn.
The learning rate, .002, is one at which both depths train: thirty layers bear little more. At .003
ten layers come to .95 from both, after 36 and 261 steps to half the loss (means over five seeds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import log, sqrt
from typing import Annotated, Any

import numpy as np

from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.loss_picture import draw_loss_picture
from keras_initscope.presets.parameters import Recording
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.retraining import (
    Attempt,
    Plan,
    Trainer,
    columns,
    drawing,
    network,
)
from keras_initscope.presets.sources import DIGITS, Source

DEPTHS = (10, 30)
INITIALIZERS: Mapping[str, str] = {"glorot": "glorot_normal", "he": "he_normal"}
LEARNING_RATE = 0.002

Count = Annotated[int, Interval(low=1)]
Steps = Annotated[int, Interval(low=50)]
Depths = Annotated[tuple[int, ...], Interval(low=2)]


def _accuracy(depth: int, initializer: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"accuracy of {depth} layers with {initializer}",
        source=source,
        interval=interval,
        measure=cell("accuracy", depth=depth, initializer=initializer),
        about={"depth": (depth,)},
    )


def _gain(depth: int, initializer: str, gain: float) -> Expectation:
    """Within four standard errors of one network of width 100: its log scatters by 5/n a layer."""
    return Expectation(
        claim=f"factor of the mean square a layer, {depth} layers with {initializer}",
        source=f"n Var(w) / 2 = {gain}",
        interval=Interval.around(gain, relative=4 * sqrt(5 / 100 / (depth - 1))),
        measure=cell("gain", depth=depth, initializer=initializer),
        about={"depth": (depth,)},
    )


def _ratio(rows: Sequence[Row]) -> float:
    glorot, he = (cell("steps_to_half", depth=10, initializer=name)(rows) for name in INITIALIZERS)
    return glorot / he


_EXPECTS = [
    Expectation(
        claim="steps to half the loss of guessing, 10 layers, glorot over he",
        source="gradients of 2^-10 against 1",
        interval=Interval(low=4),
        measure=_ratio,
        about={"depth": (10,)},
    ),
    _accuracy(10, "he", Interval(low=0.85), "signal and gradient keep their size"),
    _accuracy(10, "glorot", Interval(low=0.8), "2^-10 of the gradient is slow, not hopeless"),
    _accuracy(30, "he", Interval(low=0.85), "signal and gradient keep their size"),
    _accuracy(30, "glorot", Interval(high=0.2), "2^-30 of the gradient is left"),
    *(_gain(depth, "glorot", 0.5) for depth in DEPTHS),
    *(_gain(depth, "he", 1.0) for depth in DEPTHS),
]


def _trainer(depth: int, width: int, data: Source) -> Trainer:
    return Trainer(network("relu", depth, width, data.load(0)), data)


def _trial(depth: int, width: int, data: Source, name: str, steps: int, seed: int) -> Trial:
    initialize = drawing(INITIALIZERS[name])
    return _trainer(depth, width, data).ready(initialize, Plan(steps, LEARNING_RATE, 1), seed)


def _networks(depth: Sequence[int], width: int, steps: int, data: Source) -> Networks:
    return {
        f"{layers} layers, {name}": partial(_trial, layers, width, data, name, steps)
        for layers in depth
        for name in INITIALIZERS
    }


@preset(
    "he-2015",
    quick={"seeds": 1, "record": False},
    expects=_EXPECTS,
    networks=_networks,
)
def he_2015(
    run: Run,
    depth: Depths = DEPTHS,
    width: Count = 100,
    steps: Steps = 600,
    seeds: Count = 3,
    data: Source = DIGITS,
    record: Recording = True,
) -> Outcome:
    """ReLU networks of 10 and 30 layers: He's weights train faster, and then they alone train.

    Of the columns, `gain` and `correlation` are of the start: the factor of the mean square a
    layer, and the mean cosine of two images in the last hidden layer. `steps_to_half` are those to
    half the loss of guessing, all of them where it is not reached.
    """
    plan = Plan(steps, LEARNING_RATE, seeds)
    rows: list[Row] = []
    losses: dict[str, dict[str, Any]] = {}
    for layers in depth:
        trainer = _trainer(layers, width, data)
        for name, initializer in INITIALIZERS.items():
            log_dir = run.log_dir / f"{layers}_layers-{name}" if record else None
            attempts = trainer.attempts(drawing(initializer), plan, run.seed, log_dir)
            rows.append(_row(layers, name, attempts, data))
            losses.setdefault(f"{layers} layers", {})[name] = [each.losses for each in attempts]
            run.progress(f"{layers} layers, {name:6}  accuracy {rows[-1]['accuracy']:.3f}")
    title = "Loss of ReLU networks from Glorot's and from He's weights"
    return Outcome(rows=rows, files=[draw_loss_picture(run.log_dir / "loss.png", title, losses)])


def _row(depth: int, name: str, attempts: list[Attempt], data: Source) -> Row:
    half = log(data.load(0).classes) / 2  # of the loss of guessing
    steps = float(np.mean([attempt.steps_to(half) for attempt in attempts]))
    return {"depth": depth, "initializer": name, **columns(attempts), "steps_to_half": steps}
