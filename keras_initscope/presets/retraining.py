"""One network trained again and again, each time from weights drawn anew.

Owns the plain network of the deep presets, its training and what is read off it. A hundred layers
take longer to trace than to train for some hundred steps, so the network is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.model_init import reinitialize
from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Trial, drawn_batches
from keras_initscope.presets.losses import BatchLosses
from keras_initscope.presets.result import Row
from keras_initscope.presets.sources import Source
from keras_initscope.presets.training import accuracy

BATCH = 64
MOMENTUM = 0.9
#: Of this many batches in a row the mean loss is taken, since that of one is noise.
SMOOTHED = 5

_LOOKED_AT = ("activation", "activation_gradient")
_EVERY_FIFTH = "_1$|[05]$"

#: Draws the weights of a network in place, for some data and from a seed.
Initialize = Callable[[keras.Sequential, Data, int], Any]


class Plan(NamedTuple):
    """How to train, and from how many seeds."""

    steps: int
    learning_rate: float
    seeds: int


class Attempt(NamedTuple):
    """One training: the network beforehand, the loss of each batch before its step, the outcome.

    Args:
        mean_square: Of each hidden layer before training, over units and images.
        correlation: Mean cosine of what two images give in the last of them.
        losses: Of the batches.
        accuracy: On the test images, between 0 and 1.
    """

    mean_square: list[float]
    correlation: float
    losses: NDArray[np.float64]
    accuracy: float

    @property
    def gain(self) -> float:
        """Factor of the mean square a layer, geometric mean over the depth."""
        first, last = self.mean_square[0], self.mean_square[-1]
        return float((last / first) ** (1 / (len(self.mean_square) - 1)))

    @property
    def final_loss(self) -> float:
        """Mean over the last twenty batches; infinite where it is not a number."""
        loss = float(np.mean(self.losses[-20:]))
        return loss if np.isfinite(loss) else float("inf")

    def steps_to(self, level: float) -> int:
        """Steps until the smoothed loss is below a level; all of them where it never is."""
        below = np.flatnonzero(smoothed(self.losses, SMOOTHED) < level)
        return int(below[0]) + SMOOTHED if len(below) else len(self.losses)


def network(activation: str, depth: int, width: int, data: Data) -> keras.Sequential:
    """A plain network without biases: its kernels are all there is to initialize."""
    hidden = [
        keras.layers.Dense(width, activation, use_bias=False, name=f"hidden_{number}")
        for number in range(1, depth + 1)
    ]
    logits = keras.layers.Dense(data.classes, use_bias=False, name="logits")
    return keras.Sequential([keras.Input((data.features,)), *hidden, logits])


def drawing(initializer: Any) -> Initialize:
    """Draw all kernels by one initializer of Keras' or ours, or by its name."""
    return lambda model, data, seed: reinitialize(model, [("kernel", initializer)], seed)


class Trainer:
    """Trains one network with momentum, from the weights that it is given each time.

    Args:
        model: Gives one logit a class; it is compiled here.
        source: What it learns.
        clipnorm: Norm that the gradient of a step is clipped to; `None` does not clip it.
    """

    def __init__(
        self, model: keras.Sequential, source: Source, clipnorm: float | None = None
    ) -> None:
        self.model, self.source = model, source
        optimizer = keras.optimizers.SGD(momentum=MOMENTUM, global_clipnorm=clipnorm)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, jit_compile=False)
        optimizer.build(model.trainable_variables)

    def ready(self, initialize: Initialize, plan: Plan, seed: int) -> Trial:
        """The network with its weights drawn, as before its first step."""
        data = self.source.load(seed)
        initialize(self.model, data, seed)
        optimizer = self.model.optimizer
        for variable in optimizer.variables:  # momentum of another training
            variable.assign(keras.ops.zeros_like(variable))
        optimizer.learning_rate = plan.learning_rate
        return Trial(self.model, data, plan.steps, BATCH)

    def attempts(
        self, initialize: Initialize, plan: Plan, seed: int, log_dir: Path | None
    ) -> list[Attempt]:
        """Train once for each seed.

        Args:
            initialize: Draws the weights.
            plan: How to train.
            seed: The first seed; the others follow. A seed fixes weights, data and batches.
            log_dir: Where a `VarianceMonitor` writes of the first; `None` does without.

        Returns:
            One entry a seed.
        """
        watching = [] if log_dir is None else [_monitor(log_dir, plan.steps)]
        return [
            self._attempt(initialize, plan, seed + number, [] if number else watching)
            for number in range(plan.seeds)
        ]

    def _attempt(
        self, initialize: Initialize, plan: Plan, seed: int, callbacks: list[VarianceMonitor]
    ) -> Attempt:
        data = self.ready(initialize, plan, seed).data
        squares, correlation = signal(self.model, data.train_x)
        losses = self._fit(data, plan, seed, callbacks)
        reached = accuracy(self.model, data.test_x, data.test_y)
        return Attempt(squares, correlation, losses, reached)

    def _fit(
        self, data: Data, plan: Plan, seed: int, callbacks: list[VarianceMonitor]
    ) -> NDArray[np.float64]:
        """Examples drawn at random, all in one epoch."""
        losses = BatchLosses()
        drawn = drawn_batches(len(data.train_x), plan.steps, BATCH, seed)
        self.model.fit(
            data.train_x[drawn],
            data.train_y[drawn],
            batch_size=BATCH,
            shuffle=False,
            verbose=0,
            callbacks=[losses, *callbacks],
        )
        return np.array(losses.values)


def _monitor(log_dir: Path, steps: int) -> VarianceMonitor:
    """Looks at start and end, at every fifth layer: of a network this deep a look takes long."""
    return VarianceMonitor(
        log_dir,
        update_freq=steps,
        quantities=_LOOKED_AT,
        layers=_EVERY_FIFTH,
        on_finding="ignore",
    )


def signal(model: keras.Sequential, x: NDArray[np.float32]) -> tuple[list[float], float]:
    """Mean square of each hidden layer, and mean cosine of two images in the last."""
    squares = []
    seen: Any = x
    for layer in model.layers[:-1]:
        seen = layer(seen)
        squares.append(float(np.mean(np.square(keras.ops.convert_to_numpy(seen), dtype="float64"))))
    last = keras.ops.convert_to_numpy(seen).astype("float64")
    lengths = np.linalg.norm(last, axis=1, keepdims=True)
    directions = last / np.where(lengths > 0, lengths, 1)
    return squares, float(np.sum(np.mean(directions, axis=0) ** 2))


def smoothed(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Means of so many neighbours, as many fewer as that leaves."""
    return np.convolve(values, np.full(count, 1 / count), "valid")


def columns(attempts: Sequence[Attempt]) -> Row:
    """The columns that all tables of these presets have: means over the seeds, and the lowest."""
    accuracies = [attempt.accuracy for attempt in attempts]
    return {
        "seeds": len(attempts),
        "accuracy": float(np.mean(accuracies)),
        "lowest": min(accuracies),
        "gain": float(np.exp(np.mean([np.log(attempt.gain) for attempt in attempts]))),
        "correlation": float(np.mean([attempt.correlation for attempt in attempts])),
    }
