"""Histograms of large tensors: ours against `tf.summary.histogram`, time and peak memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.measuring import Row, alone, interleaved, peak_growth, say, seconds
from keras_initscope.buckets import collect
from keras_initscope.measurement import backends, histograms, packing
from keras_initscope.measurement.packing import Entry
from keras_initscope.records import Quantity

COLUMNS = 1_000


def run(quick: bool) -> Iterator[Row]:
    """Compare at 10 M elements, and measure a kernel of 50 M elements completely."""
    compared, kernel = (2_000_000, 10_000_000) if quick else (10_000_000, 50_000_000)
    say(f"histograms of {compared // 10**6} M elements")
    times = alone(compare, compared, 1 if quick else 3)
    grown = {name: alone(memory, name, compared) for name in ("full", "sampled", "tf.summary")}
    theirs, theirs_bytes = times["tf.summary"], grown["tf.summary"] / compared
    size = f"{compared // 10**6} M float32"
    yield Row(
        what=f"`tf.summary.histogram` of {size}",
        result=f"{theirs * 1e3:.0f} ms, {theirs_bytes:.0f} bytes an element",
    )
    for name, target in (("full", ">= 50 x faster, <= 1/30"), ("sampled", ">= 250 x faster")):
        yield Row(
            what=f"our histogram of {size}, {name} count",
            result=f"{times[name] * 1e3:.2f} ms, {theirs / times[name]:.0f} x faster; "
            + _memory_against(grown[name] / compared, theirs_bytes),
            target=target,
        )
    say(f"all statistics and the histogram of a kernel of {kernel // 10**6} M elements")
    everything = alone(measure_kernel, kernel)
    yield Row(
        what=f"all statistics and histogram of a {kernel // 10**6} M kernel",
        result=f"{everything['seconds'] * 1e3:.0f} ms; "
        + _memory_against(everything["bytes"] / kernel, theirs_bytes),
        target="<= 1/30 of `tf.summary.histogram`'s memory",
    )


def _memory_against(ours: float, theirs: float) -> str:
    return f"{ours:.2f} bytes an element, 1/{theirs / max(ours, 1e-3):.0f}"


def _histogram_calls(folder: str) -> dict[str, Callable[[Any], Any]]:
    writer = tf.summary.create_file_writer(folder)

    @tf.function
    def sampled(tensor: Any) -> Any:
        return histograms.sample(tf.reshape(tensor, (1, -1)), (COLUMNS,))

    def summary(tensor: Any) -> None:
        with writer.as_default(step=0):
            tf.summary.histogram("kernel", tensor)
        writer.flush()

    return {
        "full": lambda tensor: collect(tensor.numpy().reshape(1, -1)),
        "sampled": lambda tensor: collect(sampled(tensor).numpy()),
        "tf.summary": summary,
    }


def _kernel(size: int) -> Any:
    # NumPy's generator leaves no large temporaries behind in TensorFlow's memory pool.
    draw = np.random.default_rng(0)
    return tf.constant(draw.standard_normal((size // COLUMNS, COLUMNS), dtype="float32"))


def compare(size: int, repeats: int) -> dict[str, float]:
    """Median seconds of each kind of histogram."""
    tensor = _kernel(size)
    with tempfile.TemporaryDirectory() as folder:
        calls = _histogram_calls(folder)
        return interleaved({name: partial(call, tensor) for name, call in calls.items()}, repeats)


def memory(name: str, size: int) -> int:
    """Bytes by which the peak grows when a histogram is made for the first time at this size."""
    tensor = _kernel(size)
    with tempfile.TemporaryDirectory() as folder:
        call = _histogram_calls(folder)[name]
        call(_kernel(100 * COLUMNS))  # what is loaded once has nothing to do with the size
        return peak_growth(partial(call, tensor))


def measure_kernel(size: int) -> dict[str, float]:
    """All statistics and the histogram of one kernel, as the monitor takes them."""
    backend = backends.current()
    address = {"layer": "dense", "quantity": Quantity.KERNEL, "depth": 0}
    tensor = _kernel(size)

    @tf.function
    def measured(kernel: Any) -> Any:
        arrays, _ = packing.pack([Entry(**address, tensors=(kernel,))], backend)
        return tf.concat(arrays, axis=0)

    measured(_kernel(1_000 * COLUMNS)).numpy()
    concrete = measured.get_concrete_function(tensor)
    grown = peak_growth(lambda: concrete(tensor).numpy())
    return {"bytes": grown, "seconds": seconds(lambda: concrete(tensor).numpy())}
