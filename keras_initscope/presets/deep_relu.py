"""What depth does to ReLU networks at initialization: Xavier's weights, and He's.

`xavier-relu`: a ReLU halves the mean square of what comes in symmetric, so that a layer multiplies
it by n Var(w) / 2: by 1/2 with Xavier's n Var(w) = 1, which leaves 2^-30 = 9.3e-10 after 30 layers,
and by 1 with He's 2. For the gradient on its way back the same holds.

`correlation-collapse`: that He's weights keep the mean square is not all there is to it. Two
examples whose cosine is c in front of a layer have C(c) = (sqrt(1 - c^2) + c (pi - acos c)) / pi
behind it, which is larger: uncorrelated ones come to .318, .736, .872 and .988 after 1, 5, 10 and
50 layers, and all images look alike to the last layers although none of them has shrunk. A ReLU
does that slowly, as 1 - c = 9 pi^2 / (2 l^2), and F3 is a rule of collapse that is exponential: it
speaks of the tanh network with small weights and larger biases, whose images come together by a
constant factor a layer. A tanh network at the edge of chaos keeps them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import log2, sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.depth_picture import draw_depth_picture
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.random_networks import (
    EXAMPLES,
    MakeInitializer,
    drawn_network,
    random_layers,
)
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.meanfield import correlation_map, variance_map
from keras_initscope.theory.nonlinearities import nonlinearity

DEPTH, WIDTH = 30, 512
#: Name to initializer and the logarithm, of base 2, of what a layer makes of the mean square.
INITIALIZERS: Mapping[str, tuple[MakeInitializer, float]] = {
    "xavier": (keras.initializers.GlorotNormal, -1.0),
    "he": (keras.initializers.HeNormal, 0.0),
}

Count = Annotated[int, Interval(low=1)]

_OF_XAVIER = [
    *(
        Expectation(
            claim=f"log2 of the factor of the {column} a layer, {name}",
            source="n Var(w) / 2",
            interval=Interval.around(slope, absolute=0.05),
            measure=cell(f"{column}_slope", initializer=name),
        )
        for column in ("signal", "gradient")
        for name, (_, slope) in INITIALIZERS.items()
    ),
    is_found("F1", "2^-30 of the mean square is left", initializer="xavier"),
    nothing_is_found("n Var(w) / 2 = 1", initializer="he"),
]


def _relu_networks() -> Networks:
    widths = [WIDTH] * (DEPTH + 1)
    return {
        name: partial(drawn_network, initializer, "relu", widths)
        for name, (initializer, _) in INITIALIZERS.items()
    }


@preset("xavier-relu", expects=_OF_XAVIER, networks=_relu_networks)
def xavier_relu(run: Run, draws: Count = 10) -> Outcome:
    """ReLU networks of 30 layers: with Xavier's weights the signal halves at each, with He's never.

    Mean squares are means over the draws: those of single networks scatter by half of their size.
    """
    rows: list[Row] = []
    lines: dict[str, dict[str, list[float]]] = {"signal": {}, "gradient": {}}
    for name, (initializer, _) in INITIALIZERS.items():
        run.progress(f"{draws} networks of {DEPTH} layers, {name}")
        drawn = [
            random_layers(initializer, "relu", [WIDTH] * (DEPTH + 1), 1, run.seed * draws + number)
            for number in range(draws)
        ]
        for column, values in lines.items():
            each = [[getattr(layer, column) for layer in layers] for layers in drawn]
            values[name] = [float(mean) for mean in np.mean(each, axis=0)]
        signal, gradient = lines["signal"][name], lines["gradient"][name]
        kernels = initializer(seed=keras.random.SeedGenerator(run.seed))
        found = _look("relu", DEPTH, kernels, "zeros", run.seed)
        rows.append(
            {
                "initializer": name,
                "signal_left": signal[-1],
                "signal_slope": _slope(signal),
                "gradient_left": gradient[0],
                "gradient_slope": _slope(gradient[::-1]),
                "findings": found,
            }
        )
    panels = {f"{column}: mean square": {"ReLU": each} for column, each in lines.items()}
    title = f"{DEPTH} ReLU layers before training"
    return Outcome(rows=rows, files=[draw_depth_picture(run.log_dir / "depth.png", title, panels)])


def _slope(values: Sequence[float]) -> float:
    return log2(values[-1] / values[0]) / (len(values) - 1)


def _look(activation: str, depth: int, kernels: Any, biases: Any, seed: int) -> str:
    """Findings of a network of width 128 before training."""
    model, x = _looked_at(activation, depth, kernels, biases, seed)
    return findings(model, x)


def _looked_at(
    activation: str, depth: int, kernels: Any, biases: Any, seed: int
) -> tuple[keras.Sequential, NDArray[np.float32]]:
    hidden = [
        keras.layers.Dense(
            128, activation, kernel_initializer=kernels, bias_initializer=biases, name=f"hidden_{n}"
        )
        for n in range(1, depth + 1)
    ]
    x = np.random.default_rng(seed).normal(size=(64, 128)).astype("float32")
    return keras.Sequential([keras.Input((128,)), *hidden]), x


class Network(NamedTuple):
    """What decides over the fate of a cosine: activation, n Var(w) and Var(b)."""

    activation: str
    weights: float
    biases: float


RELU, ORDERED, CRITICAL = "relu, he", "tanh, ordered", "tanh, critical"
NETWORKS = {
    RELU: Network("relu", 2.0, 0.0),
    ORDERED: Network("tanh", 0.5, 0.3),
    CRITICAL: Network("tanh", 1.76, 0.05),
}
LAYERS, LOOKED_AT = 50, 20
_ROUNDING = 1e-13
#: Cosine of two examples that were orthogonal, behind so many ReLU layers.
_COSINES = {1: 0.31830989, 5: 0.73594635, 10: 0.87153552, 50: 0.98786194}


def cosines(network: Network, layers: int = LAYERS) -> list[float]:
    """Theory: of the preactivations of examples whose inputs are orthogonal, layer by layer.

    The first one belongs to the second layer, which is that of the first layer's activations where
    there are no biases.
    """
    phi = nonlinearity(network.activation)
    q = network.weights + network.biases
    c = network.biases / q
    found = []
    for _ in range(layers):
        c = float(correlation_map(phi, c, q, network.weights, network.biases))
        q = float(variance_map(phi, q, network.weights, network.biases))
        found.append(c)
    return found


_OF_COLLAPSE = [
    *(
        Expectation(
            claim=f"cosine behind {layer} ReLU layers, by the map of correlations",
            source="C(c) in closed form",
            interval=Interval.around(value, absolute=1e-7),
            measure=cell("theory", network=RELU, layer=layer),
        )
        for layer, value in _COSINES.items()
    ),
    *(
        Expectation(
            claim=f"cosine behind {layer} ReLU layers, drawn",
            source=f"{_COSINES[layer]:.3g} in the limit of infinite width",
            interval=Interval.around(_COSINES[layer], absolute=0.03),
            measure=cell("measured", network=RELU, layer=layer),
        )
        for layer in (1, 5, 10)
    ),
    is_found(
        "F3", "what tells examples apart shrinks exponentially", network=ORDERED, layer=LAYERS
    ),
    nothing_is_found("the edge of chaos", network=CRITICAL, layer=LAYERS),
]


def _collapsing_networks() -> Networks:
    def trial(network: Network, seed: int) -> Trial:
        model, x = _looked_at(network.activation, LOOKED_AT, *_drawing(network, seed), seed)
        classes = np.zeros(len(x), "int64")
        return Trial(model, Data(x, classes, x, classes))

    return {name: partial(trial, network) for name, network in NETWORKS.items()}


@preset("correlation-collapse", expects=_OF_COLLAPSE, networks=_collapsing_networks)
def correlation_collapse(run: Run, draws: Count = 10) -> Outcome:
    """Deep networks make examples look alike: ReLU slowly, ordered tanh fast, critical tanh least.

    `measured` is the mean cosine of the next layer's preactivations over pairs of 16 examples and
    over draws of width 512, `findings` is of networks of 20 layers.
    """
    rows: list[Row] = []
    curves: dict[str, Curve] = {}
    for name, network in NETWORKS.items():
        run.progress(f"{draws} networks of {LAYERS} layers, {name}")
        found = _findings(network, run.seed)
        theory, measured = cosines(network), _measured(network, draws, run.seed)
        curves[name] = Curve(_apart(measured), _apart(theory))
        rows += [
            {
                "network": name,
                "layer": layer,
                "measured": float(measured[layer - 1]),
                "theory": theory[layer - 1],
                "findings": found,
            }
            for layer in _COSINES
        ]
    panel = Panel("How far examples stay apart", "layer", "1 - cosine", curves, "y")
    title = "Orthogonal examples, before training"
    return Outcome(rows=rows, files=[draw_curves(run.log_dir / "cosines.png", title, [panel])])


def _apart(cosines: Sequence[float] | NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Layers and 1 - cosine, as long as it is more than rounding."""
    apart = [(layer, 1 - float(c)) for layer, c in enumerate(cosines, 1) if 1 - c > _ROUNDING]
    return [layer for layer, _ in apart], [value for _, value in apart]


