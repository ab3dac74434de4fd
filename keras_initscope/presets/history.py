"""One deep network of sigmoids, started in every way that was proposed from 2006 to 2017.

The network is the autoencoder of `hinton-2006`, eight layers of sigmoids from 64 pixels through a
code of 8 numbers; data, optimizer and number of steps are the same for all. What differs is the
start, and that decides everything.

A layer multiplies the mean square of the gradient by chi = fan_out Var(w) E f'(z)^2, where the
slope f' of a sigmoid is 1/4 at most. Small weights, Xavier's, He's, He's with averaged fans and
orthogonal ones have a chi of a tenth or less, since Xavier's premise is a slope of 1 at zero, and
He's is a ReLU: what is left of signal and gradient is 1e-3 at best, and the network learns the mean
image. Kumar's variance makes up for the slope. Greedy pretraining does not care about slopes: each
layer learns to keep what it receives.

What articles and papers say, and what does not hold here, from five seeds (of pretraining two):

- "Large weights saturate." Those of N(0, 1), the usual example, do not in layers of 8 to 64 units.
  Kumar's variance for the sigmoid is 12.8 / fan_in, so they are his weights for a fan-in of 12.8;
  the network learns from them (1.8 to 2.3), second to Kumar's alone among the random starts. With
  a standard deviation of 4 the units are saturated, gradients grow on the way back and the end
  is 2.7 to 4 times worse than the mean image.
- "Xavier for sigmoid and tanh, He for ReLU." For the sigmoid neither; they differ in nothing that
  can be measured after training.
- Orthogonal weights are of no help where the slope is 1/4: dynamical isometry is a matter of slope
  times weights.
- LSUV gives unit variance in front of each unit, which is chi of some .15: more than Xavier's, less
  than Kumar's. It begins to learn after some 60 passes, when Kumar's network has long done so.
- Kumar's weights learn, but not as well as 8 principal components in this time (1.64 to 1.72
  against 1.58); pretrained ones do (1.09).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import exp, nan, sqrt
from typing import Annotated, NamedTuple

import keras

from keras_initscope.initializers import HeAverageNormal, Kumar, ScaledOrthogonal
from keras_initscope.inspection import inspect
from keras_initscope.model_init import calibrate
from keras_initscope.presets.digits import pixels
from keras_initscope.presets.experiment import Costly, Networks, Trial
from keras_initscope.presets.findings import COLUMN, findings_of, is_found, nothing_is_found
from keras_initscope.presets.reconstruction import (
    WIDTHS,
    Images,
    Start,
    autoencoder,
    by_components,
    by_network,
    compiled,
    error,
    pretrained,
    small,
    strip,
    train,
    trial,
)
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.timeline_picture import Line, draw_timeline
from keras_initscope.records import Report, Snapshot

MEAN, PCA = "mean image", "8 components"
GREEDY, LSUV = "greedy", "lsuv"
_CALIBRATED_ON = 256  # images
_DRAWN = 14
_TITLE = "Eight layers of sigmoids, trained alike, started in ten ways"

Count = Annotated[int, Interval(low=1)]


class Proposal(NamedTuple):
    """A way to start, who proposed it, and when; `None` draws nothing: it is pretrained."""

    year: int
    paper: str
    start: Start | None


def _normal(deviation: float) -> Start:
    return lambda seed: keras.initializers.RandomNormal(stddev=deviation, seed=seed)


def _orthogonal(seed: int) -> keras.initializers.Initializer:
    return ScaledOrthogonal(seed=seed)


_HINTON, _HE = "Hinton and Salakhutdinov", "He et al."
PROPOSALS = {
    "small": Proposal(2006, _HINTON, small),
    "large": Proposal(2006, _HINTON, _normal(1.0)),
    "larger": Proposal(2006, _HINTON, _normal(4.0)),
    GREEDY: Proposal(2006, _HINTON, None),
    "xavier": Proposal(
        2010, "Glorot and Bengio", lambda seed: keras.initializers.GlorotNormal(seed=seed)
    ),
    "orthogonal": Proposal(2013, "Saxe et al.", _orthogonal),
    "he": Proposal(2015, _HE, lambda seed: keras.initializers.HeNormal(seed=seed)),
    "he-average": Proposal(2015, f"{_HE}, both fans", lambda seed: HeAverageNormal(seed=seed)),
    LSUV: Proposal(2015, "Mishkin and Matas", _orthogonal),
    "kumar": Proposal(2017, "Kumar", lambda seed: Kumar("sigmoid", seed=seed)),
}
#: Starts from which nothing but the mean image is learnt.
STUCK = ("small", "xavier", "orthogonal", "he", "he-average")
_INDEPENDENT = ("small", "xavier", "he", "he-average")


def _claim(
    name: str, column: str, interval: Interval, source: str, of: str | None = None
) -> Expectation:
    def measure(rows: Sequence[Row]) -> float:
        value = cell(column, initialization=name)(rows)
        return value if of is None else value / cell(column, initialization=of)(rows)

    behind = "" if of is None else f", over that of {of}"
    return Expectation(
        claim=f"{column} of {name}{behind}", source=source, interval=interval, measure=measure
    )


def _theory_claim(name: str) -> Expectation:
    """The mean square of a linear network scatters by 2 / n a layer of n units."""
    behind = [*WIDTHS[1:], *WIDTHS[-2::-1], 64]
    deviation = sqrt(sum(2 / width for width in behind)) / 2  # of the logarithm of its root
    return Expectation(
        claim=f"gradient of {name}, measured over theory",
        source="fan_out Var(w) E f'^2 a layer; four deviations of networks this narrow",
        interval=Interval(low=exp(-4 * deviation), high=exp(4 * deviation)),
        measure=lambda rows: (
            cell("gradient", initialization=name)(rows)
            / cell("gradient_theory", initialization=name)(rows)
        ),
    )


_EXPECTS = [
    *(
        _claim(name, "of_mean", Interval(low=0.95), "no gradient comes to the code")
        for name in STUCK
    ),
    _claim("large", "of_mean", Interval(high=0.75), "Kumar's variance for a fan-in of 12.8"),
    _claim("larger", "of_mean", Interval(low=1.5), "units saturate, the code's at first"),
    _claim("kumar", "of_mean", Interval(high=0.65), "its variance makes up for the slope"),
    _claim(LSUV, "test_error", Interval(low=1.0), "chi of .15 against .35", of="kumar"),
    _claim(LSUV, "gradient", Interval(low=8.0), "chi of .15 against .06", of="xavier"),
    _claim(GREEDY, "of_components", Interval(high=1.0), "a deep code beats the best linear one"),
    *(_theory_claim(name) for name in _INDEPENDENT),
    *(is_found("F3", "the images come out as one", initialization=name) for name in STUCK),
    is_found("U1", "the mean slope is next to nothing", initialization="larger"),
    *(
        nothing_is_found("it can be trained", initialization=name)
        for name in (GREEDY, "large", "kumar")
    ),
]


def _networks(epochs: int, pretraining_epochs: int) -> Networks:
    def ready(name: str, seed: int) -> Trial:
        network = started(name, pixels(seed)[0], pretraining_epochs, seed)
        return trial(network, seed, epochs)

    made = {name: partial(ready, name) for name in PROPOSALS}
    return {**made, GREEDY: Costly(made[GREEDY], made["small"])}


@preset(
    "history",
    quick={"epochs": 60, "pretraining_epochs": 10},
    expects=_EXPECTS,
    networks=_networks,
)
def history(run: Run, epochs: Count = 91, pretraining_epochs: Count = 20) -> Outcome:
    """One deep sigmoid network from ten starts of 2006 to 2017: which of them can be trained.

    `signal` is the size of the differences between images in the last hidden layer, those of the
    pixels being 1; `gradient` the size of the gradient at the first layer, that at the last being
    1. Both are of the start, like the findings.
    """
    train_x, test_x = pixels(run.seed)
    mean, components = (by_components(train_x, test_x, k)[1] for k in (0, WIDTHS[-1]))
    lines = [
        Line("the images", strip(test_x, _DRAWN)),
        Line(MEAN, strip(mean, _DRAWN), error(test_x, mean)),
        Line(PCA, strip(components, _DRAWN), error(test_x, components)),
    ]
    rows: list[Row] = []
    for name, proposal in PROPOSALS.items():
        network = started(name, train_x, pretraining_epochs, run.seed)
        report = inspect(compiled(network), train_x, train_x)
        train(network, train_x, epochs, run.seed)
        made = by_network(network, train_x, test_x)
        rows.append(
            {
                "year": proposal.year,
                "initialization": name,
                "paper": proposal.paper,
                "test_error": error(test_x, made[1]),
                "train_error": error(train_x, made[0]),
                "of_mean": error(test_x, made[1]) / error(test_x, mean),
                "of_components": error(test_x, made[1]) / error(test_x, components),
                **_left(report, train_x),
                COLUMN: findings_of(report),
            }
        )
        lines.append(_line(rows[-1], made[1]))
        run.progress(f"{proposal.year} {name:11} squared error {rows[-1]['test_error']:.3f}")
    picture = draw_timeline(run.log_dir / "history.png", _TITLE, lines)
    return Outcome(rows=rows, files=[picture])


def started(name: str, train_x: Images, pretraining_epochs: int, seed: int) -> keras.Sequential:
    """The network as one of the proposals starts it."""
    start = PROPOSALS[name].start
    if start is None:
        return pretrained(train_x, pretraining_epochs, seed)
    network = autoencoder("sigmoid", start, seed)
    if name == LSUV:  # from the matrices of the seed; those that `calibrate` draws have none
        calibrate(network, train_x[:_CALIBRATED_ON], orthogonal=False)
    return network


def _left(report: Report, train_x: Images) -> dict[str, float]:
    signals = [
        stats.values["signal"]
        for stats in report.measured.stats
        if stats.tap.quantity == "activation"
    ]
    return {
        "signal": sqrt(signals[-2] / float(train_x.var(axis=0).mean())),
        "gradient": _gradient_left(report.measured),
        "gradient_theory": _gradient_left(report.predicted),
    }


def _gradient_left(look: Snapshot) -> float:
    """NaN where theory does not see through the model, which is one of models once unrolled."""
    squares = [
        stats.values["variance"] + stats.values.get("mean", 0.0) ** 2
        for stats in look.stats
        if stats.tap.quantity == "preactivation_gradient"
    ]
    return sqrt(squares[0] / squares[-1]) if squares else nan


def _line(row: Row, made: Images) -> Line:
    shares = {name: float(row[name]) for name in ("signal", "gradient")}
    name = f"{row['year']}  {row['initialization']}"
    return Line(name, strip(made, _DRAWN), float(row["test_error"]), shares)
