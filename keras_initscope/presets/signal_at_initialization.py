"""Three ways to initialize a tanh network of 100 inputs and five layers of 50 units.

Nothing is trained. Many networks are drawn, each sees Gaussian input of unit variance, and the
table holds the mean over networks, units and examples, layer by layer. Theory is the limit of
infinite width: z ~ N(0, q), where q = fan_in Var(w) E h^2 of the layer before, hence
E h^2 = E tanh(z)^2 by quadrature and P(|h| > 0.99) = 2 Phi(-artanh(0.99) / sqrt(q)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import atanh, sqrt
from typing import Annotated

import keras
import numpy as np
from scipy.special import ndtr

from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.moments import second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

INPUTS = 100
WIDTH = 50
DEPTH = 5
EXAMPLES = 16
SATURATED = 0.99  # magnitude from which a tanh counts as saturated

_FANS = (INPUTS, *[WIDTH] * (DEPTH - 1))
_SIZE, _SHARE = "mean_square", "saturated"

Draws = Annotated[int, Interval(low=1)]


def _claims(
    column: str, theory: Sequence[float], *, relative: float = 0.0, absolute: float = 0.0
) -> list[Expectation]:
    return [
        Expectation(
            claim=f"{column} of layer {layer}",
            source=f"theory {value:.5g}",
            interval=Interval.around(value, relative=relative, absolute=absolute),
            measure=cell(column, layer=layer),
        )
        for layer, value in enumerate(theory, start=1)
    ]


def _small(fan_in: int) -> float:
    return 0.01


def _large(fan_in: int) -> float:
    return 1.0


def _unit_gain(fan_in: int) -> float:
    return fan_in**-0.5


def _networks(stddev: Callable[[int], float]) -> Callable[[], Networks]:
    """One network of those that are drawn."""

    def trial(seed: int) -> Trial:
        generator = keras.random.SeedGenerator(seed)
        model = keras.Sequential([keras.Input((INPUTS,))])
        for fan_in in _FANS:
            kernels = keras.initializers.RandomNormal(stddev=stddev(fan_in), seed=generator)
            model.add(keras.layers.Dense(WIDTH, "tanh", False, kernel_initializer=kernels))
        return Trial(model, noise(INPUTS, EXAMPLES, seed))

    return lambda: {f"{DEPTH} tanh layers": trial}


@preset(
    "small-weights",
    networks=_networks(_small),
    quick={"draws": 400},
    expects=_claims(
        "mean_square", [9.8055e-3, 4.9023e-5, 2.4511e-7, 1.2256e-9, 6.1278e-12], relative=0.1
    ),
)
def small_weights(run: Run, draws: Draws = 1000) -> Outcome:
    """Weights from 0.01 N(0, 1): the signal of a tanh network dies, by 0.005 a layer."""
    return _outcome(run, draws, _small)


@preset(
    "large-weights",
    networks=_networks(_large),
    quick={"draws": 400},
    expects=_claims("saturated", [0.7913, 0.6965, 0.6905, 0.6901, 0.6900], absolute=0.01),
)
def large_weights(run: Run, draws: Draws = 1000) -> Outcome:
    """Weights from N(0, 1): seven in ten tanh units are saturated, in every layer."""
    return _outcome(run, draws, _large)


@preset(
    "unit-gain",
    networks=_networks(_unit_gain),
    quick={"draws": 400},
    expects=_claims("mean_square", [0.3943, 0.2365, 0.1667, 0.1279, 0.1034], relative=0.04),
)
def unit_gain(run: Run, draws: Draws = 1000) -> Outcome:
    """Weights from N(0, 1 / fan_in): the signal of a tanh network lives, and shrinks slowly."""
    return _outcome(run, draws, _unit_gain)


def _outcome(run: Run, draws: int, stddev: Callable[[int], float]) -> Outcome:
    run.progress(f"{draws} networks of {DEPTH} tanh layers, {EXAMPLES} examples each")
    hidden = _activations(draws, run.seed, stddev)
    rows = [
        {
            "layer": layer,
            _SIZE: float(np.mean(values**2)),
            _SHARE: float(np.mean(np.abs(values) > SATURATED)),
        }
        for layer, values in enumerate(hidden, start=1)
    ]
    title = f"{DEPTH} tanh layers, weights of deviation {stddev(INPUTS):g} behind {INPUTS} inputs"
    panels = _panels(rows, theory(stddev))
    return Outcome(rows=rows, files=[draw_curves(run.log_dir / "signal.png", title, panels)])


def theory(stddev: Callable[[int], float]) -> list[Row]:
    """What the table holds in the limit of infinite width."""
    rows: list[Row] = []
    square = 1.0
    for layer, fan_in in enumerate(_FANS, start=1):
        q = fan_in * stddev(fan_in) ** 2 * square
        square = float(second_moment(nonlinearity("tanh"), q))
        share = round(2 * float(ndtr(-atanh(SATURATED) / sqrt(q))), 12)  # of less none is seen
        rows.append({"layer": layer, _SIZE: square, _SHARE: share})
    return rows


def _panels(rows: Sequence[Row], expected: Sequence[Row]) -> list[Panel]:
    def line(table: Sequence[Row], column: str) -> tuple[list[float], list[float]]:
        return [float(row["layer"]) for row in table], [float(row[column]) for row in table]

    def curves(column: str) -> dict[str, Curve]:
        return {"measured": Curve(line(rows, column), line(expected, column), joined=False)}

    is_wide = float(expected[-1][_SIZE]) < 0.01
    size = Panel(
        "Size of the signal",
        "layer",
        "mean square",
        curves(_SIZE),
        "y" if is_wide else "",
        (1.0, "inputs"),
    )
    label = f"share beyond {SATURATED} in magnitude"
    return [size, Panel("Saturated units", "layer", label, curves(_SHARE), "", (0.0, "none"))]


def _activations(draws: int, seed: int, stddev: Callable[[int], float]) -> list[np.ndarray]:
    """All networks at once: `RandomNormal` knows no fans, so the draws can be an axis in front."""
    generator = keras.random.SeedGenerator(seed)
    values = np.asarray(keras.random.normal((draws, EXAMPLES, INPUTS), seed=generator))
    hidden = []
    for _ in range(DEPTH):
        fan_in = values.shape[-1]
        initializer = keras.initializers.RandomNormal(stddev=stddev(fan_in), seed=generator)
        values = np.tanh(values @ np.asarray(initializer((draws, fan_in, WIDTH))))
        hidden.append(values)
    return hidden
