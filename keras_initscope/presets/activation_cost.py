"""What an activation costs, forward and in training, as a multiple of what ReLU costs.

Articles say that ReLU is cheap since it needs no exponential. Each activation is applied to 2^20
numbers in turns with ReLU, and the median of the ratios of fifteen turns is taken, so that whatever
else the machine does falls on both; that is done several times, and the table has the median of
those medians with the lowest and the highest. Two rows are a check on the clock: ReLU beside
itself, and the identity, which does nothing.

The numbers are this machine's, this backend's and this hour's. What is claimed is only what none
should overturn: ReLU costs what ReLU costs, and an exponential is no bargain. The order among the
functions of exponentials is no claim: compilers vectorize the exponential, and a pass over so many
numbers waits for memory as well. Nor is it a reason to choose: a layer of 1000 units spends 2000
operations on the number that each activation takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_initscope import layers
from keras_initscope.inspection.cost import timed
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.records import Cost

KINDS = {
    "nothing": ("linear",),
    "piecewise linear": ("relu", "leaky_relu", "relu6", "hard_sigmoid", "rrelu"),
    "rational": ("softsign",),
    "exponential": ("sigmoid", "tanh", "softplus", "elu", "selu", "silu", "mish", "lecun_tanh"),
    "error function": ("gelu",),
}
_OWN = {"rrelu": layers.RReLU, "lecun_tanh": layers.LeCunTanh}
_COLORS = {"forward": "#0072B2", "training": "#D55E00"}

Count = Annotated[int, Interval(low=1)]


def _median_of(kind: str, column: str) -> Expectation:
    return Expectation(
        claim=f"{column}, median of the activations with an {kind}",
        source="more operations than a comparison; half as a margin for the clock",
        interval=Interval(low=0.5),
        measure=lambda rows: float(np.median([row[column] for row in rows if row["kind"] == kind])),
    )


_EXPECTS = [
    Expectation(
        claim="ReLU forward, beside itself",
        source="a check on the clock; a factor of three as a margin",
        interval=Interval(low=1 / 3, high=3.0),
        measure=cell("forward", activation="relu"),
    ),
    _median_of("exponential", "forward"),
    _median_of("exponential", "training"),
]


def _networks() -> Networks:
    def trial(name: str, seed: int) -> Trial:
        model = keras.Sequential([keras.Input((64,)), _layer(name)])
        return Trial(model, noise(64, 256, seed))

    return {name: partial(trial, name) for names in KINDS.values() for name in names}


@preset("activation-cost", quick={"repeats": 3}, expects=_EXPECTS, networks=_networks)
def activation_cost(run: Run, repeats: Count = 7) -> Outcome:
    """Times activations beside ReLU, forward and with their derivative, as ratios.

    `lowest` and `highest` are of the repeats in training.
    """
    rows: list[Row] = []
    for kind, names in KINDS.items():
        for name in names:
            costs = [timed(_function(name)) for _ in range(repeats)]
            rows.append({"activation": name, "kind": kind, **_columns(costs)})
            numbers = f"forward {rows[-1]['forward']:.2f}, training {rows[-1]['training']:.2f}"
            run.progress(f"{name:12}  {numbers}")
    return Outcome(rows=rows, files=[_draw(run.log_dir / "cost.png", rows)])


def _columns(costs: Sequence[Cost]) -> dict[str, float]:
    training = [cost.training for cost in costs]
    return {
        "forward": float(np.median([cost.forward for cost in costs])),
        "training": float(np.median(training)),
        "lowest": min(training),
        "highest": max(training),
    }


def _layer(name: str) -> keras.Layer:
    return _OWN[name]() if name in _OWN else keras.layers.Activation(name)


def _function(name: str) -> Any:
    return _OWN[name]() if name in _OWN else keras.activations.get(name)


def _draw(path: Path, rows: Sequence[Row]) -> Path:
    """A pair of bars for each activation, cheapest in training on top."""
    ordered = sorted(rows, key=lambda row: -float(row["training"]))
    figure = Figure(figsize=(8, 0.42 * len(rows) + 1.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = np.arange(len(ordered))
    for shift, (column, color) in zip((0.2, -0.2), _COLORS.items(), strict=True):
        widths = [float(row[column]) for row in ordered]
        axes.barh(places + shift, widths, 0.38, color=color, label=column)
    axes.axvline(1, color="#777777", linestyle=":", label="ReLU")
    axes.set_yticks(places, [f"{row['activation']}  ({row['kind']})" for row in ordered])
    axes.set(xlabel="time, that of ReLU being 1", title="What an activation costs")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(loc="lower right")
    figure.savefig(path, format="png")
    return path
