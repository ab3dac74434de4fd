"""Writing histograms: microseconds a tag, rebinning included."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.measuring import Row, interleaved, say
from keras_initscope.buckets import collect
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats
from keras_initscope.writers import TensorBoardWriter

TAGS, ELEMENTS = 200, 16_384


def run(quick: bool) -> Iterator[Row]:
    """Write `TAGS` histograms a step, with ours and with `tf.summary.histogram`."""
    say(f"writing {TAGS} histograms")
    draw = np.random.default_rng(0)
    tensors = [draw.normal(size=ELEMENTS).astype("float32") for _ in range(TAGS)]
    snapshot = _snapshot(tensors)
    constants = [tf.constant(tensor) for tensor in tensors]
    with tempfile.TemporaryDirectory() as folder:
        ours = TensorBoardWriter(f"{folder}/ours")
        theirs = tf.summary.create_file_writer(f"{folder}/theirs")

        def summaries() -> None:
            with theirs.as_default(step=0):
                for number, tensor in enumerate(constants):
                    tf.summary.histogram(f"activation/{number}", tensor)
            theirs.flush()

        cases = {"ours": lambda: ours.write(snapshot, {}), "tf.summary": summaries}
        found = interleaved(cases, repeats=3 if quick else 9)
        ours.close()
        theirs.close()
    mine, other = (found[name] / TAGS * 1e6 for name in ("ours", "tf.summary"))
    yield Row(
        what=f"writing a histogram, rebinning included ({TAGS} tags)",
        result=f"{mine:.0f} us a tag",
        target="<= 30 us",
    )
    yield Row(
        what=f"`tf.summary.histogram` of {ELEMENTS} elements",
        result=f"{other:.0f} us a tag, {other / mine:.0f} x ours",
    )


def _snapshot(tensors: list[np.ndarray]) -> Snapshot:
    stats = []
    for number, tensor in enumerate(tensors):
        tap = Tap(layer="dense", quantity=Quantity.ACTIVATION, depth=number, size=tensor.size)
        values = {"minimum": float(tensor.min()), "maximum": float(tensor.max())}
        histogram = collect(tensor)
        stats.append(TensorStats(tap=tap, values=values, histogram=histogram))
    info = StepInfo(loss=1.0, learning_rate=0.1, time=0.0)
    return Snapshot(step=0, info=info, stats=tuple(stats))
