"""What batch normalization holds still, and what it costs.

After Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing
internal covariate shift", 2015. While a network learns, the inputs of its later layers move: on the
same test images the units of the fifth ReLU layer drift by many of their standard deviations. With
batch normalization in front of each ReLU they hardly do, by construction: it pins mean and variance
of each unit. That this is why it helps is another claim, which does not follow; the plain
network learns the digits as well (and see Santurkar et al., 2018, arXiv:1805.11604).

It has a price at initialization, which the articles do not mention. Forward it keeps every mean
square at 1, whatever the weights. On its way back the gradient is multiplied at each layer by
E f'(z)^2 / Var f(z), z ~ N(0, 1), whatever the weights: 1.467 for ReLU, 1.178 for tanh, 1.072 for
SELU (Yang et al., 2019, arXiv:1902.08129). So gradients explode with depth in a plain network with
batch normalization, for ReLU by 1.467^39 = 3.1e6 over forty layers; what keeps them in residual
networks is the path past the blocks. The rule B2 bears with e^12 = 1.6e5 of it, since normalized
weights hold themselves back: larger steps make them larger, and their gradients smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.inspection import inspect
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data, noise
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings_of, is_found, nothing_is_found
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.training import BATCH, compiled, train
from keras_initscope.records import Quantity
from keras_initscope.theory.moments import output_mean, second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

WIDTH, EXAMPLES = 512, 256
#: Layers of each network: as many as make B2 speak, or keep it silent.
DEPTHS = {"relu": 40, "tanh": 20, "selu": 20}
TRAINED_DEPTH, TRAINED_WIDTH = 5, 100
NETWORKS = {"plain": False, "normalized": True}
#: Factor of the squared gradient at each normalized layer.
_GROWTH = {"relu": 1.4669, "tanh": 1.1778, "selu": 1.0716}
_LOOKS = 10

Steps = Annotated[int, Interval(low=_LOOKS)]


def growth(activation: str) -> float:
    """Theory: `E f'(z)^2 / Var f(z)`, `z ~ N(0, 1)`."""
    phi = nonlinearity(activation)
    variance = float(second_moment(phi)) - float(output_mean(phi)) ** 2
    return float(slope_second_moment(phi)) / variance


def _claim(network: str, column: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"{column} of {network}",
        source=source,
        interval=interval,
        measure=cell(column, network=network),
    )


_EXPECTS = [
    *(
        _claim(
            f"{activation}, {DEPTHS[activation]} normalized layers",
            "growth",
            Interval.around(factor, relative=0.04),
            f"E f'(z)^2 / Var f(z) = {factor}",
        )
        for activation, factor in _GROWTH.items()
    ),
    is_found("B2", "1.467^39 is more than e^12", network="relu, 40 normalized layers"),
    nothing_is_found("1.072^19 = 3.7", network="selu, 20 normalized layers"),
    _claim("plain, trained", "drift", Interval(low=1.0), "nothing holds the units"),
    _claim("normalized, trained", "drift", Interval(high=0.3), "mean and variance are pinned"),
    *(
        _claim(f"{name}, trained", "accuracy", Interval(low=0.9), "both learn the digits")
        for name in NETWORKS
    ),
]


def _networks(steps: int) -> Networks:
    def trained(name: str, seed: int) -> Trial:
        data = digits(seed)
        model = compiled(_classifier(name, data, seed), _optimizer())
        return Trial(model, data, steps, BATCH, in_turn=True)

    def drawn(activation: str, seed: int) -> Trial:
        return Trial(_deep(activation, seed), noise(WIDTH, EXAMPLES, seed))

    deep = {_deep_title(name): partial(drawn, name) for name in DEPTHS}
    return {**deep, **{f"{name}, trained": partial(trained, name) for name in NETWORKS}}


@preset("covariate-shift", expects=_EXPECTS, networks=_networks)
def covariate_shift(run: Run, steps: Steps = 220) -> Outcome:
    """Batch normalization: units that hardly drift in training, and a gradient that explodes.

    `growth` is the factor of the mean square of the gradient a layer on its way back, before
    training; `drift` is how far the units of the last hidden layer have moved on the test images in
    training, in their standard deviations at the start.
    """
    rows: list[Row] = []
    profiles: dict[str, Curve] = {}
    for activation in _GROWTH:
        row, profiles[activation] = _backward(activation, run.seed)
        rows.append(row)
        run.progress(f"{activation:4}  gradient {row['growth']:.4f} a layer")
    drifts: dict[str, Curve] = {}
    for name in NETWORKS:
        row, drifts[name] = _trained(run, name, steps)
        rows.append(row)
        run.progress(f"{name:10}  drift {row['drift']:.2f}, accuracy {row['accuracy']:.3f}")
    return Outcome(rows=rows, files=[_picture(run, drifts, profiles)])


def _network(
    activation: str, widths: tuple[int, ...], seed: int, *, normalized: bool
) -> keras.Sequential:
    """Dense layers, each with its activation behind it and, if asked for, normalization between."""
    kernels = keras.initializers.HeNormal(seed=keras.random.SeedGenerator(seed))
    dense = partial(keras.layers.Dense, kernel_initializer=kernels)
    model = keras.Sequential([keras.Input((widths[0],))])
    for number, width in enumerate(widths[1:], 1):
        model.add(dense(width, use_bias=not normalized, name=f"dense_{number}"))
        if normalized:
            model.add(keras.layers.BatchNormalization(name=f"normalization_{number}"))
        model.add(keras.layers.Activation(activation, name=f"{activation}_{number}"))
    return model


def _deep_title(activation: str) -> str:
    return f"{activation}, {DEPTHS[activation]} normalized layers"


def _deep(activation: str, seed: int) -> keras.Sequential:
    return _network(activation, (WIDTH,) * (DEPTHS[activation] + 1), seed, normalized=True)


def _inputs(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(EXAMPLES, WIDTH)).astype("float32")


def _classifier(name: str, data: Data, seed: int) -> keras.Sequential:
    widths = (data.features, *[TRAINED_WIDTH] * TRAINED_DEPTH)
    model = _network("relu", widths, seed, normalized=NETWORKS[name])
    kernels = keras.initializers.GlorotNormal(seed=seed)
    model.add(keras.layers.Dense(data.classes, kernel_initializer=kernels, name="logits"))
    return model


def _optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.1)


def _backward(activation: str, seed: int) -> tuple[dict[str, Any], Curve]:
    report = inspect(_deep(activation, seed), _inputs(seed))
    sizes = report.measured.profile(Quantity.PREACTIVATION_GRADIENT, "root_mean_square")
    squares = [size**2 for path, size in sizes.items() if path.startswith("dense")]
    squares = squares[1:]  # the first layer's inputs are no activations
    theory = growth(activation)
    row = {
        "network": _deep_title(activation),
        "growth": (squares[0] / squares[-1]) ** (1 / (len(squares) - 1)),
        "theory": theory,
        "drift": "",
        "accuracy": "",
        "findings": findings_of(report),
    }
    behind = range(len(squares))
    back = [square / squares[-1] for square in squares[::-1]]
    return row, Curve((behind, back), (behind, [theory**layers for layers in behind]))


def _trained(run: Run, name: str, steps: int) -> tuple[dict[str, Any], Curve]:
    data = digits(run.seed)
    model = _classifier(name, data, run.seed)
    monitor = VarianceMonitor(
        run.log_dir / name,
        update_freq=max(1, steps // _LOOKS),
        quantities=("activation",),
        outputs=("tensorboard", "snapshots"),
        probe=(data.test_x, data.test_y),
    )
    accuracy = train(model, data, steps, _optimizer(), [monitor])
    looks = monitor.probe_history
    last = f"relu_{TRAINED_DEPTH}"
    drift = [look.profile("activation", "drift_from_start").get(last, 0.0) for look in looks]
    row = {
        "network": f"{name}, trained",
        "growth": "",
        "theory": "",
        "drift": drift[-1],
        "accuracy": accuracy,
        "findings": "",
    }
    return row, Curve(measured=([look.step for look in looks], drift))


def _picture(run: Run, drifts: Mapping[str, Curve], profiles: Mapping[str, Curve]) -> Path:
    panels = [
        Panel(
            f"Drift of ReLU layer {TRAINED_DEPTH} on the test images",
            "training step",
            "root mean square shift in deviations",
            drifts,
        ),
        Panel(
            "Gradient with normalization, before training",
            "layers on its way back",
            "mean square, last layer = 1",
            profiles,
            "y",
        ),
    ]
    return draw_curves(run.log_dir / "shift.png", "Batch normalization", panels)
