"""Kumar's variance for the sigmoid: a deep sigmoid network that trains, beside three that do not.

With pre-activations z ~ N(0, q), a layer multiplies the squared gradient by
chi_1 = fan_in Var(w) E f'(z)^2, and the sigmoid's slope f' is 1/4 at most. With
fan_in Var(w) = 1 (Xavier) that is 0.0557 a layer at the fixed point of q, with 2 (He) 0.1010, with
Kumar's 1 / (f'(0)^2 (1 + f(0)^2)) = 12.8 it is 0.3538 (and .3562 with 3.6^2, as the paper rounds
it). Through five layers the gradient's size, the root of it, falls to 1/1364, 1/308 and 1/13.

First many networks are drawn and chi_1 is measured. Then one network of each is trained on the
digits by plain gradient descent, at the best of three learning rates, with a VarianceMonitor in
each run. What the first three lack is time, not the means: at a rate of 1 He's network begins to
learn after some 600 steps, Xavier's after some 2000.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import keras

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.initializers import Kumar
from keras_initscope.prediction.gains import criticality
from keras_initscope.presets.data import Data
from keras_initscope.presets.depth_picture import draw_depth_picture
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.random_networks import MakeInitializer, random_layers
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.sources import DIGITS, Source
from keras_initscope.presets.training import BATCH, accuracy, compiled, steps_per_pass, train

DEPTH, WIDTH = 5, 128
RATES = (1.0, 0.1, 0.01)


def _small(seed: Any, **axes: Any) -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.01, seed=seed)


#: Fan-in times weight variance, of which theory knows chi_1.
GAINS = {"small": 0.01**2 * WIDTH, "xavier": 1.0, "he": 2.0, "kumar": 12.8}
INITIALIZERS: Mapping[str, MakeInitializer] = {
    "small": _small,
    "xavier": keras.initializers.GlorotNormal,
    "he": keras.initializers.HeNormal,
    "kumar": partial(Kumar, "sigmoid"),
}
_CHI_1 = {"small": 7.987e-4, "xavier": 0.05572, "he": 0.1010, "kumar": 0.3538}
#: Its claims hold for the layers where q has come to its fixed point, whatever the input.
_SETTLED = 2
_OUTPUTS = ("tensorboard", "snapshots")
_QUANTITIES = ("kernel", "activation", "activation_gradient", "kernel_gradient")
_TITLE = "Sigmoid networks before training and at its end"

Count = Annotated[int, Interval(low=1)]
Rates = Annotated[int, Interval(low=1, high=len(RATES))]
Looks = dict[str, dict[str, list[float]]]


def _accuracy_claim(initializer: str, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"accuracy of {initializer} on the training images",
        source=source,
        interval=interval,
        measure=cell("train_accuracy", initializer=initializer),
    )


_EXPECTS = [
    *(
        Expectation(
            claim=f"chi_1 of {name}",
            source=f"mean-field theory at the fixed point of q: {chi:.4g}",
            interval=Interval.around(chi, relative=0.05),
            measure=cell("chi_1", initializer=name),
        )
        for name, chi in _CHI_1.items()
    ),
    _accuracy_claim("kumar", Interval(low=0.95), "a gradient 1/13 as large in front"),
    _accuracy_claim("he", Interval(high=0.3), "a gradient 1/308 as large in front"),
    _accuracy_claim("xavier", Interval(high=0.3), "a gradient 1/1364 as large in front"),
    _accuracy_claim("small", Interval(high=0.3), "signal and gradient vanish"),
]


def _networks(steps: int, data: Source) -> Networks:
    def trial(name: str, seed: int) -> Trial:
        loaded = data.load(seed)
        model = compiled(_network(name, loaded, seed), keras.optimizers.SGD(RATES[0]))
        return Trial(model, loaded, steps, BATCH, in_turn=True)

    return {name: partial(trial, name) for name in INITIALIZERS}


@preset("kumar-2017", quick={"rates": 1, "draws": 100}, expects=_EXPECTS, networks=_networks)
def kumar_2017(
    run: Run, steps: Count = 400, rates: Rates = 3, draws: Count = 200, data: Source = DIGITS
) -> Outcome:
    """Trains a five-layer sigmoid network, which only Kumar's variance makes possible."""
    loaded = data.load(run.seed)
    rows: list[Row] = []
    looks: dict[str, Looks] = {}
    for name in INITIALIZERS:
        trained = [_trained(run, name, loaded, steps, rate) for rate in RATES[:rates]]
        best, looks[name] = max(trained, key=lambda entry: entry[0]["train_accuracy"])
        rows.append({"initializer": name, **_chi_1(name, draws, run.seed), **best})
        run.progress(_progress_line(rows[-1]))
    picture = run.log_dir / "signal_and_gradient.png"
    draw_depth_picture(picture, _TITLE, _panels(looks))
    return Outcome(rows=rows, files=[picture])


