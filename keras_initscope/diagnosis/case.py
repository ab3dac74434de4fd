"""What rules judge: a network at one step, what it did before, and views of that.

Owns what a slope over depth is, and when a loss falls. Finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite, log
from typing import Any

import numpy as np

from keras_initscope.diagnosis.routes import Network
from keras_initscope.records import LayerInfo, ModelInfo, Quantity, Snapshot, TensorStats

#: Nodes that a slope over depth is taken from at most; of more, evenly spread ones.
_POINTS = 64
#: Logarithm of a second moment by which one layer may differ from the others, which is that of a
#: width that changes a hundredfold.
_JUMP = 5.0
#: Below it a second moment is zero in float32, whose least normal number this is the square of.
LEAST = 1e-76
#: Looks and steps before which nobody can tell whether a loss falls.
_LOOKS, _STEPS = 5, 20
#: A loss falls when it has come down to this share of what it was.
_FALLEN = 0.98


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network at one step.

    Args:
        model: Its layers.
        snapshot: What was measured last.
        earlier: What was measured before, oldest first.
        predicted: What theory says of the initialization, gradients in the size of the measured
            ones; `None` where nothing was predicted.
        rehearsed: Losses of some steps on the same batch that were tried on stand-ins, the one
            before them first.
        probe: What was measured on fixed examples, oldest first, with `drift`.
    """

    model: ModelInfo
    snapshot: Snapshot
    earlier: tuple[Snapshot, ...] = ()
    predicted: Snapshot | None = None
    rehearsed: tuple[float, ...] = ()
    probe: tuple[Snapshot, ...] = ()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was trained yet, as far as the steps tell."""
        return self.snapshot.step == 0

    @property
    def is_open(self) -> bool:
        """Whether a mechanism counts: at the start, at a single look, and where the loss is stuck.

        A network that learns may have what would be a fault at the start: logits far larger than
        its inputs, saturated units, gradients of many sizes.
        """
        return self.is_fresh or not self.earlier or self.is_failing

    @cached_property
    def quantities(self) -> frozenset[Quantity]:
        """What was measured of any layer."""
        return frozenset(self.snapshot.by_quantity)

    @cached_property
    def layers(self) -> dict[str, LayerInfo]:
        """The layers by their paths, in forward order."""
        return {layer.path: layer for layer in self.model.layers}

    @cached_property
    def network(self) -> Network:
        """Which layers stand before and behind which."""
        return Network(self.model.layers, self.model.outputs)

    @cached_property
    def routes(self) -> list[frozenset[str]]:
        """Layers behind each other that together pass those with a kernel."""
        return self.network.routes(self.weighted)

    @cached_property
    def weighted(self) -> frozenset[str]:
        """The layers that have a kernel with anything in it."""
        return frozenset(e.tap.layer for e in self.of(Quantity.KERNEL) if second_moment(e) > 0)

    @cached_property
    def outputs(self) -> frozenset[str]:
        """The layers that give the outputs, and where those have no kernel, the ones before them.

        Of an unknown structure the last one with a kernel.
        """
        kernels = [entry.tap.layer for entry in self.of(Quantity.KERNEL)]
        before = [self.network.nearest(path, kernels) for path in self.model.outputs]
        return frozenset(self.model.outputs or kernels[-1:]).union(*before)

    @cached_property
    def handing_on(self) -> frozenset[str]:
        """The layers that an output depends on otherwise than by being scaled by them."""
        ends = self.model.outputs or list(self.layers)[-1:]
        return frozenset[str]().union(*(self.network.before(path) for path in ends))

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The layers that see the inputs; of an unknown structure the first one with a kernel."""
        kernels = [entry.tap.layer for entry in self.of(Quantity.KERNEL)]
        return frozenset(self.model.inputs or kernels[:1])

    def of(self, quantity: Quantity) -> list[TensorStats]:
        """The main tensor of each layer that has the quantity, in forward order."""
        return list(self.at(quantity).values())

    def at(self, quantity: Quantity) -> Mapping[str, TensorStats]:
        """The same by the paths of the layers."""
        return self.snapshot.main.get(quantity, {})

    @cached_property
    def broken(self) -> list[TensorStats]:
        """The tensors that hold what is not finite."""
        return [e for e in self.snapshot.stats if e.values.get("nonfinite_count", 0.0) > 0]

    @cached_property
    def is_failing(self) -> bool:
        """Whether the loss does not fall, as far as the looks tell; unknown counts as no."""
        losses = [each.info.loss for each in (*self.earlier, self.snapshot)]
        known = [loss for loss in losses if loss is not None]
        if not all(map(isfinite, known)):
            return True
        if len(known) < _LOOKS or self.snapshot.step < _STEPS:
            return False
        if self.earlier[0].step > 0:  # trained before: it may have come down as far as it can
            return False
        late = float(np.median(known[-max(1, len(known) // 3) :]))
        return late - _FALLEN * known[0] > 0 if known[0] > 0 else late >= known[0]


_Floats = np.ndarray[Any, np.dtype[Any]]
_Places = np.ndarray[Any, np.dtype[np.intp]]


def second_moment(stats: TensorStats) -> float:
    """`E x^2`."""
    return stats.values["root_mean_square"] ** 2


def energy(stats: TensorStats) -> float:
    """The sum of squares, which a gradient keeps where the width changes."""
    return second_moment(stats) * stats.tap.size


def signal_share(stats: TensorStats) -> float | None:
    """The share of `E x^2` that tells examples apart; `None` of a tensor that is zero."""
    signal, constant = stats.values["signal"], stats.values["constant"]
    return signal / (signal + constant) if signal + constant > 0 else None


def logarithms(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Natural logarithms; of what is zero in float32, that of the least square it knows."""
    return np.log(np.maximum(np.asarray(values, np.float64), LEAST))


def until_gone(values: Sequence[float], least: float = LEAST) -> Sequence[float]:
    """Values up to the first of which nothing is left: behind it nothing can fall further."""
    gone = next((i for i, value in enumerate(values) if value <= least), len(values))
    return values[: max(gone + 1, 2)]


def rise(values: Sequence[float]) -> float:
    """By how much a logarithm rises from the first layer to the last, one layer as another.

    The median of the slopes between all pairs of layers (Theil and Sen), times the number of steps
    from layer to layer: what single layers do, or the branches of a residual network, is no trend.
    Nor is the largest step of all, as long as it is one that weights may cause which are right:
    where the width changes much, as at a bottleneck, they cannot keep both the signal and the
    gradient (Glorot and Bengio 2010, eq. 10 and 11). Of it counts what is beyond.
    """
    count = len(values)
    if count < 2:
        return 0.0
    chosen, apart = _places(count)
    heights = logarithms([values[i] for i in chosen])
    slope = _median_slope(count, heights)
    steps = np.diff(heights) / apart
    if len(steps) > 1:
        way = np.sign(slope)
        largest = (way * steps).argmax()
        beyond = way * (steps[largest] - np.median(np.delete(steps, largest)))
        steps[largest] -= way * min(max(0.0, beyond), _JUMP)
        slope = _median_slope(count, np.concatenate([[0.0], np.cumsum(steps * apart)]))
    return slope * (count - 1)


@lru_cache(maxsize=64)
def _places(count: int) -> tuple[_Places, _Places]:
    """Those of so many layers that a slope is taken from, and how far each is behind the last."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))
    return chosen, np.diff(chosen)


@lru_cache(maxsize=64)
def _pairs(count: int) -> tuple[_Places, _Places, _Places]:
    """All pairs of the places for so many layers, by their numbers, and how far they are apart."""
    chosen, _ = _places(count)
    i, j = np.triu_indices(len(chosen), 1)
    return i, j, chosen[j] - chosen[i]


def _median_slope(count: int, heights: _Floats) -> float:
    i, j, apart = _pairs(count)
    return float(np.median((heights[j] - heights[i]) / apart))


def concerned(values: Sequence[float], by: float) -> list[int]:
    """The places where a logarithm is off that of the first by `by`, its sign too.

    Those count from the first one on behind which most are; what comes before comes back.

    Args:
        values: Positive numbers, at least one.
        by: How far off, negative for below.

    Returns:
        Their indices; the last one where most come back.
    """
    off = logarithms(values) - log(max(values[0], LEAST))
    is_off = off <= by if by < 0 else off >= by
    share = np.cumsum(is_off[::-1])[::-1] / np.arange(len(values), 0, -1)
    start = np.flatnonzero(is_off & (share > 0.5))
    if not start.size:
        return [len(values) - 1]
    return [int(place) for place in np.flatnonzero(is_off) if place >= start[0]]
