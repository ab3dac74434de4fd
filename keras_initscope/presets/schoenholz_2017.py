"""Where a deep tanh network trains: up to about six correlation lengths, hence near criticality.

Weights of variance sw2 / n and biases of variance .05. Below sw2 = 1.761 a layer makes any two
images more alike (order), above it less (chaos); either way what tells them apart decays as
exp(-depth / xi_c), and the gradient vanishes or explodes. At the critical point xi_c is infinite.
So the accuracy of trained networks, drawn over sw2 and depth, is high under a tent whose pole
stands where theory says, and whose cloth is a multiple of xi_c.

Schoenholz et al., 2017, "Deep information propagation" (arXiv:1611.01232), sections 3 and 5, find
that networks train to 6 xi_c layers. Here they have 128 units and 500 steps of SGD with momentum on
the digits, at their learning rate of .001. The chaotic side of the tent is narrow: at sw2 = 2.25
and 4 half of the images are named at 5.3 and 6.0 xi_c from seed 0, at 5.9 and 6.9 from seed 7. The
ordered side scatters from one network to another, since all of it hangs on one draw and the
gradient is small, not torn: at sw2 = 1 between some 8 and 10 xi_c, at 1.4 100 layers (9.3 xi_c)
came to .18 from seed 0 and to .76 from seed 7. So of that side the map is to be seen, and claimed
only where it is plain.

With batches of 32 or 64 the accuracy of 100 critical layers rose for some 200 steps and fell again,
to .11 with 32, where 60 layers had .93. With batches of 128 it comes to .94 and .89.

All weight variances of a depth are trained as one model, from the same draw in different sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import Annotated

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial, drawn_batches
from keras_initscope.presets.phase_picture import Phases, draw_phases
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.side_by_side import (
    Shape,
    Weights,
    accuracies,
    draw_weights,
    model_of_many,
    model_of_one,
)
from keras_initscope.theory.criticality import Criticality, criticality
from keras_initscope.theory.nonlinearities import nonlinearity

BIAS_VARIANCE = 0.05
CRITICAL = 1.76  # as near as the grid comes to 1.76095
ORDERED, CHAOTIC = 1.0, (2.25, 4.0)
DEEPEST = 100
BATCH = 128
LEARNING_RATE, MOMENTUM = 0.001, 0.9
#: Depths, and weight variances, of the coarse grid and of the fine one.
_FEW_DEPTHS, _FEW_VARIANCES = (32, 47, DEEPEST), (ORDERED, CRITICAL, *CHAOTIC)
DEPTHS = (10, 15, 22, 32, 47, 68, DEEPEST)
VARIANCES = (1.0, 1.2, 1.4, 1.5, 1.62, CRITICAL, 1.9, 2.05, 2.25, 2.6, 3.0, 3.5, 4.0)

Width = Annotated[int, Interval(low=2)]
Count = Annotated[int, Interval(low=1)]
Depths = Annotated[tuple[int, ...], Interval(low=2)]
Variances = Annotated[tuple[float, ...], Interval(low=0.01)]


def theory(weight_variance: float | None = None) -> Criticality:
    """What mean-field theory says at a weight variance, or at the critical one."""
    return criticality(nonlinearity("tanh"), BIAS_VARIANCE, weight_variance)


def half_depth(rows: Sequence[Row], weight_variance: float) -> float:
    """Depth at which the accuracy falls through one half, between the depths of the table.

    Infinite where it never falls, 0 where it never is above.
    """
    mine = sorted(
        (float(row["depth"]), float(row["accuracy"]))
        for row in rows
        if row["weight_variance"] == weight_variance
    )
    above = [number for number, (_, accuracy) in enumerate(mine) if accuracy >= 0.5]
    if not above or above[-1] + 1 == len(mine):
        return float("inf") if above else 0.0
    (left, high), (right, low) = mine[above[-1] : above[-1] + 2]
    return float(left + (right - left) * (high - 0.5) / (high - low))


def _accuracy(weight_variance: float, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"accuracy of {DEEPEST} layers at sw2 = {weight_variance:g}",
        source=source,
        interval=interval,
        measure=cell("accuracy", depth=DEEPEST, weight_variance=weight_variance),
    )


def _tent(weight_variance: float) -> Expectation:
    xi = theory(weight_variance).xi_c
    return Expectation(
        claim=f"depth of accuracy .5 over xi_c = {xi:.4g}, at sw2 = {weight_variance:g}",
        source="about 6 in the paper",
        interval=Interval(low=5, high=12),
        measure=lambda rows: half_depth(rows, weight_variance) / xi,
    )


_EXPECTS = [
    _accuracy(CRITICAL, Interval(low=0.8), "critical: xi_c is infinite"),
    _accuracy(2.25, Interval(high=0.6), "100 layers are 6.6 xi_c"),
    _accuracy(ORDERED, Interval(high=0.2), "100 layers are 27.5 xi_c"),
    _accuracy(4.0, Interval(high=0.2), "100 layers are 14.3 xi_c"),
    *(_tent(weight_variance) for weight_variance in CHAOTIC),
]


def _networks(
    width: int, steps: int, depths: Sequence[int], variances: Sequence[float]
) -> Networks:
    def network(depth: int, variance: float, seed: int) -> Trial:
        weights = sized(_unit_weights(Shape(64, depth, width), seed), variance)
        return Trial(model_of_one(weights, "tanh", _optimizer()), digits(seed), steps, BATCH)

    return {
        f"{depth} layers, sw2 = {variance:g}": partial(network, depth, variance)
        for depth in depths
        for variance in variances
    }


@preset(
    "schoenholz-2017",
    networks=_networks,
    quick={"depths": _FEW_DEPTHS, "variances": _FEW_VARIANCES},
    expects=_EXPECTS,
)
def schoenholz_2017(
    run: Run,
    width: Width = 128,
    steps: Count = 500,
    seeds: Count = 1,
    depths: Depths = DEPTHS,
    variances: Variances = VARIANCES,
) -> Outcome:
    """Which tanh networks train, over depth and weight variance: those near the critical line.

    `xi_c` is the correlation length that theory predicts, in layers.
    """
    depths, variances = tuple(sorted(set(depths))), tuple(sorted(set(variances)))
    found = {depth: _trained(run, depth, variances, width, steps, seeds) for depth in depths}
    rows: list[Row] = [
        {
            "weight_variance": variance,
            "depth": depth,
            "accuracy": float(found[depth][:, number].mean()),
            "lowest": float(found[depth][:, number].min()),
            "xi_c": theory(variance).xi_c,
        }
        for number, variance in enumerate(variances)
        for depth in depths
    ]
    means = np.array([found[depth].mean(axis=0) for depth in depths])
    title = f"tanh networks of {width} units, biases of variance {BIAS_VARIANCE:g}"
    phases = Phases(
        across=variances,
        depths=depths,
        accuracy=means,
        critical=theory().critical_weight_variance,
        line=_six_lengths(variances),
        label="weight variance times fan-in, sw2",
        line_label="six correlation lengths, 6 xi_c",
    )
    return Outcome(rows=rows, files=[draw_phases(run.log_dir / "phases.png", title, phases)])


def _six_lengths(variances: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ends = np.log(variances[0]) - 0.2, np.log(variances[-1]) + 0.2
    where = np.exp(np.linspace(*ends, 81))
    return where, np.array([theory(float(each)).trainable_depth for each in where])


def _trained(
    run: Run, depth: int, variances: Sequence[float], width: int, steps: int, seeds: int
) -> NDArray[np.float64]:
    """`(seeds, variances)`: the accuracies of all networks of a depth, trained as one model."""
    networks = [
        sized(unit, variance)
        for seed in range(run.seed, run.seed + seeds)
        for unit in [_unit_weights(Shape(64, depth, width), seed)]
        for variance in variances
    ]
    run.progress(f"{len(networks)} networks of {depth} layers, {steps} steps")
    data = digits(run.seed)
    order = drawn_batches(len(data.train_x), steps, BATCH, run.seed)
    model = model_of_many(networks, "tanh", _optimizer())
    x, y = data.train_x[order], data.train_y[order]
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    return np.reshape(accuracies(model, data), (seeds, len(variances)))


def _optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)


def _unit_weights(shape: Shape, seed: int) -> Weights:
    """Kernels of variance 1 / n and biases of the variance of all networks."""
    generator = keras.random.SeedGenerator(seed)
    kernel = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal", generator)
    bias = keras.initializers.RandomNormal(0.0, sqrt(BIAS_VARIANCE), generator)
    return draw_weights(shape, kernel, bias)


def sized(unit: Weights, weight_variance: float) -> Weights:
    """The same draw with kernels of another variance."""
    factor = np.float32(sqrt(weight_variance))
    return Weights(*((factor * kernel, bias) for kernel, bias in unit))
