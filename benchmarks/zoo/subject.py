"""What is asked of the rules: a network, its data, and the answers that would be right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CROSSENTROPY = "sparse_categorical_crossentropy"

Data = tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network to diagnose.

    Args:
        build: Makes it, not compiled unless it brings its own training step.
        data: Gives `(x, y)` of so many examples, drawn with the generator.
        loss: What it is compiled with; `None` for one that is compiled already.
        optimizer: Makes one.
        wanted: Codes of which one must be found; none for a healthy network.
        accepted: Codes that are no false alarm either.
        shows: At which look a fault can be seen first: "start", or only in "fit".
        batch: Examples a step.
        epochs: How many, of 20 steps each.
        policy: Dtype policy.
        falls: Whether the loss tells that it trains, as that of a pair of adversaries does not.
    """

    build: Callable[[], keras.Model]
    data: Callable[[np.random.Generator, int], Data]
    loss: Any = LOGITS
    optimizer: Callable[[], Any] = lambda: keras.optimizers.Adam(1e-3)
    wanted: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    shows: str = "start"
    batch: int = 32
    epochs: int = 8
    policy: str = "float32"
    falls: bool = True

    @property
    def is_healthy(self) -> bool:
        """Whether silence is the right answer."""
        return not self.wanted

    def made(self) -> keras.Model:
        """The network with fresh weights, compiled, under its dtype policy."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            model = self.build()
            if self.loss is not None:
                model.compile(self.optimizer(), self.loss)
            return model
        finally:
            keras.config.set_dtype_policy(before)

    def examples(self, seed: int) -> Data:
        """20 batches of examples."""
        return self.data(np.random.default_rng(seed), self.batch * STEPS)


STEPS = 20  # of an epoch


def adam(rate: float = 1e-3, **options: Any) -> Callable[[], Any]:
    return lambda: keras.optimizers.Adam(rate, **options)


def sgd(rate: float, momentum: float = 0.0, **options: Any) -> Callable[[], Any]:
    return lambda: keras.optimizers.SGD(rate, momentum, **options)
