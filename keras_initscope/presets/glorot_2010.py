"""Why standard weights starve the first layers, and what happens to a deep sigmoid network.

After Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
networks", 2010, on the digits instead of theirs.

`glorot-2010`: five tanh layers of 300 units from U(-1/sqrt(n), 1/sqrt(n)), the standard of its
time, and from the normalized U(-sqrt(6/(n + m)), sqrt(6/(n + m))). The first has n Var(w) = 1/3,
so that every layer takes two thirds of signal and gradient: of the gradient's mean square 6.9e-3
reach the first layer from the fifth, of the normalized one's .316. The second learns faster. The
paper's gap between their final errors does not reproduce: these digits are too easy, and both come
to the same accuracy. Five layers are at the edge of what the rule F1 calls vanishing; with ten it
speaks, of the standard weights alone.

`glorot-2010-sigmoid`: four sigmoid layers of 300 units from standard weights. A sigmoid does not
have zero mean: all its units give .5, whatever the input, and what tells images apart has all but
collapsed in the last hidden layer. So the output layer learns to do without it, and pushes that
layer down towards 0, where the sigmoid saturates, while the layers before it stay where they were.
The paper sees it saturate; in 800 steps it comes down to a mean of about .27, and nothing is learnt
meanwhile. The same network of tanh, from normalized weights, has long learnt by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import Annotated, Any

import keras
import numpy as np

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.findings import findings, is_found, nothing_is_found
from keras_initscope.presets.losses import BatchLosses
from keras_initscope.presets.random_networks import MakeInitializer, random_layers
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.retraining import smoothed
from keras_initscope.presets.sources import DIGITS, Source
from keras_initscope.presets.training import BATCH, compiled, train
from keras_initscope.theory.moments import second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

WIDTH, DEPTH, DEEP = 300, 5, 10
LOSS_STEPS = 250
_TANH_RATE, _SIGMOID_RATE = 0.05, 0.1
INITIALIZERS: Mapping[str, MakeInitializer] = {
    "standard": lambda seed, **axes: keras.initializers.VarianceScaling(
        1 / 3, "fan_in", "uniform", seed=seed, **axes
    ),
    "normalized": keras.initializers.GlorotUniform,
}
#: Fan-in times weight variance, of the first layer (64 inputs) and of the others.
_GAINS = {"standard": (1 / 3, 1 / 3), "normalized": (64 * 2 / (64 + WIDTH), 1.0)}
#: Of the mean square of the gradient by preactivations, from the fifth layer back to the first.
_BACKWARD = {"standard": 6.920e-3, "normalized": 0.3163}
_LAST = 20  # batches whose mean loss is compared
_NEIGHBOURS = 10  # batches whose mean loss is drawn

Count = Annotated[int, Interval(low=1)]


def _ratio(rows: Sequence[Row]) -> float:
    standard, normalized = (cell("loss", start=start)(rows) for start in INITIALIZERS)
    return normalized / standard


_OF_TANH = [
    *(
        Expectation(
            claim=f"gradient of layer 1 over layer 5, {start}",
            source=f"product of n Var(w) E f'(z)^2: {ratio:.4g}",
            interval=Interval.around(ratio, relative=0.05),
            measure=cell("backward", start=start),
        )
        for start, ratio in _BACKWARD.items()
    ),
    Expectation(
        claim="loss, normalized over standard",
        source="gradients that all layers see",
        interval=Interval(high=0.6),
        measure=_ratio,
    ),
    is_found("F1", "a third of the mean square a layer, ten layers", start="standard"),
    nothing_is_found("n Var(w) = 1", start="normalized"),
]


def _tanh_networks(steps: int, data: Source) -> Networks:
    def trial(start: str, seed: int) -> Trial:
        loaded = data.load(seed)
        model = compiled(network(start, "tanh", DEPTH, loaded, seed), _optimizer(_TANH_RATE))
        return Trial(model, loaded, steps, BATCH, in_turn=True)

    return {start: partial(trial, start) for start in INITIALIZERS}


@preset(
    "glorot-2010",
    quick={"seeds": 1, "draws": 20},
    expects=_OF_TANH,
    networks=_tanh_networks,
)
def glorot_2010(
    run: Run,
    steps: Annotated[int, Interval(low=_LAST)] = LOSS_STEPS,
    seeds: Count = 3,
    draws: Count = 50,
    data: Source = DIGITS,
) -> Outcome:
    """Tanh networks from standard and from normalized weights: what the gradient keeps.

    Of the columns, `backward` and its theory are of networks of five layers that are drawn only,
    `loss` and `accuracy` of those trained for 250 steps, `findings` of ten layers at their start.
    """
    rows: list[Row] = []
    profiles: dict[str, Curve] = {}
    losses: dict[str, Curve] = {}
    for start, initializer in INITIALIZERS.items():
        layers = random_layers(initializer, "tanh", [64, *[WIDTH] * DEPTH], draws, run.seed)
        deltas = [layer.delta / layers[-1].delta for layer in layers]
        places = range(1, DEPTH + 1)
        profiles[start] = Curve(measured=(places, deltas), theory=(places, gradients(start)))
        trained = [_trained(start, data, steps, run.seed + number) for number in range(seeds)]
        mean = np.mean([values for values, _ in trained], axis=0)
        losses[start] = Curve(
            measured=(range(_NEIGHBOURS, len(mean) + 1), smoothed(mean, _NEIGHBOURS))
        )
        row: Row = {
            "start": start,
            "backward": deltas[0],
            "theory": _BACKWARD[start],
            "loss": float(np.mean(mean[-_LAST:])),
            "accuracy": float(np.mean([accuracy for _, accuracy in trained])),
            "findings": _first_look(start, data.load(run.seed), run.seed),
        }
        rows.append(row)
        run.progress(f"{start:10}  backward {row['backward']:.3g}, loss {row['loss']:.3g}")
    return Outcome(rows=rows, files=[_picture_of_tanh(run, profiles, losses)])


def gradients(start: str) -> list[float]:
    """Theory: the mean square of the gradient by each layer's preactivations, the last one's 1."""
    tanh = nonlinearity("tanh")
    first, gain = _GAINS[start]
    q, factors = first, [1.0]
    for _ in range(DEPTH - 1):
        factors.append(gain * float(slope_second_moment(tanh, q)))
        q = gain * float(second_moment(tanh, q))
    return [prod(factors[layer:]) for layer in range(1, DEPTH + 1)]


def network(start: str, activation: str, depth: int, data: Data, seed: int) -> keras.Sequential:
    """Hidden layers of one width, and a logit for each digit."""
    kernels = INITIALIZERS[start](seed=keras.random.SeedGenerator(seed))
    hidden = [
        keras.layers.Dense(WIDTH, activation, kernel_initializer=kernels, name=f"hidden_{number}")
        for number in range(1, depth + 1)
    ]
    logits = keras.layers.Dense(data.classes, kernel_initializer=kernels, name="logits")
    return keras.Sequential([keras.Input((data.features,)), *hidden, logits])


def _optimizer(rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(rate)


def _trained(start: str, data: Source, steps: int, seed: int) -> tuple[list[float], float]:
    """Loss of each batch, and accuracy on the test images."""
    losses = BatchLosses()
    loaded = data.load(seed)
    model = network(start, "tanh", DEPTH, loaded, seed)
    accuracy = train(model, loaded, steps, _optimizer(_TANH_RATE), [losses])
    return losses.values, accuracy


def _first_look(start: str, data: Data, seed: int) -> str:
    return findings(network(start, "tanh", DEEP, data, seed), data.train_x)


def _picture_of_tanh(run: Run, profiles: Mapping[str, Curve], losses: Mapping[str, Curve]) -> Any:
    backward = Panel(
        "Gradient on its way back, before training",
        "hidden layer",
        "mean square, layer 5 = 1",
        profiles,
        "y",
    )
    learning = Panel("Learning", "training step", "loss of a batch", losses, "y")
    title = "Tanh networks from standard and from normalized weights"
    return draw_curves(run.log_dir / "gradient_and_loss.png", title, [backward, learning])


SIGMOID_DEPTH = 4
NETWORKS = {"sigmoid": "standard", "tanh": "normalized"}
_LOOKS = 17


def _mean_claim(layer: int, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"mean activation of sigmoid layer {layer} at the end",
        source=source,
        interval=interval,
        measure=cell(f"mean_{layer}", activation="sigmoid"),
    )


def _accuracy_claim(activation: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"accuracy of {activation}",
        source=source,
        interval=interval,
        measure=cell("accuracy", activation=activation),
    )


_OF_SIGMOID = [
    _mean_claim(SIGMOID_DEPTH, Interval(high=0.35), "the output layer does without it"),
    _mean_claim(1, Interval.around(0.5, absolute=0.03), "no gradient reaches it"),
    _accuracy_claim("sigmoid", Interval(high=0.3), "nothing is learnt meanwhile"),
    _accuracy_claim("tanh", Interval(low=0.9), "zero mean, unit slope at zero"),
    is_found("F3", "sigmoid(0) = .5 for every image", activation="sigmoid"),
    nothing_is_found("zero mean, n Var(w) = 1", activation="tanh"),
]


def _sigmoid_networks(steps: int, data: Source) -> Networks:
    def trial(activation: str, seed: int) -> Trial:
        loaded = data.load(seed)
        model = network(NETWORKS[activation], activation, SIGMOID_DEPTH, loaded, seed)
        return Trial(compiled(model, _optimizer(_SIGMOID_RATE)), loaded, steps, BATCH, in_turn=True)

    return {activation: partial(trial, activation) for activation in NETWORKS}


@preset("glorot-2010-sigmoid", expects=_OF_SIGMOID, networks=_sigmoid_networks)
def glorot_2010_sigmoid(
    run: Run, steps: Annotated[int, Interval(low=_LOOKS)] = 800, data: Source = DIGITS
) -> Outcome:
    """A deep sigmoid network pushes its last hidden layer to 0 while the others stand still.

    Means are those of the activations on the test images at the end, `findings` of the start.
    """
    loaded = data.load(run.seed)
    rows: list[Row] = []
    panels: list[Panel] = []
    for activation, start in NETWORKS.items():
        model = network(start, activation, SIGMOID_DEPTH, loaded, run.seed)
        found = findings(model, loaded.train_x)
        monitor = VarianceMonitor(
            run.log_dir / activation,
            update_freq=steps // (_LOOKS - 1),
            quantities=("activation",),
            outputs=("tensorboard", "snapshots"),
            probe=(loaded.test_x, loaded.test_y),
        )
        accuracy = train(model, loaded, steps, _optimizer(_SIGMOID_RATE), [monitor])
        panels.append(_means_panel(activation, monitor))
        ends = {f"mean_{i}": c.measured[1][-1] for i, c in enumerate(panels[-1].curves.values(), 1)}
        rows.append({"activation": activation, "accuracy": accuracy, **ends, "findings": found})
        run.progress(f"{activation:7}  test accuracy {accuracy:.3f}")
    title = "Mean activation of the hidden layers on the test images"
    return Outcome(rows=rows, files=[draw_curves(run.log_dir / "means.png", title, panels)])


def _means_panel(activation: str, monitor: VarianceMonitor) -> Panel:
    looks = monitor.probe_history
    means = [list(look.profile("activation", "mean").values()) for look in looks]
    steps = [look.step for look in looks]
    curves = {
        f"layer {layer + 1}": Curve(measured=(steps, [values[layer] for values in means]))
        for layer in range(SIGMOID_DEPTH)
    }
    return Panel(activation, "training step", "mean activation", curves)
