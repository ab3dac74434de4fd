"""Large models trained with the default settings: overhead, memory and size of the log."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np

from benchmarks.measuring import Row, alone, peak, say
from keras_initscope import VarianceMonitor

_STEPS = 300


def _mlp() -> tuple[Any, Any, Any]:
    """200 ReLU layers of 64 units, batches of 32."""
    hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(200)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
    return model, (64,), 32


def _resnet50() -> tuple[Any, Any, Any]:
    """ResNet50 on images of 64 x 64, batches of 4."""
    model = keras.applications.ResNet50(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    return model, (64, 64, 3), 4


MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "200-layer MLP": _mlp,
    "ResNet50 (64x64)": _resnet50,
}


class _Clock(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())

    def on_train_begin(self, logs: Any = None) -> None:
        self.ends: list[float] = []


def run(quick: bool) -> Iterator[Row]:
    """Train each model twice, plain and watched, in processes of their own."""
    steps = 60 if quick else _STEPS
    for name in MODELS:
        found = {}
        for watched in (False, True):
            say(f"{name}, {steps} steps, {'watched' if watched else 'plain'}")
            found[watched] = alone(trained, name, steps, watched)
        plain, watch = found[False], found[True]
        more, log = (
            (a - b) / 2**20 for a, b in ((watch["peak"], plain["peak"]), (watch["log"], 0))
        )
        yield Row(
            what=f"{name}: {steps} steps, default settings, {watch['looks']} looks",
            result=f"{watch['seconds'] / plain['seconds']:.2f} x plain in all "
            f"({plain['seconds']:.0f} s); a step {watch['step'] / plain['step']:.3f} x plain; "
            f"tracing {watch['setup']:.1f} s; monitor's own measure of its share "
            f"{100 * watch['overhead']:.2f} %",
        )
        yield Row(
            what=f"{name}: peak memory, and the log",
            result=f"{watch['peak'] / plain['peak']:.2f} x plain "
            f"({more:+.0f} MiB); {log:.1f} MiB, {log / watch['looks']:.2f} MiB a look",
            target="<= 1.10 x",
        )


def trained(name: str, steps: int, watched: bool) -> dict[str, float]:
    """What a fit takes."""
    model, shape, batch = MODELS[name]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3), loss)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(steps * batch, *shape)).astype("float32")
    y = draw.integers(0, 10, steps * batch)
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        monitor = VarianceMonitor(folder)
        callbacks = [monitor, clock] if watched else [clock]
        started = time.perf_counter()
        model.fit(x, y, batch_size=batch, verbose=0, callbacks=callbacks)
        seconds = time.perf_counter() - started
        costs = _costs(Path(folder)) if watched else {}
        log = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "seconds": seconds,
        "step": median(np.diff(clock.ends)),
        "peak": peak(),
        "log": log,
        "looks": len(monitor.history),
        **costs,
    }


def _costs(folder: Path) -> dict[str, float]:
    """What the monitor itself says of its cost in the end."""
    last = (folder / "snapshots.jsonl").read_text().splitlines()[-1]
    scalars = json.loads(last)["scalars"]
    return {"overhead": scalars["monitor_overhead"], "setup": scalars["monitor_setup_seconds"]}