def _findings(network: Network, seed: int) -> str:
    return _look(network.activation, LOOKED_AT, *_drawing(network, seed), seed)


def _drawing(network: Network, seed: int) -> tuple[Any, Any]:
    """Initializers of kernels and of biases."""
    generator = keras.random.SeedGenerator(seed)
    weights, biases = (
        keras.initializers.RandomNormal(stddev=sqrt(variance), seed=generator)
        for variance in (network.weights / 128, network.biases)
    )
    return weights, biases


def _measured(network: Network, draws: int, seed: int) -> NDArray[np.float64]:
    """`(layers,)` cosines of preactivations, means over draws and pairs."""
    random = np.random.default_rng(seed)
    phi = nonlinearity(network.activation).f
    found = np.empty((draws, LAYERS))
    for draw in range(draws):
        values = np.linalg.qr(random.normal(size=(WIDTH, EXAMPLES)))[0].T * sqrt(WIDTH)
        for layer in range(-1, LAYERS):
            kernel = random.normal(0, sqrt(network.weights / WIDTH), (WIDTH, WIDTH))
            z = values @ kernel + random.normal(0, sqrt(network.biases), WIDTH)
            if layer >= 0:
                found[draw, layer] = _mean_cosine(z)
            values = phi(z)
    return np.mean(found, axis=0)


def _mean_cosine(z: NDArray[np.float64]) -> float:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return float((unit @ unit.T)[np.triu_indices(len(unit), 1)].mean())
