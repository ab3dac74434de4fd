"""One look at a model, measured beside predicted, as a person reads it.

Owns the table of a report and its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_initscope.records import prose
from keras_initscope.records.finding import Finding
from keras_initscope.records.page import Page, Section, defined, listed, tabled
from keras_initscope.records.remedy import Remedy
from keras_initscope.records.rows import LayerRow
from keras_initscope.records.snapshot import ModelInfo, Snapshot
from keras_initscope.text import number_text

_COLUMNS = (
    "#",
    "layer",
    "kind",
    "signal",
    "theory",
    "ratio",
    "share",
    "gradient",
    "theory",
    "ratio",
)
_LEFT = (False, True, True, *[False] * 7)
_LEGEND = (
    prose.SIGNAL,
    prose.THEORY,
    prose.RATIO,
    prose.SHARE,
    prose.GRADIENT,
    prose.PREACTIVATION,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report(Page):
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
        findings: What is wrong, alarms first.
        checked: Titles of the rules that could speak.
        unchecked: Title of each rule that could not, and why.
        notes: What else a reader must know, a sentence each.
        remedies: What was seen to remove a finding, on a copy of the model.
    """

    model: ModelInfo
    measured: Snapshot
    predicted: Snapshot
    rows: tuple[LayerRow, ...]
    loss: str
    examples: int
    findings: tuple[Finding, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()

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

    @property
    def sections(self) -> tuple[Section, ...]:
        """Its parts: what is wrong first, then the layers and how to read that."""
        cells = [_cells(row) for row in self.shown]
        return (
            prose.wrong(self.findings, self.checked, self.unchecked),
            *prose.tried(self.remedies),
            tabled("Layer by layer", _COLUMNS, cells, _LEFT),
            defined(prose.HOW_TO_READ, _LEGEND),
            *listed("Notes", self._remarks()),
        )

    @property
    def headline(self) -> str:
        """Model, batch, step and loss."""
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


def _cells(row: LayerRow) -> list[str]:
    return [
        str(row.layer.depth),
        row.layer.path,
        row.layer.kind,
        number_text(row.measured_q),
        _predicted_text(row.predicted_q, row.measured_q),
        number_text(row.q_ratio, 2),
        number_text(row.signal_share, 2),
        number_text(row.measured_gradient),
        _predicted_text(row.predicted_gradient, row.measured_gradient),
        number_text(row.gradient_ratio, 2),
    ]


def _predicted_text(predicted: float | None, measured: float | None) -> str:
    is_missed = predicted is None and measured is not None
    return "unknown" if is_missed else number_text(predicted)
