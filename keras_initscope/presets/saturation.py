"""How many units of a sigmoid layer are saturated, and when that does harm.

Preactivations of variance q put a share 2 Phi(-4.595 / sqrt(q)) of a sigmoid's units outside
[.01, .99], since log(.99 / .01) = 4.595. That share alone does no harm: where a quarter of the
units are outside, the mean slope is still .36 of the greatest, 1/4. It falls with the first power
of sqrt(q) only, as 4 phi(0) / sqrt(q), and gets below .15, where the rule U1 speaks of a network
that was not trained yet, at sqrt(q) = 10.6.

Networks of two sigmoid layers, 64 - 512 - 512, are drawn with weights that give the preactivations
of the first one standard deviations from 1 to 24; those of the second follow. Inputs are Gaussian.
"""

from __future__ import annotations

from functools import partial
from math import log, sqrt
from typing import Annotated, Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.moments import moment, second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

INPUTS, WIDTH, EXAMPLES = 64, 512, 256
#: Standard deviations of the first layer's preactivations.
DEVIATIONS = (1.0, 2.0, 4.0, 8.0, 24.0)
EDGE = log(0.99 / 0.01)

Count = Annotated[int, Interval(low=1)]
Array = NDArray[np.float64]


def variances(deviation: float) -> tuple[float, float]:
    """Theory: those of the preactivations of the first and the second layer."""
    weights = deviation**2 / INPUTS
    return deviation**2, WIDTH * weights * float(
        second_moment(nonlinearity("sigmoid"), deviation**2)
    )


def share_outside(variance: float) -> float:
    """Theory: the share of sigmoids outside [.01, .99]."""
    return float(2 * norm.sf(EDGE / sqrt(variance)))


def slope(variance: float) -> float:
    """Theory: the mean slope of a sigmoid, over the greatest."""
    return float(4 * moment(nonlinearity("sigmoid"), nonlinearity("sigmoid").df, variance))


_OF_SATURATION = [
    *(
        Expectation(
            claim=f"share outside [.01, .99] of layer {layer}, deviation {deviation}",
            source="2 Phi(-4.595 / sqrt(q))",
            interval=Interval.around(share_outside(variances(deviation)[layer - 1]), absolute=0.01),
            measure=cell("outside", deviation=deviation, layer=layer),
        )
        for deviation in DEVIATIONS
        for layer in (1, 2)
    ),
    *(
        is_found("U1", "a mean slope below .15 of the greatest", deviation=deviation, layer=2)
        for deviation in DEVIATIONS[3:]
    ),
    *(
        nothing_is_found("enough slope is left", deviation=deviation, layer=2)
        for deviation in DEVIATIONS[:3]
    ),
]


def _networks() -> Networks:
    def trial(deviation: float, seed: int) -> Trial:
        return Trial(_sigmoids(deviation, seed), noise(INPUTS, EXAMPLES, seed))

    return {f"deviation {each:g}": partial(trial, each) for each in DEVIATIONS}


@preset("saturation", quick={"draws": 5}, expects=_OF_SATURATION, networks=_networks)
def saturation(run: Run, draws: Count = 10) -> Outcome:
    """Sigmoid layers from small to huge weights: the share that is saturated, and when it harms."""
    rows: list[Row] = []
    for deviation in DEVIATIONS:
        shares, slopes = _over_draws(deviation, draws, run.seed)
        found = findings(_sigmoids(deviation, run.seed), _inputs(run.seed))
        for layer, variance in enumerate(variances(deviation), 1):
            rows.append(
                {
                    "deviation": deviation,
                    "layer": layer,
                    "outside": shares[layer - 1],
                    "outside_theory": share_outside(variance),
                    "slope": slopes[layer - 1],
                    "slope_theory": slope(variance),
                    "findings": found,
                }
            )
        run.progress(f"deviation {deviation:<4}  outside {shares[0]:.3f}, {shares[1]:.3f}")
    return Outcome(rows=rows, files=[_picture_of_saturation(run, rows)])


def _over_draws(deviation: float, draws: int, seed: int) -> tuple[Array, Array]:
    """Share outside and mean slope of each of both layers."""
    found = []
    for number in range(draws):
        seen: Any = _inputs(seed + number)
        for layer in _sigmoids(deviation, seed + number).layers[:2]:
            seen = layer(seen)
            values = keras.ops.convert_to_numpy(seen).astype("float64")
            found.append([np.mean(np.abs(values - 0.5) > 0.49), np.mean(4 * values * (1 - values))])
    shares, slopes = np.mean(np.reshape(found, (draws, 2, 2)), axis=0).T
    return shares, slopes


def _inputs(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(EXAMPLES, INPUTS)).astype("float32")


def _sigmoids(deviation: float, seed: int) -> keras.Sequential:
    kernels = keras.initializers.RandomNormal(
        stddev=deviation / sqrt(INPUTS), seed=keras.random.SeedGenerator(seed)
    )
    hidden = [keras.layers.Dense(WIDTH, "sigmoid", kernel_initializer=kernels) for _ in range(2)]
    logits = keras.layers.Dense(10, kernel_initializer=kernels)
    return keras.Sequential([keras.Input((INPUTS,)), *hidden, logits])


def _picture_of_saturation(run: Run, rows: list[Row]) -> Any:
    q = np.geomspace(0.4, 60, 80)
    theory = {"outside": share_outside, "slope": slope}
    curves: dict[str, dict[str, Curve]] = {column: {} for column in theory}
    for layer in (1, 2):
        mine = [row for row in rows if row["layer"] == layer]
        at = [sqrt(variances(float(row["deviation"]))[layer - 1]) for row in mine]
        for column, of in theory.items():
            curves[column][f"layer {layer}"] = Curve(
                measured=(at, [float(row[column]) for row in mine]),
                theory=(q, [of(each**2) for each in q]),
                joined=False,
            )
    x = "standard deviation of the preactivations"
    panels = [
        Panel("Saturated units", x, "share outside [.01, .99]", curves["outside"], "x"),
        Panel(
            "What slope is left",
            x,
            "mean slope over the greatest",
            curves["slope"],
            "xy",
            (0.15, "below it U1 speaks"),
        ),
    ]
    return draw_curves(run.log_dir / "saturation.png", "Sigmoid layers", panels)
