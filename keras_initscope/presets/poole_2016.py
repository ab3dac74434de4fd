"""A circle of inputs on its way through a deep tanh network: it shrinks, or it grows and folds.

In a wide network with weights of variance sw^2 / n and biases of variance sb^2, preactivations come
to a variance q*, and a layer multiplies the squared length of a small step from one input to the
next by chi_1 = sw^2 E tanh'(sqrt(q*) z)^2. So a layer multiplies the length of a curve of inputs by
sqrt(chi_1): 1.152 at sw = 2, sb = .3. The circle stays within its sphere of radius sqrt(n q*)
meanwhile, so that a curve that grows must fold: that is the expressivity that the title of the
paper speaks of. In the ordered phase, at sw = 1, the factor is .837 and the circle becomes a point.

It starts as preactivations of the first layer, of variance q*, in a plane drawn at random. Its
length is that of the polygon through its points. Twelve networks of 1000 units of each kind (seeds
0 to 11) had factors that scatter by .3 % (sw = 1) and .2 % (sw = 2 and 4), with means within .5 %
of theory; of that the polygon, which cuts corners, has .2 % at sw = 4. The mean squares of their
last layers scatter by 5.7, 1.9 and .8 %.

After Poole et al., 2016, "Exponential expressivity in deep neural networks through transient chaos"
(arXiv:1606.05340), section 3; its curvature is not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import sqrt
from typing import Annotated, Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.circle_picture import draw_circles, length
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.theory.criticality import Criticality, criticality
from keras_initscope.theory.nonlinearities import nonlinearity

BIAS_DEVIATION = 0.3
#: Name of the network to sw.
WEIGHT_DEVIATIONS: Mapping[str, float] = {"ordered": 1.0, "chaotic": 2.0, "more chaotic": 4.0}
#: How far the mean square of one network can be from q*: four times the scatter told above.
_SCATTER = {"ordered": 0.23, "chaotic": 0.08, "more chaotic": 0.035}
LAYERS = 10
POINTS = 2000
CLASSES = 10  # of equal parts of the circle, for who takes one of the networks apart
_SHOWN = (1, 2, 4, 7, 10)

Width = Annotated[int, Interval(low=2)]
Count = Annotated[int, Interval(low=1)]
Circle = NDArray[np.float32]


def theory(name: str) -> Criticality:
    """What mean-field theory says of one of the networks."""
    variance = WEIGHT_DEVIATIONS[name] ** 2
    return criticality(nonlinearity("tanh"), BIAS_DEVIATION**2, variance)


def growth(name: str) -> float:
    """Theory: factor of a curve's length a layer."""
    return sqrt(theory(name).chi_1)


_EXPECTS = [
    *(
        Expectation(
            claim=f"factor of the circle's length a layer, {name}",
            source=f"sqrt(chi_1) = {growth(name):.4g} at sw = {deviation:g}, sb = {BIAS_DEVIATION}",
            interval=Interval.around(growth(name), relative=0.03),
            measure=cell("growth", network=name),
        )
        for name, deviation in WEIGHT_DEVIATIONS.items()
    ),
    *(
        Expectation(
            claim=f"mean square of the preactivations of the last layer, {name}",
            source=f"q* = {theory(name).q:.4g}",
            interval=Interval.around(theory(name).q, relative=_SCATTER[name]),
            measure=cell("mean_square", network=name),
        )
        for name in WEIGHT_DEVIATIONS
    ),
]


def _networks(width: int) -> Networks:
    def network(name: str, seed: int) -> Trial:
        circle, places = _circle(name, width, seed), np.arange(POINTS + 1) * CLASSES // (POINTS + 1)
        return Trial(_network(name, width, seed), Data(circle, places, circle, places))

    return {name: partial(network, name) for name in WEIGHT_DEVIATIONS}


