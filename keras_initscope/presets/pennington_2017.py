"""Orthogonal against Gaussian weights in a tanh network of 100 layers, by the steps that it takes.

On the critical line the mean squared singular value of the network's Jacobian is 1 at any depth,
with Gaussian weights and with orthogonal ones. With Gaussian weights its singular values spread all
the same: the variance of the squared ones is L and more, at any width, so that some directions of
the gradient explode while most vanish. With orthogonal weights and a small variance of the
preactivations, here q* = .0039, tanh is nearly linear and all singular values stay near 1
(dynamical isometry): the network learns several times as fast. A ReLU network cannot be isometric,
whatever its weights: half of its slopes are 0.

That an isometric network learns in as many steps at any depth did not reproduce at this size: each
at its own best rate, orthogonal networks of 20, 100 and 200 layers took 21, 63 and 101 steps.

Plain SGD, each kind of weights with the best of three learning rates. The rates of a kind are
trained as one model: the factor of a network's loss is one of its learning rate.

After Pennington et al., 2017, "Resurrecting the sigmoid in deep learning through dynamical
isometry" (arXiv:1711.04735), sections 2 and 3. The first kernel is sized such that its layer has
the variance q* already.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import sqrt
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.initializers import ScaledOrthogonal
from keras_initscope.presets.digits import digits
from keras_initscope.presets.experiment import Networks, Trial, drawn_batches
from keras_initscope.presets.loss_picture import draw_loss_picture
from keras_initscope.presets.registry import Run, preset
from keras_initscope.presets.result import Expectation, Interval, Outcome, Row, cell
from keras_initscope.presets.retraining import SMOOTHED, smoothed
from keras_initscope.presets.side_by_side import (
    NetworkLosses,
    Shape,
    Weights,
    draw_weights,
    model_of_many,
    model_of_one,
)
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.nonlinearities import nonlinearity

VARIANCE = 0.0039  # q*, that of the preactivations of a tanh network
LEVEL = 0.5  # a loss of this much counts as learned
BATCH = 128
RATES = (0.007, 0.015, 0.03)

Count = Annotated[int, Interval(low=1)]
Depth = Annotated[int, Interval(low=2)]
Steps = Annotated[int, Interval(low=SMOOTHED)]


class Kind(NamedTuple):
    """Of networks: their activation, and whether the kernels are orthogonal."""

    activation: str
    orthogonal: bool

    def weights(self, shape: Shape, seed: int) -> Weights:
        """Draw them, critical for the activation."""
        gain, bias, first = self._sizes
        generator = keras.random.SeedGenerator(seed)
        kernel = (
            ScaledOrthogonal(sqrt(gain), generator)
            if self.orthogonal
            else keras.initializers.VarianceScaling(gain, "fan_in", "untruncated_normal", generator)
        )
        biases = keras.initializers.RandomNormal(0.0, sqrt(bias), generator)
        drawn = draw_weights(shape, kernel, biases)
        return drawn._replace(first=(np.float32(first) * drawn.first[0], drawn.first[1]))

    @property
    def _sizes(self) -> tuple[float, float, float]:
        """Weight variance times fan-in, bias variance, and the factor of the first kernel."""
        if self.activation == "relu":
            return 2.0, 0.0, sqrt(0.5)  # the pixels are not rectified
        line = critical_line(nonlinearity(self.activation), VARIANCE)
        weight, bias = float(line.weight_variance), float(line.bias_variance)
        return weight, bias, sqrt((VARIANCE - bias) / weight)


KINDS: Mapping[str, Kind] = {
    "tanh, orthogonal": Kind("tanh", True),
    "tanh, gaussian": Kind("tanh", False),
    "relu, orthogonal": Kind("relu", True),
}

_EXPECTS = [
    Expectation(
        claim="steps to a loss of .5, tanh, gaussian over orthogonal",
        source="singular values of the Jacobian spread, or are all near 1",
        interval=Interval(low=4),
        measure=lambda rows: (
            cell("steps", network="tanh, gaussian")(rows)
            / cell("steps", network="tanh, orthogonal")(rows)
        ),
    ),
    Expectation(
        claim="seeds that come to a loss of .5, relu",
        source="no weights make it isometric",
        interval=Interval.around(0.0),
        measure=cell("learned", network="relu, orthogonal"),
    ),
]


def _networks(depth: int, width: int, steps: int) -> Networks:
    def network(kind: Kind, seed: int) -> Trial:
        weights = kind.weights(Shape(64, depth, width), seed)
        optimizer = keras.optimizers.SGD(RATES[-1])
        model = model_of_one(weights, kind.activation, optimizer)
        return Trial(model, digits(seed), steps, BATCH)

    return {name: partial(network, kind) for name, kind in KINDS.items()}


@preset("pennington-2017", networks=_networks, quick={"seeds": 1}, expects=_EXPECTS)
def pennington_2017(
    run: Run, depth: Depth = 100, width: Count = 128, steps: Steps = 400, seeds: Count = 3
) -> Outcome:
    """Orthogonal weights train 100 tanh layers several times as fast as Gaussian ones.

    `steps` are those to a loss of .5 at the best rate for each seed, mean over the seeds, all
    steps where it is not reached; `learned` counts the seeds that reach it.
    """
    rows: list[Row] = []
    lines: dict[str, list[NDArray[np.float64]]] = {}
    for name, kind in KINDS.items():
        run.progress(f"{name}: {seeds * len(RATES)} networks of {depth} layers, {steps} steps")
        found = _losses(kind, Shape(64, depth, width), steps, range(run.seed, run.seed + seeds))
        taken = np.array([[steps_to(each) for each in rates] for rates in found])
        best = taken.argmin(axis=1)
        lines[name] = [rates[number] for rates, number in zip(found, best, strict=True)]
        rows.append(
            {
                "network": name,
                "steps": float(np.minimum(taken.min(axis=1), steps).mean()),
                "learned": int(np.sum(np.isfinite(taken.min(axis=1)))),
                "rate": float(np.median(np.array(RATES)[best])),
                "final_loss": float(np.mean([line[-20:].mean() for line in lines[name]])),
            }
        )
    title = "Loss at the best of three learning rates"
    panels: Any = {f"{depth} layers": lines}
    return Outcome(rows=rows, files=[draw_loss_picture(run.log_dir / "loss.png", title, panels)])


def steps_to(losses: NDArray[np.float64]) -> float:
    """Steps until the smoothed loss is below the level; infinite where it never is."""
    below = np.flatnonzero(smoothed(losses, SMOOTHED) < LEVEL)
    return float(below[0] + SMOOTHED) if below.size else float("inf")


def _losses(kind: Kind, shape: Shape, steps: int, seeds: range) -> NDArray[np.float64]:
    """`(seeds, rates, steps)`: of all networks of a kind, trained as one model."""
    networks = [weights for s in seeds for weights in [kind.weights(shape, s)] * len(RATES)]
    factors = [rate / RATES[-1] for _ in seeds for rate in RATES]
    optimizer = keras.optimizers.SGD(RATES[-1])
    model = model_of_many(networks, kind.activation, optimizer, factors, watched=True)
    data, losses = digits(seeds[0]), NetworkLosses()
    order = drawn_batches(len(data.train_x), steps, BATCH, seeds[0])
    x, y = data.train_x[order], data.train_y[order]
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[losses])
    return np.reshape(np.transpose(losses.values), (len(seeds), len(RATES), steps))
