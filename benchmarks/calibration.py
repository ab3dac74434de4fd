"""LSUV in one sweep, against the algorithm that builds a sub-model for each layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import Row, interleaved, say
from keras_initscope import calibrate

DEPTH, WIDTH, EXAMPLES = 32, 64, 256
_TOLERANCE, _TRIALS = 0.1, 10  # of Mishkin and Matas (2016), as ports to Keras have them


def run(quick: bool) -> Iterator[Row]:
    """Calibrate a `DEPTH`-layer MLP both ways."""
    say(f"calibrating {DEPTH} layers")
    model, x = _model(), np.random.default_rng(0).normal(size=(EXAMPLES, WIDTH))
    cases = {
        "ours": lambda: calibrate(model, x, orthogonal=False),
        "ours, drawn": lambda: calibrate(model, x),
        "sub-models": lambda: _by_sub_models(model, x),
    }
    found = interleaved(cases, repeats=1 if quick else 3)
    yield Row(
        what=f"`calibrate` on a {DEPTH}-layer MLP of width {WIDTH}",
        result=f"{found['ours'] * 1e3:.0f} ms, {found['ours, drawn'] * 1e3:.0f} ms with new "
        "orthogonal kernels",
    )
    yield Row(
        what="the same with a sub-model for each layer (LSUV as published, kernels kept)",
        result=f"{found['sub-models']:.1f} s, {found['sub-models'] / found['ours']:.0f} x ours",
        target=">= 100 x",
    )


def _model() -> Any:
    hidden = [keras.layers.Dense(WIDTH, "relu") for _ in range(DEPTH)]
    return keras.Sequential([keras.Input((WIDTH,)), *hidden])


def _by_sub_models(model: Any, x: np.ndarray) -> None:
    """For each layer until its variance is one: predict up to it, divide by the deviation."""
    for layer in model.layers:
        for _ in range(_TRIALS):
            # Keras' layers apply their activation, hence LSUV's ports scale what is behind it.
            sub = keras.Model(model.inputs, layer.output)
            variance = float(np.var(sub.predict(x, verbose=0)))
            if abs(variance - 1) < _TOLERANCE:
                break
            layer.kernel.assign(layer.kernel / np.sqrt(variance))