@preset("poole-2016", networks=_networks, quick={"draws": 1}, expects=_EXPECTS)
def poole_2016(run: Run, width: Width = 1000, draws: Count = 4) -> Outcome:
    """The length of a circle of inputs: 1.152 times as long in each layer of a chaotic network.

    Numbers are means over draws of the network, geometric ones of `growth`.
    """
    rows: list[Row] = []
    lengths: dict[str, Any] = {}
    circles: dict[str, list[Circle]] = {}
    for name in WEIGHT_DEVIATIONS:
        run.progress(f"{draws} networks of {LAYERS} layers of {width} units, {name}")
        seeds = range(run.seed * draws, (run.seed + 1) * draws)
        passed = [_layers(_network(name, width, seed), name, seed) for seed in seeds]
        lengths[name] = np.mean([[np.log(length(each)) for each in one] for one in passed], axis=0)
        circles[name] = [passed[0][layer - 1] for layer in _SHOWN]
        factor = np.exp((lengths[name][-1] - lengths[name][0]) / (LAYERS - 1))
        rows.append(
            {
                "network": name,
                "sw": WEIGHT_DEVIATIONS[name],
                "growth": float(factor),
                "growth_theory": growth(name),
                "mean_square": float(np.mean([_mean_square(one[-1]) for one in passed])),
                "q": theory(name).q,
            }
        )
    names = [f"layer {layer}" for layer in _SHOWN]
    title = "A circle of inputs, in the plane in which it is widest: what folds leaves it"
    picture = draw_circles(run.log_dir / "circle.png", title, names, circles)
    return Outcome(rows=rows, files=[picture, _picture(run, lengths)])


def _circle(name: str, width: int, seed: int) -> Circle:
    """`(points, width)`: in a plane drawn at random, of the mean square q*; its ends meet."""
    plane = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, 2)))[0]
    angles = np.linspace(0, 2 * np.pi, POINTS + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T
    return (sqrt(width * theory(name).q) * circle).astype("float32")


def _network(name: str, width: int, seed: int) -> keras.Sequential:
    """From the preactivations of the first layer to those of the last."""
    generator = keras.random.SeedGenerator(seed)
    deviation = WEIGHT_DEVIATIONS[name] / sqrt(width)
    kernels = keras.initializers.RandomNormal(stddev=deviation, seed=generator)
    biases = keras.initializers.RandomNormal(stddev=BIAS_DEVIATION, seed=generator)
    model = keras.Sequential([keras.Input((width,))])
    for layer in range(2, LAYERS + 1):
        model.add(keras.layers.Activation("tanh"))
        model.add(
            keras.layers.Dense(
                width, kernel_initializer=kernels, bias_initializer=biases, name=f"layer_{layer}"
            )
        )
    return model


def _layers(model: keras.Sequential, name: str, seed: int) -> list[Circle]:
    """The circle as the preactivations of each layer."""
    seen: Any = _circle(name, model.input_shape[1], seed)
    found = [seen]
    for layer in model.layers:
        seen = layer(seen)
        if isinstance(layer, keras.layers.Dense):
            found.append(keras.ops.convert_to_numpy(seen))
    return found


def _mean_square(values: Circle) -> float:
    return float(np.mean(np.square(values, dtype="float64")))


def _picture(run: Run, lengths: Mapping[str, NDArray[np.float64]]) -> Any:
    layers = [float(layer) for layer in range(1, LAYERS + 1)]
    curves = {
        f"{name}, sw = {WEIGHT_DEVIATIONS[name]:g}": Curve(
            measured=(layers, np.exp(logs - logs[0])),
            theory=(layers, [growth(name) ** (layer - 1) for layer in layers]),
            joined=False,
        )
        for name, logs in lengths.items()
    }
    panel = Panel("Length of the circle", "layer", "length over that in layer 1", curves, "y")
    return draw_curves(run.log_dir / "length.png", f"tanh networks, sb = {BIAS_DEVIATION}", [panel])
