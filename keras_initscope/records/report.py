"""One look at a model, measured beside predicted, as a person reads it.

Owns the table of a report and its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from keras_initscope.records.finding import Finding
from keras_initscope.records.snapshot import LayerInfo, ModelInfo, Snapshot
from keras_initscope.text import aligned, bulleted, fitted, markdown_table, number_text

_WIDTH = 100  # characters a line
_COLUMNS = ("#", "layer", "kind", "q theory", "q", "ratio", "s", "g theory", "g", "ratio")
_LEFT = (False, True, True, *[False] * 7)
_LEGEND = (
    "q: mean square of the activation. s: its share that tells examples apart. g: mean square of "
    "the\ngradient, of the preactivation where there is one. ratio: measured / theory."
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
        q_median: The median over networks of this width, relative to `predicted_q`.
        gradient_median: The same for `predicted_gradient`.
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
    q_median: float | None = None
    gradient_median: float | None = None
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
        findings: What is wrong, alarms first.
        notes: What else a reader must know, a sentence each.
    """

    model: ModelInfo
    measured: Snapshot
    predicted: Snapshot
    rows: tuple[LayerRow, ...]
    loss: str
    examples: int
    findings: tuple[Finding, ...] = ()
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
        found = bulleted([f"**{each.code}** {each}" for each in self.findings])
        parts = [f"**{self._headline()}**", found, _LEGEND, table, bulleted(self._remarks())]
        return "\n\n".join(filter(None, parts)) + "\n"

    def __str__(self) -> str:
        cells = [_cells(row, row.layer.path) for row in self.shown]
        table = aligned(_COLUMNS, fitted(_COLUMNS, cells, (2, 1), _WIDTH), _LEFT)
        found = bulleted([f"{each.code} {each}" for each in self.findings], _WIDTH)
        parts = [self._headline(), found, table, _LEGEND, bulleted(self._remarks(), _WIDTH)]
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
