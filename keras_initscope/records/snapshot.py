"""What was measured or predicted, where, and when: the data of one look at a model.

Owns the shapes of the data and views of it. Computes no statistic, reads no model, writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Least normal number and greatest number of each type (IEEE 754; bfloat16 has float32's exponent).
#: A float64 is left out: its limits are 308 decades off, and it cannot hold their squares.
LIMITS = {
    "float16": (2.0**-14, 65504.0),
    "bfloat16": (2.0**-126, (2 - 2.0**-7) * 2.0**127),
    "float32": (2.0**-126, (2 - 2.0**-23) * 2.0**127),
}


#: The part of a preactivation that is what the activation function inside a recurrent cell would
#: receive, at steps spread over the inputs, in the state that the cell ends in.
CANDIDATE = "candidate"


class Quantity(StrEnum):
    """What a tensor is to its layer.

    A kernel multiplies the signal (also a scale such as `gamma`, an embedding, a recurrent
    kernel), a bias is added to it (also `beta`). The preactivation is what the activation function
    receives, the activation is what the layer gives on. A gradient is that of the loss, unscaled;
    an update is what one training step added to a kernel.
    """

    KERNEL = "kernel"
    BIAS = "bias"
    PREACTIVATION = "preactivation"
    ACTIVATION = "activation"
    KERNEL_GRADIENT = "kernel_gradient"
    BIAS_GRADIENT = "bias_gradient"
    PREACTIVATION_GRADIENT = "preactivation_gradient"
    ACTIVATION_GRADIENT = "activation_gradient"
    KERNEL_UPDATE = "kernel_update"

    @property
    def is_gradient(self) -> bool:
        """Whether this is a derivative of the loss."""
        return self.value.endswith("_gradient")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tap:
    """The address of one measured tensor.

    Args:
        layer: Path of the layer from the model down, e.g. `"block2/dense"`.
        quantity: What the tensor is to the layer.
        depth: Position of the layer in forward order, from 0.
        size: Number of elements measured.
        part: Which of several tensors of the same quantity, e.g. `"recurrent_kernel"`; empty for
            the only or the main one.
    """

    layer: str
    quantity: Quantity
    depth: int
    size: int
    part: str = ""

    @property
    def name(self) -> str:
        """Layer path and part in one string."""
        return f"{self.layer}/{self.part}" if self.part else self.layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """Counts of values in exponent buckets, the occupied buckets only.

    Args:
        buckets: `(k,)` bucket numbers, increasing; the module `buckets` knows their edges.
        counts: `(k,)` number of values in each.
    """

    buckets: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many values were counted, non-finite ones included."""
        return int(self.counts.sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What each unit of a layer does over the examples.

    Args:
        means: `(units,)` means.
        deviations: `(units,)` standard deviations.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorStats:
    """Statistics of one tensor at one step.

    Args:
        tap: Which tensor.
        values: Statistic name to value; the names are the rows of `measurement.statistics`.
        histogram: Its distribution, where it was asked for.
        units: Unit by unit, where that was asked for.
    """

    tap: Tap
    values: Mapping[str, float]
    histogram: Histogram | None = None
    units: Units | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerInfo:
    """One layer of the watched model.

    Args:
        path: Path from the model down.
        kind: Name of its class.
        depth: Position in forward order, from 0.
        activation: Name of its activation function, or `None`.
        units: Number of its units (neurons, filters), or `None`.
        trainable: Whether its weights are to be trained.
        dtype: Name of the type of number that it computes with.
        parents: Paths of the layers that give what it works on; not of those that only scale it.
            Where the structure is not known the one before it.
    """

    path: str
    kind: str
    depth: int
    activation: str | None = None
    units: int | None = None
    trainable: bool = True
    dtype: str = "float32"
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """The watched model, once a fit.

    Args:
        name: The model's name.
        layers: Its layers in forward order.
        planned_steps: Training steps the fit will take, or `None` where nobody knows.
        inputs: Paths of the first layers with weights that the inputs come to, as far as the
            structure is known.
        outputs: Paths of the layers that give the outputs, as far as the structure is known.
        loss: Name of the loss that it is compiled with, where it is one; else `None`.
        from_logits: Whether that loss takes logits; `None` where it takes neither.
        is_whole: Whether these are all of its layers, and not those alone that were asked for.
    """

    name: str
    layers: tuple[LayerInfo, ...]
    planned_steps: int | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    loss: str | None = None
    from_logits: bool | None = None
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class StepInfo:
    """What happened around a measured step.

    Args:
        loss: Loss of the batch before the step, unscaled; `None` where the step does not tell.
        learning_rate: Learning rate of the step, or `None`.
        time: Seconds since the epoch (1970) when it was measured.
        updates: Training steps between the two looks that `kernel_update` compares.
    """

    loss: float | None
    learning_rate: float | None
    time: float
    updates: int = 1


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything measured at one step, or predicted for it.

    Args:
        step: Training steps taken before it; 0 is the initialization.
        info: What happened around it.
        stats: One entry a tensor, in forward order.
        origin: `"measured"` or `"predicted"`.
        unknown: Path of each layer that a prediction says nothing of, and why.
    """

    step: int
    info: StepInfo
    stats: tuple[TensorStats, ...]
    origin: str = "measured"
    unknown: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_quantity(self) -> Mapping[Quantity, Sequence[TensorStats]]:
        """The entries of each quantity, in forward order; asked for often, so sorted once."""
        found: dict[Quantity, list[TensorStats]] = {}
        for entry in self.stats:
            found.setdefault(entry.tap.quantity, []).append(entry)
        for entries in found.values():
            entries.sort(key=attrgetter("tap.depth"))
        return found

    @cached_property
    def main(self) -> Mapping[Quantity, Mapping[str, TensorStats]]:
        """Of each quantity the first tensor of each layer, by its path, in forward order.

        What a recurrent cell's activation function receives stands in no row with what layers hand
        on, and is left out.
        """
        found: dict[Quantity, dict[str, TensorStats]] = {}
        for quantity, entries in self.by_quantity.items():
            of_layers = found.setdefault(quantity, {})
            for entry in entries:
                if entry.tap.part != CANDIDATE:
                    of_layers.setdefault(entry.tap.layer, entry)
        return found

    @cached_property
    def speeds(self) -> Mapping[str, float]:
        """By what share of its own size one step moves each kernel; one that is zero, without end.

        Kernels that did not move are left out.
        """
        kernels, steps = self.main.get(Quantity.KERNEL, {}), max(1, self.info.updates)
        found = {}
        for path, update in self.main.get(Quantity.KERNEL_UPDATE, {}).items():
            move = update.values["root_mean_square"] / steps
            if move > 0 and path in kernels:
                size = kernels[path].values["root_mean_square"]
                found[path] = move / size if size else inf
        return found

    def profile(self, quantity: Quantity | str, statistic: str) -> dict[str, float]:
        """One statistic over depth.

        Args:
            quantity: A `Quantity` or its name.
            statistic: Name of the statistic.

        Returns:
            Layer path (and part) to value, in forward order.

        Example:

        ```python
        from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats

        tap = Tap(layer="dense", quantity=Quantity.KERNEL, depth=0, size=12)
        stats = TensorStats(tap=tap, values={"variance": 0.5})
        info = StepInfo(loss=1.2, learning_rate=0.1, time=0.0)
        snapshot = Snapshot(step=0, info=info, stats=(stats,))
        assert snapshot.profile("kernel", "variance") == {"dense": 0.5}
        ```
        """
        wanted = Quantity(quantity)
        return {
            entry.tap.name: entry.values[statistic]
            for entry in self.by_quantity.get(wanted, ())
            if statistic in entry.values
        }

    def find(self, quantity: Quantity | str, layer: str) -> TensorStats:
        """The statistics of one tensor.

        Args:
            quantity: A `Quantity` or its name.
            layer: Layer path, with the part where there is one.

        Returns:
            The entry.

        Raises:
            KeyError: If it was not measured; names what was.
        """
        wanted = Quantity(quantity)
        known: list[Any] = []
        for entry in self.stats:
            if entry.tap.quantity is wanted:
                if entry.tap.name == layer:
                    return entry
                known.append(entry.tap.name)
        raise KeyError(
            f"No {wanted} of layer {layer!r} was measured at step {self.step}. "
            f"Measured layers with that quantity: {known}."
        )