def _chi_1(name: str, draws: int, seed: int) -> dict[str, float]:
    layers = random_layers(INITIALIZERS[name], "sigmoid", [WIDTH] * (DEPTH + 1), draws, seed)
    passed = DEPTH - _SETTLED
    return {
        "gain": layers[0].weight_variance * WIDTH,
        "chi_1": layers[_SETTLED].gradient ** (1 / passed),
        "chi_1_theory": criticality("sigmoid", weight_variance=GAINS[name]).chi_1,
    }


def _trained(
    run: Run, name: str, data: Data, steps: int, rate: float
) -> tuple[dict[str, float], Looks]:
    model = _network(name, data, run.seed)
    monitor = _monitor(run.log_dir / f"{name}-rate-{rate:g}", steps_per_pass(data))
    test_accuracy = train(model, data, steps, keras.optimizers.SGD(rate), [monitor])
    numbers = {
        "rate": rate,
        "train_accuracy": accuracy(model, data.train_x, data.train_y),
        "test_accuracy": test_accuracy,
    }
    return numbers, _look(monitor)


def _network(name: str, data: Data, seed: int) -> keras.Sequential:
    kernels = INITIALIZERS[name](seed=keras.random.SeedGenerator(seed))
    hidden = [
        keras.layers.Dense(WIDTH, "sigmoid", kernel_initializer=kernels, name=f"hidden_{number}")
        for number in range(1, DEPTH + 1)
    ]
    logits = keras.layers.Dense(data.classes, kernel_initializer=kernels, name="logits")
    return keras.Sequential([keras.Input((data.features,)), *hidden, logits])


def _monitor(log_dir: Path, frequency: int) -> VarianceMonitor:
    return VarianceMonitor(
        log_dir,
        update_freq=frequency,
        quantities=_QUANTITIES,
        outputs=_OUTPUTS,
        on_finding="ignore",
    )


def _look(monitor: VarianceMonitor) -> Looks:
    """Signal and gradient of the hidden layers, at the first step and at the last."""
    moments = {f"step {look.step}": look for look in (monitor.history[0], monitor.history[-1])}
    wanted = {
        "signal: variance over examples": ("activation", "signal"),
        "gradient variance": ("activation_gradient", "variance"),
    }
    return {
        label: {
            step: list(snapshot.profile(*address).values())[:DEPTH]
            for step, snapshot in moments.items()
        }
        for label, address in wanted.items()
    }


def _panels(looks: Mapping[str, Looks]) -> dict[str, Any]:
    some = next(iter(looks.values()))
    return {
        label: {
            moment: {name: look[label][moment] for name, look in looks.items()}
            for moment in moments
        }
        for label, moments in some.items()
    }


def _progress_line(row: Row) -> str:
    return f"{row['initializer']:7} accuracy {row['train_accuracy']:.3f}, chi_1 {row['chi_1']:.4g}"
