"""What equal weights do: units that start alike stay alike, and what dropout can do about it.

Units of a layer that have the same incoming and the same outgoing weights give the same output and
receive the same gradient. So the columns of a kernel that starts at a constant stay identical for
ever, to the last bit, and a layer of 32 units is one unit, 32 times. Random weights have no such
symmetry.

Dropout breaks it, since its mask differs from unit to unit, but not for zeros with tanh or ReLU.
There every activation is zero, masked or not, and so are all outgoing weights: no kernel has a
gradient, and only the bias of the last layer learns how frequent the classes are. Dropout does not
cure zero initialization. Nor need a network learn well after it: from 0.5 tanh starts saturated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial
from keras_initscope.presets.kernel_picture import draw_kernels
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.training import BATCH, compiled, steps_per_pass, train

WIDTH = 32
HIDDEN = ("hidden_1", "hidden_2")
RANDOM = "random"


class Case(NamedTuple):
    """One network: its activation, what its kernels start at, and the rate of its dropout."""

    activation: str
    start: str
    dropout: float

    @property
    def title(self) -> str:
        """For people."""
        dropped = f", dropout {self.dropout:g}" if self.dropout else ""
        return f"{self.activation} from {self.start}{dropped}"

    @property
    def folder(self) -> str:
        """Name of its log directory."""
        dropped = f"-dropout-{self.dropout:g}" if self.dropout else ""
        return f"{self.activation}-{self.start}{dropped}"


CONSTANT = [Case("tanh", start, 0.0) for start in ("0", "0.05", "0.5", RANDOM)]
DROPOUT = [
    *(Case("tanh", start, 0.5) for start in ("0", "0.05", "0.5")),
    *(Case("relu", start, 0.5) for start in ("0", "0.05")),
    Case("tanh", "0.05", 0.0),
]
_TITLE = "Kernel of the first hidden layer after training"
_GRADIENT = ("kernel_gradient", "root_mean_square")

Count = Annotated[int, Interval(low=1)]


def _accuracy(case: Case, interval: Interval, source: str) -> Expectation:
    return Expectation(
        claim=f"accuracy of {case.title}",
        source=source,
        interval=interval,
        measure=cell("accuracy", **case._asdict(), layer=HIDDEN[0]),
    )


def _claims(case: Case, column: str, interval: Interval, source: str) -> list[Expectation]:
    return [
        Expectation(
            claim=f"{column} of {layer}, {case.title}",
            source=source,
            interval=interval,
            measure=cell(column, **case._asdict(), layer=layer),
        )
        for layer in HIDDEN
    ]


def _stays_alike(case: Case) -> list[Expectation]:
    return [
        *_claims(case, "difference", Interval.around(0.0), "the same gradient for every unit"),
        _accuracy(case, Interval(high=0.5), "one unit a layer, 32 times"),
    ]


def _learns_nothing(case: Case) -> list[Expectation]:
    return [
        *_claims(case, "difference", Interval.around(0.0), "the same gradient for every unit"),
        *_claims(case, "largest_gradient", Interval.around(0.0), "activations and weights are 0"),
        _accuracy(case, Interval(high=0.2), "a bias knows no input"),
    ]


def _becomes_different(case: Case) -> list[Expectation]:
    return [
        *_claims(case, "distinct", Interval.around(WIDTH), "a mask for each unit"),
        *_claims(case, "difference", Interval(low=0.05), "a mask for each unit"),
    ]


_TANH_0, _TANH_SMALL, _TANH_LARGE, _RELU_0, _RELU_SMALL, _WITHOUT = DROPOUT
_OF_CONSTANT = [
    *(claim for case in CONSTANT[:3] for claim in _stays_alike(case)),
    *_claims(CONSTANT[3], "distinct", Interval.around(WIDTH), "no two random columns are equal"),
    _accuracy(CONSTANT[3], Interval(low=0.8), "32 different units a layer"),
]
_OF_DROPOUT = [
    *(claim for case in (_TANH_0, _RELU_0) for claim in _learns_nothing(case)),
    *(
        claim
        for case in (_TANH_SMALL, _TANH_LARGE, _RELU_SMALL)
        for claim in _becomes_different(case)
    ),
    *_stays_alike(_WITHOUT),
    _accuracy(_TANH_SMALL, Interval(low=0.6), "32 different units a layer"),
]


def _networks(cases: Sequence[Case], steps: int) -> Networks:
    def trial(case: Case, seed: int) -> Trial:
        model = compiled(network(case, seed), _optimizer())
        return Trial(model, digits(seed), steps, BATCH, in_turn=True)

    return {case.title: partial(trial, case) for case in cases}


def _constant_networks(steps: int) -> Networks:
    return _networks(CONSTANT, steps)


def _dropout_networks(steps: int) -> Networks:
    return _networks(DROPOUT, steps)


@preset(
    "constant-symmetry",
    quick={"steps": 100},
    expects=_OF_CONSTANT,
    networks=_constant_networks,
)
def constant_symmetry(run: Run, steps: Count = 400) -> Outcome:
    """Trains networks of equal weights: their units stay alike for ever, to the last bit."""
    return _outcome(run, CONSTANT, steps)


@preset(
    "dropout-symmetry",
    quick={"steps": 100},
    expects=_OF_DROPOUT,
    networks=_dropout_networks,
)
def dropout_symmetry(run: Run, steps: Count = 400) -> Outcome:
    """Adds dropout to equal weights: it tells units apart, but does nothing for zeros."""
    return _outcome(run, DROPOUT, steps)


def _outcome(run: Run, cases: Sequence[Case], steps: int) -> Outcome:
    data = digits(run.seed)
    rows: list[Row] = []
    kernels: dict[str, np.ndarray] = {}
    for case in cases:
        model = network(case, run.seed)
        monitor = VarianceMonitor(
            run.log_dir / case.folder,
            update_freq=steps_per_pass(data),
            quantities=("kernel", "kernel_gradient"),
            outputs=("tensorboard", "snapshots"),
            on_finding="ignore",
        )
        accuracy = train(model, data, steps, _optimizer(), [monitor])
        rows += _rows(case, model, monitor, accuracy)
        kernels[case.title] = _kernel(model, HIDDEN[0])
        run.progress(_progress_line(case, rows[-1]))
    picture = draw_kernels(run.log_dir / "kernels.png", _TITLE, kernels)
    return Outcome(rows=rows, files=[picture])


def _optimizer() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.1, momentum=0.9)


def network(case: Case, seed: int) -> keras.Sequential:
    """Two hidden layers, each followed by its dropout."""
    kernels = _initializer(case.start, seed)
    model = keras.Sequential([keras.Input((64,))])
    for number, name in enumerate(HIDDEN):
        model.add(keras.layers.Dense(WIDTH, case.activation, kernel_initializer=kernels, name=name))
        if case.dropout:
            model.add(keras.layers.Dropout(case.dropout, seed=2 * seed + number))
    model.add(keras.layers.Dense(10, kernel_initializer=kernels, name="logits"))
    return model


def _initializer(start: str, seed: int) -> keras.initializers.Initializer:
    if start == RANDOM:
        return keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(seed))
    return keras.initializers.Constant(float(start))


def _kernel(model: keras.Sequential, layer: str) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model.get_layer(layer).kernel))


def _rows(
    case: Case, model: keras.Sequential, monitor: VarianceMonitor, accuracy: float
) -> list[Row]:
    """`largest_gradient` is the largest root mean square over the steps that were monitored."""
    return [
        {
            **case._asdict(),
            "layer": layer,
            **_columns(_kernel(model, layer)),
            "largest_gradient": max(look.profile(*_GRADIENT)[layer] for look in monitor.history),
            "accuracy": accuracy,
        }
        for layer in HIDDEN
    ]


def _columns(kernel: np.ndarray) -> dict[str, Any]:
    """How many columns are different, and how far two of them are apart at most in a row."""
    return {
        "distinct": len(np.unique(kernel, axis=1).T),
        "difference": float(np.ptp(kernel, axis=1).max()),
    }


def _progress_line(case: Case, row: Row) -> str:
    numbers = f"difference {row['difference']:.3g}, test accuracy {row['accuracy']:.3f}"
    return f"{case.title:27}  {numbers}"
