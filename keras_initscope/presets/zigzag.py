"""Why activations that are not centred on zero make gradient descent zigzag, and which ones do.

A weight's gradient is the error of its unit times the activation that it multiplies. Behind a ReLU
or a sigmoid all activations are positive, so that for one example all weights of a unit want to go
up or all want to go down: a step that needs some of both is made in zigzags. Articles stop there,
and offer a leaky ReLU, whose activations have both signs. But with a slope of .01 it changes next
to nothing, and it is not the sign that matters.

What matters is how much steeper the error is along (1, ..., 1), where all weights change together,
than across it. With n inputs of mean mu and variance Var that is kappa = 1 + n mu^2 / Var (LeCun,
Kanter and Solla, 1991); steps that are small enough for the first are kappa times too small for the
others. With n = 100: 48 for ReLU, 46 for leaky .01, 25 even for leaky .2; 5 for ELU and 1 for SELU
and tanh; and for the sigmoid, which does not have zero mean either, 577. GELU and SiLU are at 24
and 15.

The rule F4 takes none of these for a fault: networks learn with ReLU. It speaks where kappa is
larger by orders of magnitude, as for inputs with a large offset, which are shown beside the same
inputs centred and scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.moments import output_mean, second_moment
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.piecewise import leaky_relu

INPUTS = 100
#: Name to nonlinearity and kappa, as far as it is claimed.
ACTIVATIONS: Mapping[str, tuple[Nonlinearity, float]] = {
    "sigmoid": (nonlinearity("sigmoid"), 577.0),
    "relu": (nonlinearity("relu"), 47.7),
    "leaky 0.01": (leaky_relu(0.01), 46.3),
    "leaky 0.2": (leaky_relu(0.2), 25.4),
    "gelu": (nonlinearity("gelu"), 24.0),
    "silu": (nonlinearity("silu"), 14.6),
    "elu": (nonlinearity("elu"), 5.16),
    "selu": (nonlinearity("selu"), 1.0),
    "tanh": (nonlinearity("tanh"), 1.0),
}
#: Name to offset of the inputs in their standard deviations.
OFFSETS = {"inputs at 200 +- 1": 200.0, "inputs at 0 +- 1": 0.0}
_DRAWN = ("sigmoid", "relu", "elu", "tanh")
_STEPS = 40  # of gradient descent in the picture

Examples = Annotated[int, Interval(low=1000)]
Array = NDArray[np.float64]


def kappa(phi: Nonlinearity) -> float:
    """Theory: `1 + n mu^2 / Var` of activations behind `N(0, 1)`."""
    mean, square = float(output_mean(phi)), float(second_moment(phi))
    return 1 + INPUTS * mean**2 / (square - mean**2)


_EXPECTS = [
    *(
        Expectation(
            claim=f"kappa of {name}",
            source=f"1 + n mu^2 / Var = {value:.3g}",
            interval=Interval.around(value, relative=0.03),
            measure=cell("kappa", activation=name),
        )
        for name, (_, value) in ACTIVATIONS.items()
    ),
    *(
        Expectation(
            claim=f"share of examples whose gradients have one sign, {name}",
            source="no activation is negative" if share else "a few of 100 are negative",
            interval=Interval.around(share),
            measure=cell("one_signed", activation=name),
        )
        for name, share in (("relu", 1.0), ("sigmoid", 1.0), ("leaky 0.01", 0.0), ("tanh", 0.0))
    ),
    is_found("F4", "kappa of four million", activation="inputs at 200 +- 1"),
    nothing_is_found("centred and scaled", activation="inputs at 0 +- 1"),
]


def _networks() -> Networks:
    def trial(offset: float, seed: int) -> Trial:
        centred = noise(INPUTS, 256, seed)
        x, test_x = (_scaled(each, offset) for each in (centred.train_x, centred.test_x))
        return Trial(_network(seed), centred._replace(train_x=x, test_x=test_x))

    return {name: partial(trial, offset) for name, offset in OFFSETS.items()}


def _scaled(x: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """Moved by an offset, to mean square 1."""
    return (x + np.float32(offset)) / np.float32(np.sqrt(1 + offset**2))


@preset("zigzag", quick={"examples": 20_000}, expects=_EXPECTS, networks=_networks)
def zigzag(run: Run, examples: Examples = 50_000) -> Outcome:
    """How much steeper the error of a unit is along (1, ..., 1) than across, for each activation.

    `one_signed` is the share of examples for which all weights of a unit have gradients of one
    sign. The last rows are of tanh networks whose inputs have an offset and have none.
    """
    random = np.random.default_rng(run.seed)
    rows: list[Row] = []
    moments: dict[str, Array] = {}
    for name, (phi, _) in ACTIVATIONS.items():
        h = np.asarray(phi.f(random.normal(size=(examples, INPUTS))), dtype=float)
        moments[name] = h.T @ h / examples
        one_signed = float(np.mean(np.all(h >= 0, axis=1) | np.all(h <= 0, axis=1)))
        rows.append(_row(name, _kappa(moments[name]), kappa(phi), one_signed))
        run.progress(f"{name:10}  kappa {rows[-1]['kappa']:.3g}")
    for name, offset in OFFSETS.items():
        x = (random.normal(size=(256, INPUTS)) + offset).astype("float32")
        scaled = x / np.float32(np.sqrt(1 + offset**2))
        measured = _kappa(scaled.T.astype(float) @ scaled / len(x))
        found = findings(_network(run.seed), scaled)
        rows.append(_row(name, measured, 1 + INPUTS * offset**2, float(offset > 0), found))
    return Outcome(rows=rows, files=[_picture(run, moments)])


def _row(name: str, measured: float, theory: float, one_signed: float, found: str = "") -> Row:
    return {
        "activation": name,
        "kappa": measured,
        "theory": theory,
        "one_signed": one_signed,
        "findings": found,
    }


def _kappa(moment: Array) -> float:
    """Curvature along (1, ..., 1) over the mean one across it."""
    along, across = _curvatures(moment)
    return along / across


def _curvatures(moment: Array) -> tuple[float, float]:
    along = float(moment.sum()) / len(moment)
    return along, (float(np.trace(moment)) - along) / (len(moment) - 1)


def _network(seed: int) -> keras.Sequential:
    """A tanh network whose inputs have mean square 1."""
    kernels = keras.initializers.GlorotNormal(seed=keras.random.SeedGenerator(seed))
    hidden = [keras.layers.Dense(INPUTS, "tanh", kernel_initializer=kernels) for _ in range(2)]
    logits = keras.layers.Dense(10, kernel_initializer=kernels)
    return keras.Sequential([keras.Input((INPUTS,)), *hidden, logits])


def _picture(run: Run, moments: Mapping[str, Array]) -> Path:
    paths, errors = {}, {}
    for name in _DRAWN:
        path = _descent(moments[name])
        halves = path.reshape(len(path), 2, -1).mean(axis=2)
        paths[name] = Curve(measured=(halves[:, 0], halves[:, 1]))
        left = np.linalg.norm(path, axis=1)
        errors[name] = Curve(measured=(range(len(path)), left / left[0]))
    panels = [
        Panel(
            f"{_STEPS} steps of gradient descent to (0, 0)",
            "mean of the first 50 weights",
            "mean of the other 50 weights",
            paths,
        ),
        Panel("What is left to be learnt", "step", "distance to the solution", errors, "y"),
    ]
    title = "A linear unit behind activations, each at the learning rate that is best for it"
    return draw_curves(run.log_dir / "zigzag.png", title, panels)


def _descent(moment: Array) -> Array:
    """`(steps + 1, n)` weights less those that solve the task; halves of them start apart."""
    rate = 2 / sum(_curvatures(moment))
    start = np.repeat([1.2, -0.4], INPUTS // 2)
    path = [start]
    for _ in range(_STEPS):
        path.append(path[-1] - rate * moment @ path[-1])
    return np.array(path)
