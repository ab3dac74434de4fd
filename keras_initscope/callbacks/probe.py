"""The fixed probe: the same examples at every look.

Owns the look at them and how far the layers have drifted on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_initscope.batches import Batch
from keras_initscope.callbacks.outputs import Outputs
from keras_initscope.graph import LayerNode
from keras_initscope.measurement.drift import drifted
from keras_initscope.measurement.meter import Meter, Reading
from keras_initscope.measurement.network import summarize
from keras_initscope.records import Quantity


class Probe:
    """Looks at one batch beside every look at training.

    Args:
        batch: The examples.
        model: The model.
        nodes: The layers to measure.
        quantities: What to measure of them; updates belong to training alone.
        warn: Called with one sentence when something cannot be measured.
    """

    def __init__(
        self,
        batch: Batch,
        model: Any,
        nodes: Sequence[LayerNode],
        quantities: frozenset[Quantity],
        warn: Callable[[str], None],
    ) -> None:
        measured = quantities - {Quantity.KERNEL_UPDATE}
        self._meter = Meter(
            model, nodes, measured, lambda text: warn(f"Of the probe: {text}"), by_unit=True
        )
        self._data = batch.data

    @property
    def setup_seconds(self) -> float:
        """Time spent on tracing."""
        return self._meter.setup_seconds

    def look(self, step: int) -> Reading:
        """Look at the model as it is after so many steps."""
        self._meter.before(self._data)
        return self._meter.after(step, 0)

    def note(self, reading: Reading, outputs: Outputs) -> None:
        """Beside training: read a look off, compare it with earlier ones, hand it on."""
        snapshot = reading.snapshot()
        if outputs.history:
            snapshot = drifted(snapshot, outputs.history[-1], outputs.history[0])
        outputs.write(snapshot, summarize(snapshot))
