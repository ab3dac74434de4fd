"""A ReLU does not saturate, and still it matters whether its inputs have variance 1 or 100.

Articles say that ReLU does not care how large its inputs are. Nor does a unit: what it gives is as
many times as large, f(10 x) = 10 f(x) for a whole network without biases. But the loss cares.
Logits ten times as large are wrong with ten times the certainty, so that the first loss is larger
by almost as much, and the curvature of a squared error is a hundred times as large. That of the
crossentropy, which is flat where it is certain, grows by less: of learning rates by factors of two
the greatest that trains is 8 to 16 times as small (five seeds). At equal small rates the network of
large inputs learns sooner; with the best of all rates for each it names fewer of the images to test
on, by .02 to .05: what starts large changes its features little (see `start-selects-minimum`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import log, sqrt
from typing import Annotated, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial, drawn_batches
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.side_by_side import (
    CLASSES,
    NetworkLosses,
    Shape,
    Weights,
    accuracies,
    draw_weights,
    model_of_many,
    model_of_one,
)

VARIANCES = (1.0, 100.0)
SHAPE = Shape(inputs=64, depth=3, width=128)
RATES = tuple(2.0**power for power in range(-12, 3))
BATCH = 128
_LAST = 20  # steps that a final loss is the mean of

Steps = Annotated[int, Interval(low=_LAST)]


def _of_large(
    column: str, compare: Any, interval: Interval, source: str, words: str
) -> Expectation:
    def measure(rows: Sequence[Row]) -> float:
        one, large = (cell(column, variance=variance)(rows) for variance in VARIANCES)
        return float(compare(large, one))

    return Expectation(
        claim=f"{column}, variance 100 {words} variance 1",
        source=source,
        interval=interval,
        measure=measure,
    )


_EXPECTS = [
    _of_large(
        "logits", np.divide, Interval.around(10.0, relative=1e-3), "f(10 x) = 10 f(x)", "over"
    ),
    _of_large("first_loss", np.divide, Interval(low=4.0), "wrong, and certain of it", "over"),
    _of_large(
        "greatest_rate",
        np.divide,
        Interval(high=0.25),
        "a larger curvature; 1/100 of a squared error",
        "over",
    ),
    _of_large(
        "best_accuracy", np.subtract, Interval(high=0.0), "features that change little", "less"
    ),
]


def _weights(seed: int) -> Weights:
    he = keras.initializers.HeNormal(keras.random.SeedGenerator(seed))
    return draw_weights(SHAPE, he, np.zeros)


def _data(variance: float, seed: int) -> Data:
    data, size = digits(seed), np.float32(sqrt(variance))
    return data._replace(train_x=size * data.train_x, test_x=size * data.test_x)


def _networks(steps: int) -> Networks:
    def trial(variance: float, seed: int) -> Trial:
        optimizer = keras.optimizers.SGD(1 / variance / 4)
        model = model_of_one(_weights(seed), "relu", optimizer)
        return Trial(model, _data(variance, seed), steps, BATCH)

    return {f"variance {variance:g}": partial(trial, variance) for variance in VARIANCES}


@preset("relu-scale", expects=_EXPECTS, networks=_networks)
def relu_scale(run: Run, steps: Steps = 300) -> Outcome:
    """A ReLU network on inputs of variance 1 and of variance 100: loss and learning rate care.

    `logits` is their root mean square before training, `greatest_rate` that of which the network
    still learns, `best_accuracy` that of the best of all rates.
    """
    rows: list[Row] = []
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for variance in VARIANCES:
        name = f"variance {variance:g}"
        run.progress(f"{name}: a network from {len(RATES)} rates, {steps} steps")
        data = _data(variance, run.seed)
        model = model_of_many(
            [_weights(run.seed)] * len(RATES),
            "relu",
            keras.optimizers.SGD(RATES[-1]),
            [rate / RATES[-1] for rate in RATES],
            watched=True,
        )
        logits = ops.convert_to_numpy(model(data.test_x))[:, 0]
        losses, right = _trained(model, data, steps, run.seed)
        curves[name] = losses[-_LAST:].mean(axis=0), right
        rows.append(
            {
                "variance": variance,
                "logits": float(np.sqrt(np.mean(logits**2))),
                "first_loss": float(losses[0, 0]),
                "greatest_rate": _greatest_rate(curves[name][0]),
                "best_accuracy": float(right.max()),
            }
        )
    return Outcome(rows=rows, files=[_picture(run, curves)])


def _trained(
    model: keras.Model, data: Data, steps: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(steps, rates)` losses and `(rates,)` accuracies."""
    told = NetworkLosses()
    order = drawn_batches(len(data.train_x), steps, BATCH, seed)
    x, y = data.train_x[order], data.train_y[order]
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[told])
    return np.array(told.values), accuracies(model, data)


def _greatest_rate(losses: NDArray[np.float64]) -> float:
    """Of those that leave less than half of what knowing nothing costs; 0 where none does."""
    return max(
        (rate for rate, loss in zip(RATES, losses, strict=True) if _learned(loss)), default=0
    )


def _learned(loss: float) -> bool:
    return bool(loss < log(CLASSES) / 2)  # and not, where it is no number


def _picture(
    run: Run, curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> Any:
    """What is not a number has no place."""

    def of(number: int) -> dict[str, Curve]:
        return {
            name: Curve((np.array(RATES)[known], both[number][known]))
            for name, both in curves.items()
            for known in [np.isfinite(both[0])]
        }

    panels = [
        Panel("After training", "learning rate", "loss on training examples", of(0), "xy"),
        Panel("On other images", "learning rate", "test accuracy", of(1), "x"),
    ]
    title = "The same ReLU network, inputs of two sizes"
    return draw_curves(run.log_dir / "rates.png", title, panels)
