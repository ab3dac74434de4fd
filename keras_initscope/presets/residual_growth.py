"""What residual blocks add up to: plain sums double, scaled ones do not.

A block adds a branch f to what it receives, x + f(x), and He's weights give the branch the mean
square of x. So the sum has twice of it, and after ten blocks it is 2^10 = 1024 times that in front
of the first. The gradient grows alike on its way back. Two remedies keep both: dividing each sum by
sqrt(2), which fades the path past the blocks, or scaling the branches by 1 / sqrt(L) with L blocks.
Then a block multiplies the mean square by 1 + 1/L, and all of them by (1 + 1/L)^L = 2.594 for
L = 10, never by more than e.

The blocks are pre-activation ones, x + W relu(x), without normalization. The rule F2 speaks of a
mean square that grows by more than e^6 over the depth, which ten blocks are at the edge of; so it
is asked about sixteen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np

from keras_initscope.presets.data import noise
from keras_initscope.presets.depth_picture import draw_depth_picture
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell

BLOCKS, WIDTH, EXAMPLES = 10, 256, 64
DEEPER = 16


class Sum(NamedTuple):
    """How a block adds: factors of the branch and of the sum, for so many blocks."""

    branch: Callable[[int], float]
    total: Callable[[int], float]

    def growth(self, blocks: int) -> float:
        """Theory: of the mean square, over all blocks."""
        return float((self.total(blocks) ** 2 * (1 + self.branch(blocks) ** 2)) ** blocks)


SUMS: Mapping[str, Sum] = {
    "plain": Sum(lambda blocks: 1.0, lambda blocks: 1.0),
    "sum / sqrt 2": Sum(lambda blocks: 1.0, lambda blocks: sqrt(0.5)),
    "branch / sqrt L": Sum(lambda blocks: 1 / sqrt(blocks), lambda blocks: 1.0),
}

Count = Annotated[int, Interval(low=1)]

_EXPECTS = [
    *(
        Expectation(
            claim=f"growth of the mean square over {BLOCKS} blocks, {name}",
            source=f"theory {each.growth(BLOCKS):.4g}",
            interval=Interval.around(each.growth(BLOCKS), relative=0.3),
            measure=cell("growth", sum=name),
        )
        for name, each in SUMS.items()
    ),
    is_found("F2", f"2^{DEEPER} over {DEEPER} blocks", sum="plain"),
    nothing_is_found("1 at each block", sum="sum / sqrt 2"),
    nothing_is_found("less than e over all blocks", sum="branch / sqrt L"),
]


def _networks() -> Networks:
    def trial(how: Sum, seed: int) -> Trial:
        return Trial(_model(how, seed), noise(WIDTH, EXAMPLES, seed))

    return {name: partial(trial, each) for name, each in SUMS.items()}


def _model(how: Sum, seed: int) -> keras.Model:
    inputs, sums = _sums(how, DEEPER, seed)
    return keras.Model(inputs, sums[-1])


@preset("residual-growth", expects=_EXPECTS, networks=_networks)
def residual_growth(run: Run, draws: Count = 20) -> Outcome:
    """Residual blocks at initialization: plain sums double at each block, scaled ones do not.

    `growth` is the mean over draws of networks of ten blocks, `findings` those of one of sixteen.
    """
    rows: list[Row] = []
    lines: dict[str, list[float]] = {}
    for name, each in SUMS.items():
        run.progress(f"{draws} networks of {BLOCKS} blocks, {name}")
        squares = [_mean_squares(each, run.seed * draws + number) for number in range(draws)]
        lines[name] = [float(square) for square in np.mean(squares, axis=0)]
        rows.append(
            {
                "sum": name,
                "growth": lines[name][-1],
                "theory": each.growth(BLOCKS),
                "median": float(np.median([line[-1] for line in squares])),
                "findings": findings(_model(each, run.seed), _inputs(run.seed)),
            }
        )
    panels = {"mean square of the sum": {"x + W relu(x), before training": lines}}
    picture = run.log_dir / "growth.png"
    draw_depth_picture(picture, "Residual networks", panels, across="block")
    return Outcome(rows=rows, files=[picture])


def _inputs(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(EXAMPLES, WIDTH)).astype("float32")


def _sums(how: Sum, blocks: int, seed: int) -> tuple[Any, list[Any]]:
    """Inputs, what a stem makes of them that keeps the mean square, and the sum of each block."""
    generator = keras.random.SeedGenerator(seed)

    def dense(gain: float) -> keras.layers.Dense:
        kernels = keras.initializers.VarianceScaling(gain, seed=generator)
        return keras.layers.Dense(WIDTH, use_bias=False, kernel_initializer=kernels)

    inputs = keras.Input((WIDTH,))
    sums = [dense(1.0)(inputs)]
    for _ in range(blocks):
        branch = dense(2.0)(keras.layers.ReLU()(sums[-1]))
        scaled = keras.layers.Rescaling(how.branch(blocks))(branch)
        total = keras.layers.Add()([sums[-1], scaled])
        sums.append(keras.layers.Rescaling(how.total(blocks))(total))
    return inputs, sums


def _mean_squares(how: Sum, seed: int) -> list[float]:
    """Of the sums, block by block, that of the stem being 1."""
    inputs, sums = _sums(how, BLOCKS, seed)
    outputs = keras.Model(inputs, sums)(_inputs(seed))
    squares = [float(np.mean(np.square(keras.ops.convert_to_numpy(each)))) for each in outputs]
    return [square / squares[0] for square in squares[1:]]
