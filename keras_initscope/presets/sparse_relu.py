"""Zeros behind a ReLU: how many are meant to be there, and when units are dead.

A ReLU whose preactivation is N(b, s^2) gives zero with probability Phi(-b/s). Half of all values
being zero is what it is for, and .977 are with a bias of two standard deviations below zero: such a
layer is sparse, not ill, since other examples wake other units. Rules that count zeros call it
dead.

`relu-sparsity` shows both: the share of zeros, and that the rule U2 keeps silent for it. U2 asks
for units that are zero for *every* example of the batch, which is so of most units from a bias of
four standard deviations on.

`dying-relu`: a unit at bias b is zero for all of M examples with probability Phi(-b/s)^M, of
M = 200 hardly ever at b = -2 and mostly at b = -3; no gradient comes through it then, and none will
move its weights. Training does the same to a network if its steps are too large: from the same
weights Adam at a learning rate of .3 kills all units of the second and third layer, for good, while
it learns at .003. A leaky rectifier learns even at .3: its slope is nowhere zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import sqrt
from typing import Annotated, Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.training import BATCH, compiled, train
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

INPUTS, WIDTH, EXAMPLES = 512, 512, 200
#: In standard deviations of the preactivation.
BIASES = (0.0, -1.0, -2.0, -4.0)
_AXIS = np.linspace(-4.5, 0.5, 60)

Count = Annotated[int, Interval(low=1)]


def _share_claim(column: str, bias: float, theory: float, absolute: float) -> Expectation:
    return Expectation(
        claim=f"{column} at bias {bias:g}",
        source="Phi(-b)" if column == "zeros" else f"Phi(-b)^{EXAMPLES}",
        interval=Interval.around(theory, absolute=absolute),
        measure=cell(column, bias=bias),
    )


_OF_SPARSITY = [
    *(
        _share_claim("zeros", bias, share, 0.01)
        for bias, share in zip(BIASES, (0.5, 0.8413, 0.9772), strict=False)
    ),
    *(nothing_is_found("sparse, not dead", bias=bias) for bias in BIASES[:3]),
    is_found("U2", f"Phi(4)^{EXAMPLES} = .994 of the units", bias=-4.0),
]


def _sparse_networks() -> Networks:
    def trial(bias: float, seed: int) -> Trial:
        x, classes = _inputs(seed), np.zeros(EXAMPLES, "int64")
        return Trial(_layer(bias, seed, head=True), Data(x, classes, x, classes))

    return {f"bias {bias:g}": partial(trial, bias) for bias in BIASES}


@preset("relu-sparsity", expects=_OF_SPARSITY, networks=_sparse_networks)
def relu_sparsity(run: Run, draws: Count = 10) -> Outcome:
    """A ReLU layer at lower and lower bias: zeros are no fault until they are all there is."""
    rows = [_row(bias, draws, run.seed, ("zeros", "dead")) for bias in BIASES]
    for row in rows:
        network = _layer(float(row["bias"]), run.seed, head=True)
        row["findings"] = findings(network, _inputs(run.seed))
        run.progress(f"bias {row['bias']:4}  zeros {row['zeros']:.4f}, {row['findings']}")
    curves = {"zeros": _curve(rows, "zeros"), "dead units": _curve(rows, "dead")}
    x = "bias in standard deviations"
    panel = Panel(f"ReLU layer, {EXAMPLES} examples", x, "share", curves)
    picture = draw_curves(run.log_dir / "zeros.png", "Sparse and dead units", [panel])
    return Outcome(rows=rows, files=[picture])


def _layer(bias: float, seed: int, *, head: bool = False) -> keras.Sequential:
    """Preactivations N(bias, 1); behind the layer, if asked for, logits of unit variance."""
    generator = keras.random.SeedGenerator(seed)
    square = float(second_moment(nonlinearity("relu"), 1.0, bias))

    def normal(variance: float) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(stddev=sqrt(variance), seed=generator)

    hidden = keras.layers.Dense(
        WIDTH,
        "relu",
        kernel_initializer=normal(1 / INPUTS),
        bias_initializer=keras.initializers.Constant(bias),
    )
    logits = keras.layers.Dense(10, kernel_initializer=normal(1 / WIDTH / square))
    return keras.Sequential([keras.Input((INPUTS,)), hidden, *[logits] * head])


def _inputs(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(EXAMPLES, INPUTS)).astype("float32")


def _row(bias: float, draws: int, seed: int, columns: Sequence[str]) -> dict[str, Any]:
    """Measured and theoretical share of zeros and of units that are zero for all examples."""
    found = []
    for number in range(seed, seed + draws):
        zero = keras.ops.convert_to_numpy(_layer(bias, number)(_inputs(number))) == 0
        found.append((zero.mean(), zero.all(axis=0).mean()))
    zeros, dead = np.mean(found, axis=0)
    share = float(norm.cdf(-bias))
    measured = {"zeros": (float(zeros), share), "dead": (float(dead), share**EXAMPLES)}
    row: dict[str, Any] = {"bias": bias}
    for column in columns:
        row[column], row[f"{column}_theory"] = measured[column]
    return row


def _curve(rows: Sequence[Row], column: str) -> Curve:
    theory = norm.cdf(-_AXIS) ** (1 if column == "zeros" else EXAMPLES)
    points = ([float(row["bias"]) for row in rows], [float(row[column]) for row in rows])
    return Curve(measured=points, theory=(_AXIS, theory), joined=False)


DEADLY = (-2.0, -2.5, -3.0, -3.5)
#: Name to activation and learning rate of Adam.
TRAINED = {
    "relu, rate 0.003": ("relu", 0.003),
    "relu, rate 0.3": ("relu", 0.3),
    "leaky, rate 0.3": ("leaky", 0.3),
}
_OF_DYING = [
    *(
        Expectation(
            claim=f"share of dead units at bias {bias:g}",
            source=f"Phi(-b)^{EXAMPLES} = {norm.cdf(-bias) ** EXAMPLES:.4f}",
            interval=Interval.around(float(norm.cdf(-bias)) ** EXAMPLES, absolute=0.03),
            measure=cell("dead", network=f"bias {bias:g}"),
        )
        for bias in DEADLY
    ),
    Expectation(
        claim="share of dead units, trained at rate 0.3",
        source="steps that throw biases far below zero",
        interval=Interval(low=0.9),
        measure=cell("dead", network="relu, rate 0.3"),
    ),
    is_found("U2", "whole layers are dead", network="relu, rate 0.3"),
    nothing_is_found("no unit is dead for all images", network="relu, rate 0.003"),
    *(
        Expectation(
            claim=f"accuracy of {name}",
            source=source,
            interval=interval,
            measure=cell("accuracy", network=name),
        )
        for name, interval, source in (
            ("relu, rate 0.3", Interval(high=0.4), "no gradient comes through"),
            ("relu, rate 0.003", Interval(low=0.9), "steps that kill none"),
            ("leaky, rate 0.3", Interval(low=0.7), "a slope that is nowhere zero"),
        )
    ),
]


def _dying_networks(steps: int) -> Networks:
    def trial(name: str, seed: int) -> Trial:
        activation, rate = TRAINED[name]
        model = compiled(_classifier(activation, seed), keras.optimizers.Adam(rate))
        return Trial(model, digits(seed), steps, BATCH, in_turn=True)

    return {name: partial(trial, name) for name in TRAINED}


@preset("dying-relu", expects=_OF_DYING, networks=_dying_networks)
def dying_relu(run: Run, draws: Count = 10, steps: Count = 200) -> Outcome:
    """Kills ReLU units, by their bias and by large training steps, and finds them dead.

    `dead` is the share of units that are zero for all of 200 examples, drawn at some bias; and, of
    three networks after training on the digits, for all of a batch, in the last hidden layer.
    """
    rows: list[Row] = []
    for bias in DEADLY:
        row = _row(bias, draws, run.seed, ("dead",))
        rows.append({"network": f"bias {bias:g}", **row, "accuracy": "", "findings": ""})
    deaths: dict[str, Curve] = {}
    for name in TRAINED:
        row, deaths[name] = _trained(run, name, steps)
        rows.append(row)
        run.progress(f"{name:16}  dead {row['dead']:.2f}, accuracy {row['accuracy']:.3f}")
    drawn = [row for row in rows if row["bias"] != ""]
    panels = [
        Panel(
            f"Drawn, {EXAMPLES} examples",
            "bias in standard deviations",
            "share of dead units",
            {"ReLU layer": _curve(drawn, "dead")},
        ),
        Panel("Trained, last hidden layer", "training step", "share of dead units", deaths),
    ]
    picture = draw_curves(run.log_dir / "dead_units.png", "Units that are dead", panels)
    return Outcome(rows=rows, files=[picture])


def _trained(run: Run, name: str, steps: int) -> tuple[dict[str, Any], Curve]:
    activation, rate = TRAINED[name]
    data = digits(run.seed)
    model = _classifier(activation, run.seed)
    monitor = VarianceMonitor(
        run.log_dir / name.replace(", rate ", "-"),
        update_freq=10,
        quantities=("activation",),
        outputs=("tensorboard", "snapshots"),
    )
    accuracy = train(model, data, steps, keras.optimizers.Adam(rate), [monitor])
    looks = monitor.history
    dead = [look.profile("activation", "dead_fraction")["hidden_3"] for look in looks]
    row = {
        "network": name,
        "bias": "",
        "dead": dead[-1],
        "dead_theory": "",
        "accuracy": accuracy,
        "findings": findings(model, data.train_x, data.train_y),
    }
    return row, Curve(measured=([look.step for look in looks], dead))


def _classifier(activation: str, seed: int) -> keras.Sequential:
    kernels = keras.initializers.HeNormal(seed=keras.random.SeedGenerator(seed))
    phi = keras.layers.LeakyReLU(negative_slope=0.2) if activation == "leaky" else activation
    hidden = [
        keras.layers.Dense(100, phi, kernel_initializer=kernels, name=f"hidden_{number}")
        for number in (1, 2, 3)
    ]
    logits = keras.layers.Dense(10, kernel_initializer=kernels, name="logits")
    return keras.Sequential([keras.Input((64,)), *hidden, logits])
