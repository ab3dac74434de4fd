"""The frozen records that travel between the rooms: what was measured, where, and when.

Owns the shapes of the data and views of it. Computes no statistic, reads no model, writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.text import aligned, bulleted, fitted, markdown_table, number_text


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
class TensorStats:
    """Statistics of one tensor at one step.

    Args:
        tap: Which tensor.
        values: Statistic name to value; the names are the rows of `measurement.statistics`.
        histogram: Its distribution, where it was asked for.
    """

    tap: Tap
    values: Mapping[str, float]
    histogram: Histogram | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerInfo:
    """One layer of the watched model.

    Args:
        path: Path from the model down.
        kind: Name of its class.
        depth: Position in forward order, from 0.
        activation: Name of its activation function, or `None`.
    """

    path: str
    kind: str
    depth: int
    activation: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """The watched model, once a fit.

    Args:
        name: The model's name.
        layers: Its layers in forward order.
        planned_steps: Training steps the fit will take, or `None` where nobody knows.
    """

    name: str
    layers: tuple[LayerInfo, ...]
    planned_steps: int | None = None


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


@dataclass(frozen=True, kw_only=True, slots=True)
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
            for entry in self.stats
            if entry.tap.quantity is wanted and statistic in entry.values
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


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRow:
    """What a report says of one layer; `None` stands for what is not known or not there.

    Args:
        layer: The layer.
        predicted_q: Predicted mean square of its activation, `q = E a^2`.
        measured_q: Measured mean square of its activation.
        signal_share: Measured share of `q` that tells examples apart, between 0 and 1.
        predicted_gradient: Predicted mean square of the gradient, which has mean 0 in theory: of
            the preactivation where the layer has one, else of the activation.
        measured_gradient: Measured mean square of the same gradient.
        q_error: How far a single network of this width scatters around `predicted_q`, as a
            standard deviation relative to it.
        gradient_error: The same for `predicted_gradient`.
        nonfinite: Number of measured elements of activation and gradients that are NaN or infinite;
            the mean squares are those of the others.
        unknown: Why theory says nothing of this layer, or empty.
    """

    layer: LayerInfo
    predicted_q: float | None = None
    measured_q: float | None = None
    signal_share: float | None = None
    predicted_gradient: float | None = None
    measured_gradient: float | None = None
    q_error: float | None = None
    gradient_error: float | None = None
    nonfinite: int = 0
    unknown: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say, as of a cell whose recurrent layer stands for it."""
        numbers = (
            self.predicted_q,
            self.measured_q,
            self.predicted_gradient,
            self.measured_gradient,
        )
        return not self.unknown and self.nonfinite == 0 and all(n is None for n in numbers)

    @property
    def q_ratio(self) -> float | None:
        """Measured over predicted mean square of the activation; `None` where both are 0."""
        return _ratio(self.measured_q, self.predicted_q)

    @property
    def gradient_ratio(self) -> float | None:
        """Measured over predicted mean square of the gradient; `None` where both are 0."""
        return _ratio(self.measured_gradient, self.predicted_gradient)


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or predicted is None or measured == predicted == 0:
        return None
    return measured / predicted if predicted else inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One look at a model: what every layer does with signal and gradient, and what theory says.

    `print(report)` shows a table, a notebook shows it as Markdown.
    `keras_initscope.writers.write_report(report, "directory")` writes both table and picture.

    Args:
        model: The model.
        measured: What was measured.
        predicted: What theory says, in the scale of the measured gradients.
        rows: One entry a layer, in forward order.
        loss: What the gradients are gradients of, in words.
        examples: Number of examples in the batch.
        notes: What else a reader must know, a sentence each.
    """

    model: ModelInfo
    measured: Snapshot
    predicted: Snapshot
    rows: tuple[LayerRow, ...]
    loss: str
    examples: int
    notes: tuple[str, ...] = ()

    @property
    def unknown(self) -> dict[str, list[str]]:
        """Reason to the layers of which theory says nothing for that reason."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if row.unknown:
                found.setdefault(row.unknown, []).append(row.layer.path)
        return found

    @property
    def shown(self) -> tuple[LayerRow, ...]:
        """The rows of table and picture: those that say something."""
        return tuple(row for row in self.rows if not row.is_empty) or self.rows

    def markdown(self) -> str:
        """The report as Markdown, layer paths in full."""
        cells = [_cells(row, f"`{row.layer.path}`") for row in self.shown]
        table = markdown_table(_COLUMNS, cells, _LEFT)
        parts = [f"**{self._headline()}**", _LEGEND, table, bulleted(self._remarks())]
        return "\n\n".join(filter(None, parts)) + "\n"

    def __str__(self) -> str:
        cells = [_cells(row, row.layer.path) for row in self.shown]
        table = aligned(_COLUMNS, fitted(_COLUMNS, cells, (2, 1), _WIDTH), _LEFT)
        parts = [self._headline(), table, _LEGEND, bulleted(self._remarks(), _WIDTH)]
        return "\n\n".join(filter(None, parts))

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _headline(self) -> str:
        loss = self.measured.info.loss
        value = "" if loss is None else f" = {number_text(loss)}"
        return (
            f"{self.model.name}: {len(self.rows)} layers, {self.examples} examples, "
            f"step {self.measured.step}, {self.loss}{value}"
        )

    def _remarks(self) -> list[str]:
        unknown = [
            f"Unknown to theory: {', '.join(paths)}. Reason: {reason}"
            for reason, paths in self.unknown.items()
        ]
        return [*self.notes, *unknown, *self._lost_gradients(), *self._left_out()]

    def _lost_gradients(self) -> list[str]:
        """Where theory knows the signal and not the gradient, and what it cannot come through."""
        lost = [
            i
            for i, row in enumerate(self.rows)
            if row.measured_gradient is not None
            and row.predicted_gradient is None
            and row.predicted_q is not None
        ]
        if not lost:
            return []
        behind = [row.layer.path for row in self.rows[lost[0] :] if row.unknown]
        reason = f"unknown to theory is {', '.join(behind)}" if behind else "no rule leads it back"
        paths = ", ".join(self.rows[i].layer.path for i in lost)
        return [f"The gradient of theory does not reach {paths}, because {reason}."]

    def _left_out(self) -> list[str]:
        paths = [row.layer.path for row in self.rows if row.is_empty]
        if len(paths) in (0, len(self.rows)):
            return []
        return [f"Left out, for nothing is measured or predicted of them: {', '.join(paths)}."]


