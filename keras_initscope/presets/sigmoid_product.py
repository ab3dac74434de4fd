"""What is left of a gradient behind fifty sigmoids.

It comes with the product of fifty slopes, each 1/4 at most: .25^50 = 7.9e-31. Articles also take
fifty uniform numbers from (0, 1) for those slopes and find their product "below 1e-18". Minus its
logarithm is the sum of fifty exponential variables, which is Gamma(50): the median is 2.7e-22, but
one product in nine is above 1e-18, and the mean, 2^-50 = 8.9e-16, is made by few of them.

No sigmoid has slopes up to 1, of course, and a gradient comes through weights as well. With
Glorot's a layer leaves sqrt(chi_1) = .236 of its size, where chi_1 = n Var(w) E f'(z)^2: that is
near the bound of 1/4, since all units sit near the middle of the sigmoid. From the front the same
is a collapse: there the slopes take away what tells examples apart, until all that is left of it
after a dozen layers is rounding. The rules B1 and F3 are about one and the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import exp, log, log10, sqrt
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, gammaincinv

from keras_initscope.inspection import inspect
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.experiment import Networks
from keras_initscope.presets.findings import findings_of, is_found, nothing_is_found
from keras_initscope.presets.random_networks import drawn_network
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.records import Quantity, Report, Snapshot

FACTORS = 50
UNLIKELY = 1e-18
WIDTH, EXAMPLES = 100, 64
BOUND, MEDIAN, ABOVE = "bound of 50 slopes", "median of 50 uniforms", "share above 1e-18"
SIGMOID, TANH = "sigmoid network", "tanh network"

_GRADIENT = Quantity.PREACTIVATION_GRADIENT

Draws = Annotated[int, Interval(low=1000)]
Array = NDArray[np.float64]


def quantile(probability: float, factors: int = FACTORS) -> float:
    """Theory: of the product of so many uniform numbers."""
    return exp(-float(gammaincinv(factors, 1 - probability)))


def share_above(product: float, factors: int = FACTORS) -> float:
    """Theory: how often the product of so many uniform numbers is larger."""
    return float(gammainc(factors, -log(product)))


def _closed(what: str, value: float) -> Expectation:
    return Expectation(
        claim=f"{what}, closed form",
        source="see the head of this module",
        interval=Interval.around(value, relative=1e-4),
        measure=cell("theory", what=what),
    )


def _drawn(what: str, value: float, relative: float) -> Expectation:
    return Expectation(
        claim=f"{what}, drawn",
        source=f"{value:.4g}, four standard errors of 200,000 draws",
        interval=Interval.around(value, relative=relative),
        measure=cell("measured", what=what),
    )


_EXPECTS = [
    _closed(BOUND, 7.8886e-31),
    _closed(MEDIAN, 2.6906e-22),
    _closed(ABOVE, 0.107752),
    _drawn(MEDIAN, 2.6906e-22, 4 * sqrt(np.pi / 2 * FACTORS / 200_000)),
    _drawn(ABOVE, 0.107752, 4 * sqrt(0.89 / 0.108 / 200_000)),
    Expectation(
        claim="log10 of what a sigmoid network leaves of the gradient",
        source="sqrt(chi_1) a layer",
        # Of one network of width 100: the logarithm of a mean square scatters by 5/n a layer.
        interval=Interval.around(49 / 2 * log10(0.05572), absolute=1.4),
        measure=lambda rows: log10(cell("measured", what=SIGMOID)(rows)),
    ),
    is_found("B1 or F3", "sqrt(chi_1) = .236 a layer", what=SIGMOID),
    nothing_is_found("zero mean, slope 1 at zero", what=TANH),
]


def _networks() -> Networks:
    widths = [WIDTH] * (FACTORS + 1)
    return {
        name: partial(drawn_network, keras.initializers.GlorotNormal, activation, widths)
        for name, activation in ((SIGMOID, "sigmoid"), (TANH, "tanh"))
    }


@preset("sigmoid-product", expects=_EXPECTS, networks=_networks)
def sigmoid_product(run: Run, draws: Draws = 200_000) -> Outcome:
    """The product of fifty slopes, of fifty uniform numbers, and the gradient of a real network.

    Of the networks `measured` is the size of the gradient at the first of 50 layers over that at
    the last.
    """
    run.progress(f"{draws} products of {FACTORS} uniform numbers")
    logs = _logarithms(draws, run.seed)
    rows: list[Row] = [
        _row(BOUND, 0.25**FACTORS, 0.25**FACTORS),
        _row(MEDIAN, exp(float(np.median(logs[-1]))), quantile(0.5)),
        _row(ABOVE, float(np.mean(logs[-1] > log(UNLIKELY))), share_above(UNLIKELY)),
    ]
    profiles = {}
    for name, activation in ((SIGMOID, "sigmoid"), (TANH, "tanh")):
        run.progress(f"a look at the {name}")
        report = _look(activation, run.seed)
        profiles[name] = _sizes(report.measured)
        theory = _sizes(report.predicted)
        rows.append(_row(name, profiles[name][0], theory[0], findings_of(report)))
    return Outcome(rows=rows, files=[_picture(run, logs, profiles)])


def _row(what: str, measured: float, theory: float, found: str = "") -> Row:
    return {"what": what, "measured": measured, "theory": theory, "findings": found}


def _logarithms(draws: int, seed: int) -> Array:
    """`(factors, draws)` logarithms of the products of the first 1, 2, ... uniform numbers."""
    return -np.cumsum(np.random.default_rng(seed).exponential(size=(FACTORS, draws)), axis=0)


def _look(activation: str, seed: int) -> Report:
    kernels = keras.initializers.GlorotNormal(seed=keras.random.SeedGenerator(seed))
    hidden = [
        keras.layers.Dense(WIDTH, activation, kernel_initializer=kernels) for _ in range(FACTORS)
    ]
    model = keras.Sequential([keras.Input((WIDTH,)), *hidden])
    x = np.random.default_rng(seed).normal(size=(EXAMPLES, WIDTH)).astype("float32")
    return inspect(model, x)


def _sizes(look: Snapshot) -> list[float]:
    """Of the gradient by the preactivations of each layer, that of the last one being 1."""
    squares = [each.values for each in look.stats if each.tap.quantity == _GRADIENT]
    sizes = [sqrt(values["variance"] + values.get("mean", 0.0) ** 2) for values in squares]
    return [size / sizes[-1] for size in sizes]


def _picture(run: Run, logs: Array, profiles: Mapping[str, list[float]]) -> Path:
    counts = range(1, FACTORS + 1)
    uniform = [exp(float(np.median(each))) for each in logs]
    behind = [FACTORS - k for k in counts]  # layers that the gradient has come through
    shrinking = {
        "slopes of 1/4 each": Curve(theory=(counts, [0.25**k for k in counts])),
        "uniform numbers, median": Curve(
            measured=(counts, uniform), theory=(counts, [quantile(0.5, k) for k in counts])
        ),
        **{name: Curve(measured=(behind, sizes)) for name, sizes in profiles.items()},
    }
    powers = np.linspace(-35, -12, 70)
    drawn = np.mean(logs[-1][:, None] > powers * log(10), axis=0)
    above = Curve((powers, drawn), (powers, [share_above(10**power) for power in powers]))
    panels = [
        Panel("What is left of the gradient", "layers", "product", shrinking, "y"),
        Panel(
            "Product of fifty uniform numbers",
            "power of ten",
            "share of products above it",
            {"drawn": above},
            limit=(share_above(UNLIKELY), "above $10^{-18}$: one in nine"),
        ),
    ]
    return draw_curves(run.log_dir / "products.png", "Fifty sigmoids", panels)
