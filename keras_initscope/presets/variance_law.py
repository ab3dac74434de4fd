"""What random weights do to the mean square of a signal: [n Var w]^k over k layers, in the mean.

A unit of a linear layer sums n products of independent weights and inputs, so a layer multiplies
the mean square by n Var w, and k layers by [n Var w]^k. Articles on initialization make of this
that the weights must have variance 1; it is n Var w that must, and with 100 inputs weights of
variance 1 multiply the mean square by 100 in each layer.

That is the mean over networks. One network's mean square is the product of k factors chi^2_n / n,
whose relative variance is 2/n, so the relative deviation over networks is sqrt((1 + 2/n)^k - 1).
With He's weights ReLU layers keep the mean too, [n Var w / 2]^k = 1, but a factor's variance is
5/n: E (2 relu(z)^2)^2 = 6. A product of many factors is skewed, so that most networks come out
below the mean, and 10 % off is no sign of wrong weights in a single network.

Each network sees one Gaussian input of mean square 1 exactly. After He et al., 2015
(arXiv:1502.01852), section 2.2, where the law of the mean is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.curve_picture import Curve, Panel, Points, draw_curves
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell

INPUTS, LAYERS = 100, 10
_AT_ONCE = 200  # networks; the kernels of a layer of so many take 8 MB


class Law(NamedTuple):
    """Networks of one kind, and what theory says about the mean square behind their last layer.

    Args:
        activation: Name of the activation.
        gain: n Var w.
        kept: Share of the mean square that the activation keeps, of a symmetric signal.
        scatter: Relative variance of one layer's factor, times n.
    """

    activation: str
    gain: float
    kept: float = 1.0
    scatter: float = 2.0

    def mean(self, layers: int = LAYERS) -> float:
        """Over networks."""
        return float((self.gain * self.kept) ** layers)

    def deviation(self, layers: int = LAYERS) -> float:
        """Over networks, as a share of the mean."""
        return sqrt((1 + self.scatter / INPUTS) ** layers - 1)


RELU = "relu, n Var w = 2"
UNIT_WEIGHTS = "linear, Var w = 1"
NETWORKS: Mapping[str, Law] = {
    "linear, n Var w = .8": Law("linear", 0.8),
    "linear, n Var w = 1": Law("linear", 1.0),
    "linear, n Var w = 1.25": Law("linear", 1.25),
    UNIT_WEIGHTS: Law("linear", float(INPUTS)),
    RELU: Law("relu", 2.0, kept=0.5, scatter=5.0),
}

Array = NDArray[np.float64]
Draws = Annotated[int, Interval(low=100)]


def _claims(name: str, law: Law) -> list[Expectation]:
    return [
        Expectation(
            claim=f"standard errors between mean and theory, {name}",
            source=f"[n Var w{' / 2' if law.kept < 1 else ''}]^{LAYERS} = {law.mean():.4g}",
            interval=Interval(low=-4, high=4),
            measure=cell("errors_off", network=name),
        ),
        Expectation(
            claim=f"relative deviation over networks, {name}",
            source=f"sqrt((1 + {law.scatter:g}/n)^{LAYERS} - 1), "
            f"within {'4 s.e.' if law.kept < 1 else '10 %'}",
            interval=Interval.around(law.deviation(), relative=0.2 if law.kept < 1 else 0.1),
            measure=cell("deviation", network=name),
        ),
    ]


_EXPECTS = [
    *(claim for name, law in NETWORKS.items() for claim in _claims(name, law)),
    Expectation(
        claim=f"median mean square, {RELU}",
        source="below the mean, 1, for what is skewed",
        interval=Interval(high=0.9),
        measure=cell("median", network=RELU),
    ),
]


def _networks() -> Networks:
    def network(law: Law, seed: int) -> Trial:
        kernels = keras.initializers.RandomNormal(
            stddev=sqrt(law.gain / INPUTS), seed=keras.random.SeedGenerator(seed)
        )
        layers = [
            keras.layers.Dense(INPUTS, law.activation, use_bias=False, kernel_initializer=kernels)
            for _ in range(LAYERS)
        ]
        return Trial(keras.Sequential([keras.Input((INPUTS,)), *layers]), noise(INPUTS, 64, seed))

    return {name: partial(network, law) for name, law in NETWORKS.items()}


@preset("variance-law", networks=_networks, quick={"draws": 2000}, expects=_EXPECTS)
def variance_law(run: Run, draws: Draws = 6000) -> Outcome:
    """Linear networks: n Var w must be 1, not Var w; and how far single networks are off.

    The mean squares are those behind the last of ten layers of 100 units, that of the input is 1.
    """
    rows: list[Row] = []
    squares: dict[str, Array] = {}
    generator = keras.random.SeedGenerator(run.seed)
    for name, law in NETWORKS.items():
        run.progress(f"{draws} networks of {LAYERS} layers, {name}")
        squares[name] = _mean_squares(law, draws, generator)
        rows.append(_row(name, law, squares[name][-1]))
    return Outcome(rows=rows, files=[_picture(run, squares)])


def _row(name: str, law: Law, squares: Array) -> Row:
    mean, deviation = float(np.mean(squares)), float(np.std(squares, ddof=1))
    return {
        "network": name,
        "weight_variance": law.gain / INPUTS,
        "mean": mean,
        "mean_theory": law.mean(),
        "errors_off": (mean - law.mean()) / (deviation / sqrt(squares.size)),
        "deviation": deviation / mean,
        "deviation_theory": law.deviation(),
        "median": float(np.median(squares)),
    }


def _mean_squares(law: Law, draws: int, generator: Any) -> Array:
    """`(layers, draws)`: of the activations of each network."""
    sizes = [min(_AT_ONCE, draws - start) for start in range(0, draws, _AT_ONCE)]
    return np.concatenate([_some(law, count, generator) for count in sizes], axis=1)


def _some(law: Law, count: int, generator: Any) -> Array:
    """Many networks at once: `RandomNormal` knows no fans, so the draws can be an axis in front."""
    kernels = keras.initializers.RandomNormal(stddev=sqrt(law.gain / INPUTS), seed=generator)
    phi = keras.activations.get(law.activation)
    values = keras.random.normal((count, 1, INPUTS), seed=generator)
    values = values / keras.ops.sqrt(keras.ops.mean(values**2, axis=-1, keepdims=True))
    squares = []
    for _ in range(LAYERS):
        values = phi(values @ kernels((count, INPUTS, INPUTS)))
        found = keras.ops.convert_to_numpy(values).astype("float64")
        squares.append(np.mean(found**2, axis=(1, 2)))
    return np.array(squares)


def _picture(run: Run, squares: Mapping[str, Array]) -> Any:
    layers = [float(k) for k in range(1, LAYERS + 1)]
    shown: Sequence[tuple[str, str, Any, Any]] = (
        ("Mean over networks", "mean square", lambda found: found.mean(axis=1), Law.mean),
        (
            "Scatter over networks",
            "standard deviation over mean",
            lambda found: found.std(axis=1, ddof=1) / found.mean(axis=1),
            Law.deviation,
        ),
        ("Half of the networks are below", "median over mean", _median, None),
    )
    panels = [
        Panel(
            title,
            "layer",
            label,
            {
                name: Curve(
                    measured=(layers, measure(found)),
                    theory=_theory(NETWORKS[name], of, layers),
                    joined=of is None,
                )
                for name, found in squares.items()
                if name != UNIT_WEIGHTS  # whose 10^20 would leave no room for the others
            },
            "y" if of is Law.mean else "",
        )
        for title, label, measure, of in shown
    ]
    return draw_curves(
        run.log_dir / "variance_law.png", f"Networks of {LAYERS} layers of {INPUTS} units", panels
    )


def _theory(law: Law, of: Any, layers: Sequence[float]) -> Points:
    return (layers, [of(law, int(k)) for k in layers]) if of else ((), ())


def _median(found: Array) -> Array:
    return np.asarray(np.median(found, axis=1) / found.mean(axis=1))
