"""A plain tanh network of a thousand layers that plain gradient descent trains.

At the critical point `Var w n = 1 / E f'(z)^2` squared gradients keep their size from layer to
layer in the mean, whatever the distribution of the weights; biases of the variance that belongs to
it keep preactivations at q*. At q* = .01 a tanh is next to linear, and what is left to go wrong is
the product of a thousand matrices. That of orthogonal ones is orthogonal: images keep lengths and
angles (dynamical isometry). That of Gaussian ones of width 64 has one direction in the end: the
singular values of the product move apart by a factor a layer, and all images come to lie on one
line, so that no last layer can tell ten digits apart. The column `one_direction` is the share of
the mean square along that line.

Seeds 0, 1 and 2 give accuracies of .975, .944 and .953, Gaussian weights .078, .089 and .103. The
quick protocol takes 600 of the 1000 steps: 500 give .947, .925 and .942 from those seeds, and 300
.89 from one.

There are no shortcuts, no normalization and no momentum. The thousand layers are one loop,
`ScannedDense`: traced one by one, they would take longer to trace than to train.

Sources: Pennington et al., 2017, [Resurrecting the sigmoid in deep learning through dynamical
isometry](https://arxiv.org/abs/1711.04735), which trains tanh networks of 200 layers; Schoenholz et
al., 2017, [Deep information propagation](https://arxiv.org/abs/1611.01232), for the critical line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.loss_picture import draw_loss_picture
from keras_initscope.presets.losses import BatchLosses
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.scanned import ScannedDense
from keras_initscope.presets.sources import DIGITS, Source
from keras_initscope.presets.training import BATCH, compiled, train
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

Q = 0.01
GAUSSIAN, ORTHOGONAL = "gaussian", "orthogonal"
#: Name to what makes the initializer of a square kernel of so much weight variance and width.
KERNELS: Mapping[str, Callable[[float, int, int], Any]] = {
    GAUSSIAN: lambda weights, width, seed: keras.initializers.RandomNormal(
        stddev=sqrt(weights / width), seed=seed
    ),
    ORTHOGONAL: lambda weights, width, seed: keras.initializers.Orthogonal(sqrt(weights), seed),
}

Count = Annotated[int, Interval(low=1)]
Steps = Annotated[int, Interval(low=50)]
Rate = Annotated[float, Interval(low=1e-9)]


class Attempt(NamedTuple):
    """One training: the loss of each batch, the outcome, and two looks at the last hidden layer.

    Args:
        losses: Of the batches, before their steps.
        accuracy: On the test images, between 0 and 1.
        signal: Mean square before training, over that of the inputs.
        one_direction: Share of it along the direction that has most of it.
    """

    losses: NDArray[np.float64]
    accuracy: float
    signal: float
    one_direction: float


def _claim(network: str, column: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"{column} of {network} weights",
        source=source,
        interval=interval,
        measure=cell(column, weights=network),
    )


_EXPECTS = [
    _claim(ORTHOGONAL, "lowest", Interval(low=0.9), "lengths and angles are kept"),
    _claim(GAUSSIAN, "accuracy", Interval(high=0.15), "images come to lie on one line"),
    _claim(ORTHOGONAL, "signal", Interval.around(1.0, relative=0.1), "preactivations stay at q*"),
    _claim(ORTHOGONAL, "one_direction", Interval(high=0.25), "that of the images, about .15"),
    _claim(GAUSSIAN, "one_direction", Interval(low=0.5), "most of it lies on one line"),
]


def _model(kind: str, depth: int, seed: int, width: int, classes: int) -> keras.Sequential:
    """Inputs of unit mean square come in at that of the activations behind a layer at q*."""
    tanh = nonlinearity("tanh")
    point = critical_line(tanh, Q)
    normal = keras.initializers.RandomNormal
    stack = ScannedDense(
        depth,
        "tanh",
        use_bias=True,
        kernel_initializer=KERNELS[kind](float(point.weight_variance), width, seed),
        bias_initializer=normal(stddev=sqrt(point.bias_variance), seed=seed + 1),
        name="hidden",
    )
    head = keras.initializers.LecunNormal(seed=seed + 2)
    logits = keras.layers.Dense(classes, kernel_initializer=head, name="logits")
    size = keras.layers.Rescaling(sqrt(float(second_moment(tanh, Q))), name="size")
    return keras.Sequential([keras.Input((width,)), size, stack, logits])


def _trial(
    kind: str, depth: int, steps: int, learning_rate: float, data: Source, seed: int
) -> Trial:
    examples = data.load(seed)
    model = _model(kind, depth, seed, examples.features, examples.classes)
    compiled(model, keras.optimizers.SGD(learning_rate))
    return Trial(model, examples, steps, BATCH, in_turn=True)


def _networks(depth: int, steps: int, learning_rate: float, data: Source) -> Networks:
    return {kind: partial(_trial, kind, depth, steps, learning_rate, data) for kind in KERNELS}


@preset(
    "thousand-layers",
    quick={"seeds": 1, "steps": 600},
    expects=_EXPECTS,
    networks=_networks,
)
def thousand_layers(
    run: Run,
    depth: Count = 1000,
    steps: Steps = 1000,
    learning_rate: Rate = 3e-4,
    seeds: Count = 3,
    data: Source = DIGITS,
) -> Outcome:
    """A plain tanh network of 1000 layers trains from orthogonal weights, not from Gaussian ones.

    The layers are as wide as the examples, 64 for the digits. Of the columns, `signal` and
    `one_direction` are of the start; all but `lowest` are means over the seeds.
    """
    rows: list[Row] = []
    losses: dict[str, list[NDArray[np.float64]]] = {}
    for kind, build in _networks(depth, steps, learning_rate, data).items():
        attempts = []
        for seed in range(run.seed, run.seed + seeds):
            attempts.append(_attempt(build(seed)))
            run.progress(f"{kind:10}  seed {seed}, accuracy {attempts[-1].accuracy:.3f}")
        rows.append(_row(kind, attempts))
        losses[kind] = [attempt.losses for attempt in attempts]
    title = "Plain gradient descent, from two kinds of weights"
    picture = draw_loss_picture(run.log_dir / "loss.png", title, {f"{depth} tanh layers": losses})
    return Outcome(rows=rows, files=[picture])


def _attempt(trial: Trial) -> Attempt:
    model, losses = trial.model, BatchLosses()
    signal, one_direction = _look(model, trial.data.train_x)
    reached = train(model, trial.data, trial.steps, model.optimizer, [losses])
    return Attempt(np.array(losses.values), reached, signal, one_direction)


def _look(model: keras.Sequential, x: NDArray[np.float32]) -> tuple[float, float]:
    """Of the last hidden layer: the mean square over that of the inputs, and its `one_direction`.

    Squared singular values sum to the sum of the squares.
    """
    size, hidden, _ = model.layers
    first = keras.ops.convert_to_numpy(size(x)).astype("float64")
    last = keras.ops.convert_to_numpy(hidden(size(x))).astype("float64")
    squares = np.linalg.svd(last, compute_uv=False) ** 2
    total = float(np.sum(squares))
    return total / float(np.sum(first**2)), float(squares[0]) / total if total else 1.0


def _row(kind: str, attempts: list[Attempt]) -> Row:
    accuracies = [attempt.accuracy for attempt in attempts]
    return {
        "weights": kind,
        "seeds": len(attempts),
        "accuracy": float(np.mean(accuracies)),
        "lowest": min(accuracies),
        "final_loss": float(np.mean([np.mean(attempt.losses[-20:]) for attempt in attempts])),
        "signal": float(np.mean([attempt.signal for attempt in attempts])),
        "one_direction": float(np.mean([attempt.one_direction for attempt in attempts])),
    }
