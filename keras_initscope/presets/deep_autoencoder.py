"""Can a deep autoencoder of sigmoids be trained, and what does pretraining do for it?

Hinton and Salakhutdinov (2006) in small: digits of 8 x 8 pixels through a code of 8 numbers, by
plain stochastic gradient descent, which hides nothing; Adam blurs it. From small or from Xavier's
weights the network learns the mean image and no more, since each sigmoid takes the gradient by a
slope of at most 1/4. Started by greedy layerwise pretraining, from the same small weights, it beats
the best linear code of that size, which principal components give. The alternatives that came
later are in the table too: Kumar's variance for the sigmoid, and tanh in its place. The preset
`history` has them all, with the sigmoid.

Error is the squared error of an image, summed over its pixels, which lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import keras
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_initscope.initializers import Kumar
from keras_initscope.presets.digits import pixels
from keras_initscope.presets.experiment import Costly, Networks, Trial
from keras_initscope.presets.reconstruction import (
    WIDTHS,
    Images,
    Start,
    autoencoder,
    by_components,
    by_network,
    error,
    pretrained,
    small,
    strip,
    train,
    trial,
)
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell

MEAN, PCA, UNROLLED, GREEDY = "mean image", "8 components", "greedy, untuned", "greedy"
NETWORKS: Mapping[str, tuple[str, Start]] = {
    "small": ("sigmoid", small),
    "xavier": ("sigmoid", lambda seed: keras.initializers.GlorotNormal(seed=seed)),
    "kumar": ("sigmoid", lambda seed: Kumar("sigmoid", seed=seed)),
    "tanh, xavier": ("tanh", lambda seed: keras.initializers.GlorotNormal(seed=seed)),
}
_DRAWN = 12

Count = Annotated[int, Interval(low=1)]


def _ratio(network: str, other: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"error of {network} / error of {other}",
        source=source,
        interval=interval,
        measure=lambda rows: _error(network, rows) / _error(other, rows),
    )


def _error(network: str, rows: Sequence[Row]) -> float:
    return cell("test_error", network=network)(rows)


_EXPECTS = [
    _ratio("small", MEAN, Interval(low=0.95), "no gradient reaches the code"),
    _ratio("xavier", MEAN, Interval(low=0.95), "no gradient reaches the code"),
    _ratio(UNROLLED, MEAN, Interval(high=0.8), "each layer keeps what it receives"),
    _ratio(GREEDY, PCA, Interval(high=1.0), "a deep code beats the best linear one"),
    _ratio("tanh, xavier", PCA, Interval(high=1.0), "slope 1 at 0: no pretraining needed"),
]


def _networks(epochs: int, pretraining_epochs: int) -> Networks:
    def started(name: str, seed: int) -> Trial:
        return trial(autoencoder(*NETWORKS[name], seed), seed, epochs)

    def greedy(seed: int) -> Trial:
        return trial(pretrained(pixels(seed)[0], pretraining_epochs, seed), seed, epochs)

    plain = {name: partial(started, name) for name in NETWORKS}
    return {**plain, GREEDY: Costly(greedy, plain["small"])}


@preset(
    "hinton-2006",
    quick={"epochs": 46, "pretraining_epochs": 10},
    expects=_EXPECTS,
    networks=_networks,
)
def hinton_2006(run: Run, epochs: Count = 91, pretraining_epochs: Count = 20) -> Outcome:
    """A deep autoencoder of sigmoids: stuck at the mean image, unless it is pretrained greedily."""
    train_x, test_x = pixels(run.seed)
    made = {"digits": (train_x, test_x), MEAN: by_components(train_x, test_x, 0)}
    made[PCA] = by_components(train_x, test_x, WIDTHS[-1])
    networks = {name: autoencoder(*kind, run.seed) for name, kind in NETWORKS.items()}
    networks[GREEDY] = pretrained(train_x, pretraining_epochs, run.seed)
    made[UNROLLED] = by_network(networks[GREEDY], train_x, test_x)
    run.progress(_line(UNROLLED, _row(UNROLLED, made)))
    for name, network in networks.items():
        train(network, train_x, epochs, run.seed)
        made[name] = by_network(network, train_x, test_x)
        run.progress(_line(name, _row(name, made)))
    picture = _draw(run.log_dir / "reconstructions.png", made)
    rows = [_row(name, made) for name in made if name != "digits"]
    return Outcome(rows=rows, files=[picture])


def _row(name: str, made: Mapping[str, tuple[Images, Images]]) -> Row:
    errors = [error(x, again) for x, again in zip(made["digits"], made[name], strict=True)]
    return {"network": name, "train_error": errors[0], "test_error": errors[1]}


def _line(name: str, row: Row) -> str:
    return f"{name:16}  squared error on test images {row['test_error']:.3f}"


def _draw(path: Path, made: Mapping[str, tuple[Images, Images]]) -> Path:
    """The first images to test on, and what each network makes of them, a row each."""
    figure = Figure(figsize=(8, 0.62 * len(made)), dpi=110)
    FigureCanvasAgg(figure)
    for axes, (name, (_, images)) in zip(figure.subplots(len(made)), made.items(), strict=True):
        axes.imshow(strip(images, _DRAWN), cmap="gray_r", vmin=0, vmax=1)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path
