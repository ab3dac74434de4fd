"""He initialization with averaged fans, in networks whose width changes from layer to layer.

Nothing is trained. Many ReLU networks are drawn; with weights of variance v, a layer multiplies
the mean square of the signal by fan_in v / 2 and, on the way back, that of the gradient by
fan_out v / 2, at any width. So v = 2 / fan_in keeps the signal and v = 2 / fan_out the gradient.
The averaged fan, v = 4 / (fan_in + fan_out), keeps neither where the width changes:

- From 256 units down to 32 it lets both pay about alike. The other two change one of them by the
  ratio of first and last width, 8, however many layers lie between: no reason to prefer one.
- From 300 to 100 and back again it loses, in both directions, a quarter of the mean square for
  every two layers, which depth makes exponential. The other two are back where they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import prod, sqrt
from typing import Annotated, Any

import keras

from keras_initscope.initializers import HeAverageNormal, HeAverageUniform
from keras_initscope.presets.depth_picture import draw_depth_picture
from keras_initscope.presets.experiment import Networks
from keras_initscope.presets.random_networks import (
    MakeInitializer,
    RandomLayer,
    drawn_network,
    random_layers,
)
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell

Fans = tuple[int, int]

WIDTHS = {
    "taper": (256, 181, 128, 91, 64, 45, 32),
    "zigzag": (300, 100, 300, 100, 300, 100, 300),
}
INITIALIZERS: Mapping[str, MakeInitializer] = {
    "average-normal": HeAverageNormal,
    "average-uniform": HeAverageUniform,
    "he-fan-in": keras.initializers.HeNormal,
    "he-fan-out": partial(keras.initializers.VarianceScaling, 2.0, "fan_out"),
}
_TITLE = "Mean square in ReLU networks of changing width, before training"
#: Keras cuts normal weights off at two standard deviations of the normal they are cut from.
_TRUNCATION = 2 / 0.87962566103423978

Draws = Annotated[int, Interval(low=1)]


def _variance(initializer: str, fan_in: int, fan_out: int) -> float:
    fans = {"he-fan-in": fan_in, "he-fan-out": fan_out}
    return 2 / fans.get(initializer, (fan_in + fan_out) / 2)


def _limit(initializer: str, fans: Fans) -> float:
    """Largest magnitude of a weight; sqrt(12 / (fan_in + fan_out)) of the uniform one."""
    in_stddevs = sqrt(3) if initializer.endswith("uniform") else _TRUNCATION
    return in_stddevs * sqrt(_variance(initializer, *fans))


def _signal(initializer: str, layers: Sequence[Fans]) -> float:
    return prod(fans[0] * _variance(initializer, *fans) / 2 for fans in layers)


def _gradient(initializer: str, layers: Sequence[Fans]) -> float:
    return prod(fans[1] * _variance(initializer, *fans) / 2 for fans in layers)


def _layers(network: str) -> list[Fans]:
    return list(pairwise(WIDTHS[network]))


def _weight_claims(distribution: str) -> list[Expectation]:
    name, fans = f"average-{distribution}", (300, 100)
    where: dict[str, Any] = {"network": "zigzag", "initializer": name, "layer": 1}
    limit = _limit(name, fans)
    return [
        Expectation(
            claim=f"variance of {distribution} weights, 300 x 100",
            source="4 / (300 + 100)",
            interval=Interval.around(0.01, relative=0.01),
            measure=cell("variance", **where),
        ),
        Expectation(
            claim=f"largest of {distribution} weights, 300 x 100",
            source="sqrt(12 / 400)" if distribution == "uniform" else "2 x 0.1 / 0.8796",
            interval=Interval(low=0.99 * limit, high=limit * (1 + 1e-6)),  # of float32
            measure=cell("largest", **where),
        ),
    ]


def _worst_variance(rows: Sequence[Row]) -> float:
    return max(abs(float(row["variance"]) / float(row["variance_theory"]) - 1) for row in rows)


def _gain_claim(
    network: str, initializer: str, column: str, theory: Callable[[str, Sequence[Fans]], float]
) -> Expectation:
    layers = _layers(network)
    expected = theory(initializer, layers)
    layer = len(layers) if column == "signal" else 1
    return Expectation(
        claim=f"{column} through the whole {network} with {initializer}",
        source=f"product of {'fan_in' if column == 'signal' else 'fan_out'} v / 2: {expected:.4g}",
        # Four standard errors of 100 draws: a taper scatters by sqrt(prod(1 + 5 / fan_in) - 1).
        interval=Interval.around(expected, relative=0.25),
        measure=cell(column, network=network, initializer=initializer, layer=layer),
    )


_EXPECTS = [
    *_weight_claims("normal"),
    *_weight_claims("uniform"),
    Expectation(
        claim="largest relative error of a variance in the table",
        source="4 / (fan_in + fan_out), 2 / fan_in, 2 / fan_out",
        interval=Interval(high=0.015),  # 5 standard errors: 100 draws of 45 x 32 weights
        measure=_worst_variance,
    ),
    *(
        _gain_claim(network, initializer, column, theory)
        for network in WIDTHS
        for initializer in INITIALIZERS
        for column, theory in (("signal", _signal), ("gradient", _gradient))
    ),
]


def _networks() -> Networks:
    return {
        f"{network}, {name}": partial(drawn_network, initializer, "relu", widths)
        for network, widths in WIDTHS.items()
        for name, initializer in INITIALIZERS.items()
    }


@preset("he-average", quick={"draws": 100}, expects=_EXPECTS, networks=_networks)
def he_average(run: Run, draws: Draws = 200) -> Outcome:
    """Averages the fans of He's variance: what ReLU networks of changing width gain and lose."""
    rows: list[Row] = []
    drawn: dict[str, dict[str, list[RandomLayer]]] = {network: {} for network in WIDTHS}
    for network, widths in WIDTHS.items():
        for name, initializer in INITIALIZERS.items():
            run.progress(f"{draws} networks: {network} with {name}")
            layers = random_layers(initializer, "relu", widths, draws, run.seed)
            drawn[network][name] = layers
            rows += _rows(network, name, layers)
    picture = draw_depth_picture(run.log_dir / "signal_and_gradient.png", _TITLE, _panels(drawn))
    return Outcome(rows=rows, files=[picture])


def _rows(network: str, initializer: str, layers: Sequence[RandomLayer]) -> list[Row]:
    fans = _layers(network)
    return [
        {
            "network": network,
            "initializer": initializer,
            "layer": number,
            "kernel": f"{layer.fan_in} x {layer.fan_out}",
            "variance": layer.weight_variance,
            "variance_theory": _variance(initializer, *fans[number - 1]),
            "largest": layer.largest_weight,
            "limit": _limit(initializer, fans[number - 1]),
            "signal": layer.signal,
            "signal_theory": _signal(initializer, fans[:number]),
            "gradient": layer.gradient,
            "gradient_theory": _gradient(initializer, fans[number - 1 :]),
        }
        for number, layer in enumerate(layers, start=1)
    ]


def _panels(
    drawn: Mapping[str, Mapping[str, Sequence[RandomLayer]]],
) -> dict[str, dict[str, dict[str, list[float]]]]:
    return {
        name: {
            network: {key: [getattr(layer, name) for layer in row] for key, row in lines.items()}
            for network, lines in drawn.items()
        }
        for name in ("signal", "gradient")
    }