_WIDTH = 100  # characters a line
_COLUMNS = ("#", "layer", "kind", "q theory", "q", "ratio", "s", "g theory", "g", "ratio")
_LEFT = (False, True, True, *[False] * 7)
_LEGEND = (
    "q: mean square of the activation. s: its share that tells examples apart. g: mean square of "
    "the\ngradient, of the preactivation where there is one. ratio: measured / theory."
)


def _cells(row: LayerRow, path: str) -> list[str]:
    return [
        str(row.layer.depth),
        path,
        row.layer.kind,
        _predicted_text(row.predicted_q, row.measured_q),
        number_text(row.measured_q),
        number_text(row.q_ratio, 2),
        number_text(row.signal_share, 2),
        _predicted_text(row.predicted_gradient, row.measured_gradient),
        number_text(row.measured_gradient),
        number_text(row.gradient_ratio, 2),
    ]


def _predicted_text(predicted: float | None, measured: float | None) -> str:
    is_missed = predicted is None and measured is not None
    return "unknown" if is_missed else number_text(predicted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What was done to one weight, or to the activation of one layer.

    Args:
        path: Path of the weight, or of the layer.
        kind: Name of the layer's class.
        what: The initializer, the factor or the activation, in words.
        before: Variance of the weight before, `None` for what is no weight.
        after: Variance afterwards, likewise.
    """

    path: str
    kind: str
    what: str
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What an initialization did to a model.

    `print(changes)` shows a table, a notebook shows it as Markdown.

    Args:
        model: Name of the model.
        action: What was called.
        changes: One entry a weight, in forward order.
        skipped: Path of each weight that was left as it is, though nobody excluded it, and why.
        notes: What else a reader must know, a sentence each.
    """

    model: str
    action: str
    changes: tuple[Change, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def find(self, path: str) -> Change:
        """What was done to one weight.

        Args:
            path: Its path.

        Returns:
            The entry.

        Raises:
            KeyError: If it was not changed; names what was.

        Example:

        ```python
        from keras_initscope.records import Change, Changes

        change = Change(path="dense/kernel", kind="Dense", what="doubled", before=1.0, after=4.0)
        changes = Changes(model="net", action="calibrate", changes=(change,))
        assert changes.find("dense/kernel").after == 4.0
        ```
        """
        known = {change.path: change for change in self.changes}
        if path not in known:
            raise KeyError(f"{path!r} was not changed by {self.action}. Changed: {list(known)}.")
        return known[path]

    def markdown(self) -> str:
        """The changes as Markdown, paths in full."""
        shown = self._columns()
        cells = [_change_cells(change, f"`{change.path}`")[:shown] for change in self.changes]
        table = markdown_table(_CHANGE_COLUMNS[:shown], cells, _CHANGE_LEFT[:shown])
        parts = [f"**{self._headline()}**", table, bulleted(self._remarks())]
        return "\n\n".join(filter(None, parts)) + "\n"

    def __str__(self) -> str:
        shown = self._columns()
        cells = [_change_cells(change, change.path)[:shown] for change in self.changes]
        cells = fitted(_CHANGE_COLUMNS[:shown], cells, (0, 2), _CHANGE_WIDTH)
        table = aligned(_CHANGE_COLUMNS[:shown], cells, _CHANGE_LEFT[:shown])
        parts = [self._headline(), table, bulleted(self._remarks(), _WIDTH)]
        return "\n\n".join(filter(None, parts))

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _headline(self) -> str:
        return f"{self.action} of {self.model}: {len(self.changes)} changes"

    def _columns(self) -> int:
        """Activations have no variances."""
        has_weights = not self.changes or any(c.after is not None for c in self.changes)
        return len(_CHANGE_COLUMNS) if has_weights else len(_CHANGE_COLUMNS) - 2

    def _remarks(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for path, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(path)
        left = [
            f"Left as it was: {', '.join(p)}. Reason: {reason}" for reason, p in reasons.items()
        ]
        return [*self.notes, *left]


_CHANGE_COLUMNS = ("what", "kind", "change", "variance before", "after")
_CHANGE_WIDTH = 120  # paths are what tells weights apart
_CHANGE_LEFT = (True, True, True, False, False)


def _change_cells(change: Change, path: str) -> list[str]:
    variances = [number_text(value) for value in (change.before, change.after)]
    return [path, change.kind, change.what, *variances]
