"""Networks of a comparison trained together, against one fit a network, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

from benchmarks.measuring import Row, interleaved, say, seconds
from keras_initscope.sweeps import Grid, Training, compare

WIDTH, DEPTH = 64, 4
BATCH, EPOCHS = 32, 5


def run(quick: bool) -> Iterator[Row]:
    """Train 16 small networks both ways, and one of them twice."""
    rates, seeds = ((0.1, 0.01), (0, 1)) if quick else ((0.3, 0.1, 0.03, 0.01), (0, 1, 2, 3))
    count = len(rates) * len(seeds)
    grid = Grid(learning_rates=rates, seeds=seeds)
    data = _data()
    say(f"comparing {count} networks, one by one and together")
    cases = {
        "one by one": lambda: _compare(data, grid, together=False),
        "together": lambda: _compare(data, grid, together=True),
    }
    found = interleaved(cases, repeats=1 if quick else 3)
    what = f"{count} ReLU networks {DEPTH}x{WIDTH}, {EPOCHS} epochs of the 1797 digits"
    yield Row(
        what=f"`compare`: {what}, one fit each, jobs=1",
        result=f"{found['one by one']:.1f} s",
    )
    yield Row(
        what="the same with `Training(together=True)`",
        result=f"{found['together']:.1f} s, "
        f"{found['one by one'] / found['together']:.1f} x as fast",
    )
    say("tracing in a fit of one of them")
    yield Row(
        what="tracing in a fit of one of them (what a second fit of the same model saves)",
        result=f"{_traced(data, 1 if quick else 5):.0%} of the fit",
    )


def _data() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.data / 16).astype("float32"), digits.target


def _build() -> Any:
    hidden = [
        keras.layers.Dense(WIDTH, "relu", kernel_initializer="he_normal") for _ in range(DEPTH)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])


def _loss() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _compare(data: Any, grid: Grid, together: bool) -> None:
    training = Training(
        loss=_loss(),
        metrics=("accuracy",),
        epochs=EPOCHS,
        batch_size=BATCH,
        look=False,
        together=together,
    )
    result = compare(_build, data, grid, training, jobs=1)
    if result.failed:
        raise RuntimeError(f"networks failed: {result.failed}")


def _traced(data: Any, repeats: int) -> float:
    """Median share of a first fit that a second one does without."""
    shares = []
    for _ in range(repeats):
        model = _build()
        model.compile(keras.optimizers.SGD(0.01), _loss(), metrics=["accuracy"], jit_compile=False)

        def fit(model: Any = model) -> None:
            model.fit(*data, batch_size=BATCH, epochs=EPOCHS, verbose=0)

        first, second = seconds(fit), seconds(fit)
        shares.append(1 - second / first)
    return float(np.median(shares))
