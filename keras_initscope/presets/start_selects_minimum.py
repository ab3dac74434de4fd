"""The same network and the same data: the start alone selects the minimum.

Articles say so of initialization, and it is what is left when nothing else is random: all examples
are in every step, so that order plays no part. A network of two layers of 12 tanh units learns two
noisy spirals from several starts. The same start twice ends at the same weights, to the last bit.
Different starts end at different ones: no nearer to each other than vectors drawn at random, with a
wall of loss between any two of them, and another class for a share of the plane.

Units can be renamed without a change, so that distance and wall may be a matter of names, and what
articles leave out is that in part they are. Where the units of one network are matched to those of
the other, the lowest wall of all pairs falls from .7 to 3 down to .004 to .12 from Xavier's weights
(two names of one minimum, at the least), and to .2 to .7 from weights six times as large; walls of
.9 and more remain for other pairs. All this is from five seeds of data, with four starts each.

A factor on the weights at the start selects as well. From Xavier's weights the network must build
its features, and moves by a few times the length of its weights; from weights six times as large it
finds a solution close by (Chizat et al., 2019, call it lazy), fits the training points more closely
and gives the test points a larger loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_initscope.model_init import reinitialize
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.solutions import (
    Weights,
    along,
    barrier,
    distance,
    flat,
    matched,
    outputs,
)
from keras_initscope.presets.spirals import spirals

WIDTH, EXAMPLES = 12, 300
#: Factors on the weights that Xavier's variance gives.
SCALES = (1.0, 6.0)
_POINTS = 21  # of a line
_SIDE = np.linspace(-2.5, 2.5, 70, dtype="float32")
PLANE = np.stack(np.meshgrid(_SIDE, _SIDE), axis=-1).reshape(-1, 2)
_DRAWN = 5
_COLORS = ("#0072B2", "#D55E00")

Count = Annotated[int, Interval(low=1)]
Several = Annotated[int, Interval(low=2)]


class Solution(NamedTuple):
    """Where a training ends.

    Args:
        weights: As `get_weights` gives them.
        losses: On the training and on the test points.
        moved: Distance from the start, over the length of the start.
        classes: Of a grid of points in the plane.
    """

    weights: Weights
    losses: tuple[float, float]
    moved: float
    classes: NDArray[np.int64]


def _claim(column: str, scale: float, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"{column}, factor {scale:g}",
        source=source,
        interval=interval,
        measure=cell(column, scale=scale),
    )


def _ratio(column: str, interval: Interval, source: str) -> Expectation:
    one, other = SCALES
    return Expectation(
        claim=f"{column}, factor {other:g} over factor {one:g}",
        source=source,
        interval=interval,
        measure=lambda rows: cell(column, scale=other)(rows) / cell(column, scale=one)(rows),
    )


_EXPECTS = [
    *(
        claim
        for scale in SCALES
        for claim in (
            _claim("same_start", scale, Interval.around(0.0), "nothing else is random"),
            _claim("nearest", scale, Interval(low=1.0), "sqrt(2) of independent directions"),
            _claim(
                "lowest_wall",
                scale,
                Interval(low=0.3),
                "another place each, names of units included",
            ),
            _claim("disagreement", scale, Interval(low=0.005), "not one function"),
        )
    ),
    _claim("highest_wall_matched", 6.0, Interval(low=0.1), "not all is a matter of names"),
    _ratio("moved", Interval(high=0.35), "a solution is close to large weights"),
    _ratio("train_loss", Interval(high=0.5), "large weights fit more closely"),
    _ratio("test_loss", Interval(low=1.0), "and to less purpose"),
]


def data_of(seed: int) -> Data:
    """Spirals of one turn, so few that a network of this size can fit their noise."""
    whole = spirals(seed, noise=0.2, turns=1.0)
    return Data(whole.train_x[:EXAMPLES], whole.train_y[:EXAMPLES], whole.test_x, whole.test_y)


def network() -> keras.Sequential:
    """The network, compiled."""
    hidden = [keras.layers.Dense(WIDTH, "tanh", name=f"hidden_{number}") for number in (1, 2)]
    logits = keras.layers.Dense(2, name="logits")
    model = keras.Sequential([keras.Input((2,)), *hidden, logits])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, steps_per_execution=50, jit_compile=False)
    optimizer.build(model.trainable_variables)
    return model


def _start(model: keras.Sequential, scale: float, seed: int) -> None:
    normal = keras.initializers.VarianceScaling(scale**2, "fan_avg", "truncated_normal")
    reinitialize(model, [("kernel", normal)], seed)
    model.optimizer.learning_rate = 0.1


def _networks(steps: int) -> Networks:
    def trial(scale: float, seed: int) -> Trial:
        model = network()
        _start(model, scale, _seed_of(seed, 0))
        return Trial(model, data_of(seed), steps, EXAMPLES, in_turn=True)

    return {f"factor {scale:g}": partial(trial, scale) for scale in SCALES}


def _seed_of(seed: int, number: int) -> int:
    return 1000 * seed + number


@preset(
    "start-selects-minimum",
    quick={"steps": 1500, "starts": 4},
    expects=_EXPECTS,
    networks=_networks,
)
def start_selects_minimum(run: Run, steps: Count = 3000, starts: Several = 6) -> Outcome:
    """Trains a small network from several starts: each ends somewhere else.

    `nearest` and `lowest_wall` are the least of all pairs of ends; a wall is how far the loss rises
    on the straight line between them, `matched` after the units of one were renamed to resemble
    those of the other. `disagreement` is the share of the plane that two ends give different
    classes; it, losses and `moved` are means.
    """
    data, model = data_of(run.seed), network()
    rows: list[Row] = []
    found: dict[float, list[Solution]] = {}
    lines: dict[float, list[list[float]]] = {}
    for scale in SCALES:
        numbers = [*range(starts), 0]  # the first one twice
        seeds = [_seed_of(run.seed, number) for number in numbers]
        *ends, again = [_solution(model, data, steps, scale, seed) for seed in seeds]
        found[scale], lines[scale] = (
            ends,
            [_line(data, a.weights, b.weights) for a, b in combinations(ends, 2)],
        )
        rows.append({"scale": scale, **_columns(data, ends, again, lines[scale])})
        run.progress(f"factor {scale:g}: lowest wall {rows[-1]['lowest_wall']:.2f}")
    return Outcome(rows=rows, files=[_draw(run.log_dir / "minima.png", data, found, lines)])


def _solution(model: keras.Sequential, data: Data, steps: int, scale: float, seed: int) -> Solution:
    _start(model, scale, seed)
    for variable in model.optimizer.variables[2:]:  # momentum of another training
        variable.assign(keras.ops.zeros_like(variable))
    before = flat(model.get_weights())
    order = Trial(model, data, steps, EXAMPLES, in_turn=True).order(seed)
    x, y = data.train_x[order], data.train_y[order]
    model.fit(x, y, batch_size=EXAMPLES, shuffle=False, verbose=0)
    weights = model.get_weights()
    moved = np.linalg.norm(flat(weights) - before) / np.linalg.norm(before)
    classes = np.argmax(outputs(weights, PLANE), axis=-1)
    return Solution(weights, _losses(weights, data), float(moved), classes)


def _losses(weights: Weights, data: Data) -> tuple[float, float]:
    return _loss(weights, data.train_x, data.train_y), _loss(weights, data.test_x, data.test_y)


def _loss(weights: Weights, x: NDArray[Any], classes: NDArray[Any]) -> float:
    logits = outputs(weights, x)
    right = np.take_along_axis(logits, classes[:, None], axis=1)[:, 0]
    return float(np.mean(np.logaddexp.reduce(logits, axis=1) - right))


def _line(data: Data, first: Weights, second: Weights) -> list[float]:
    return along(first, second, lambda w: _loss(w, data.train_x, data.train_y), _POINTS)


def _columns(
    data: Data, ends: Sequence[Solution], again: Solution, lines: Sequence[list[float]]
) -> dict[str, float]:
    pairs = list(combinations(ends, 2))
    walls = [
        barrier(_line(data, a.weights, matched(a.weights, b.weights, data.train_x)))
        for a, b in pairs
    ]
    train_losses, test_losses = zip(*(each.losses for each in ends), strict=True)
    return {
        "same_start": distance(ends[0].weights, again.weights),
        "nearest": min(distance(a.weights, b.weights) for a, b in pairs),
        "lowest_wall": min(map(barrier, lines)),
        "lowest_wall_matched": min(walls),
        "highest_wall_matched": max(walls),
        "disagreement": float(np.mean([a.classes != b.classes for a, b in pairs])),
        "moved": float(np.mean([each.moved for each in ends])),
        "train_loss": float(np.mean(train_losses)),
        "lowest_train_loss": min(train_losses),
        "highest_train_loss": max(train_losses),
        "test_loss": float(np.mean(test_losses)),
    }


def _draw(
    path: Path,
    data: Data,
    found: dict[float, list[Solution]],
    lines: dict[float, list[list[float]]],
) -> Path:
    """How the ends see the plane, and the loss on the lines between them, a row a factor."""
    columns = min(_DRAWN, min(map(len, found.values())))
    figure = Figure(figsize=(2.5 * columns + 3.8, 5.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(found), columns + 1, width_ratios=[*[1] * columns, 1.4])
    for axes_row, (scale, ends) in zip(grid, found.items(), strict=True):
        for number, (axes, end) in enumerate(zip(axes_row[:-1], ends, strict=False)):
            _draw_plane(axes, data, end)
            axes.set_title(f"start {number + 1}: loss {end.losses[0]:.2g}", fontsize="medium")
        axes_row[0].set_ylabel(f"Xavier times {scale:g}")
        for line in lines[scale]:
            axes_row[-1].plot(np.linspace(0, 1, _POINTS), line, color="#0072B2", alpha=0.5)
        axes_row[-1].set(ylabel="loss", yscale="log", title="between each two of them")
        axes_row[-1].grid(alpha=0.3)
    grid[-1][-1].set_xlabel("from one end to the other")
    figure.suptitle("One network, the same data, no noise in training: each start its own minimum")
    figure.savefig(path, format="png")
    return path


def _draw_plane(axes: Any, data: Data, end: Solution) -> None:
    side = len(_SIDE)
    classes = end.classes.reshape(side, side)
    axes.contourf(_SIDE, _SIDE, classes, levels=[-0.5, 0.5, 1.5], colors=_COLORS, alpha=0.35)
    for number, color in enumerate(_COLORS):
        points = data.train_x[data.train_y == number]
        axes.plot(points[:, 0], points[:, 1], ".", color=color, markersize=2)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set(xlim=(_SIDE[0], _SIDE[-1]), ylim=(_SIDE[0], _SIDE[-1]))
