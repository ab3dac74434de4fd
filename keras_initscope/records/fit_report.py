"""A whole fit, from the first look to the last, as a person reads it.

Owns the table of a fit and its words. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite

from keras_initscope.records import prose
from keras_initscope.records.finding import Finding
from keras_initscope.records.page import WIDTH, Page, Section, defined, listed, tabled
from keras_initscope.records.rows import LayerRow, rows
from keras_initscope.records.snapshot import ModelInfo, Quantity, Snapshot
from keras_initscope.text import number_text, wrapped

_COLUMNS = ("#", "layer", "signal", "share", "gradient", "update", "idle")
_LEFT = (False, True, False, False, False, False, False)
_LEGEND = (
    ("a -> b", "a at the first look, b at the last one; a single number where both are the same."),
    prose.SIGNAL,
    prose.SHARE,
    prose.GRADIENT,
    prose.UPDATE,
    prose.IDLE,
    prose.PREACTIVATION,
    prose.DASH,
)
#: Change of the loss that is called none.
_SAME = 0.02
#: Looks whose loss is told.
_TOLD = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One finding over a fit.

    Args:
        finding: What is wrong, as it was first found at its gravest.
        first_step: Step of the first look that it was seen at.
        last_step: Step of the last one.
        looks: At how many looks.
        is_there: Whether it was still there at the end.
    """

    finding: Finding
    first_step: int
    last_step: int
    looks: int
    is_there: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FitReport(Page):
    """What a whole fit did to each layer, and what was wrong when.

    `print(report)` shows it, a notebook shows it as Markdown.
    `keras_initscope.writers.write_report(report, "directory")` writes it with its pictures.

    Args:
        model: The model.
        snapshots: The looks, oldest first; at least one.
        predicted: What theory says of the first look, or `None`.
        sightings: What was wrong, and when: alarms first.
        checked: Titles of the rules that could speak.
        unchecked: Title of each rule that could not, and why.
        notes: What else a reader must know, a sentence each.
    """

    model: ModelInfo
    snapshots: tuple[Snapshot, ...]
    predicted: Snapshot | None = None
    sightings: tuple[Sighting, ...] = ()
    checked: tuple[str, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was wrong, alarms first."""
        return tuple(each.finding for each in self.sightings)

    @property
    def first(self) -> tuple[LayerRow, ...]:
        """What the first look says of each layer, beside theory."""
        return rows(self.model, self.snapshots[0], self.predicted)

    @property
    def last(self) -> tuple[LayerRow, ...]:
        """What the last look says of each layer."""
        return rows(self.model, self.snapshots[-1])

    @property
    def headline(self) -> str:
        """Model, steps and looks."""
        steps = [each.step for each in self.snapshots]
        times = f"{len(steps)} times" if len(steps) > 1 else "once"
        span = f"steps {steps[0]} to {steps[-1]}" if len(steps) > 1 else f"step {steps[0]}"
        layers = len(self.model.layers)
        return f"{self.model.name}: training {span}, looked at {times}, {layers} layers"

    @property
    def sections(self) -> tuple[Section, ...]:
        """Its parts: what is wrong first, then the loss, the layers and how to read that."""
        when = [_when(each, len(self.snapshots)) for each in self.sightings]
        return (
            prose.wrong(self.findings, self.checked, self.unchecked, when),
            _of_loss(self.snapshots),
            tabled("Layer by layer", _COLUMNS, self._cells(), _LEFT),
            defined(prose.HOW_TO_READ, _LEGEND),
            *listed("Notes", self._remarks()),
        )

    def _cells(self) -> list[list[str]]:
        moving = [each for each in self.snapshots if _has_updates(each)]
        moves = (_updates(self.model, chosen) for chosen in (moving[:1], moving[-1:]))
        return [
            _row(a, b, *updates)
            for a, b, *updates in zip(self.first, self.last, *moves, strict=True)
            if not (a.is_empty and b.is_empty)
        ]

    def _remarks(self) -> list[str]:
        broken = [row.layer.path for row in self.last if row.nonfinite]
        remarks = [
            f"Values or gradients that are not finite (NaN or infinite) at the last look: "
            f"{', '.join(broken)}. The numbers above are those of the finite ones."
        ]
        return [*self.notes, *(remarks if broken else [])]


def _row(a: LayerRow, b: LayerRow, before: float | None, after: float | None) -> list[str]:
    return [
        str(a.layer.depth),
        a.layer.path,
        _change(a.measured_q, b.measured_q),
        _change(a.signal_share, b.signal_share, _share),
        _change(a.measured_gradient, b.measured_gradient),
        _change(before, after, _size),
        _change(a.saturated, b.saturated, _percent),
    ]


def _two_digits(value: float | None) -> str:
    return number_text(value, 2)


def _share(value: float | None) -> str:
    return _size(value) if value is not None and 0 < value < 0.01 else _decimals(value)


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _size(value: float | None) -> str:
    return "-" if value is None else f"{value:.1g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _change(
    a: float | None, b: float | None, shown: Callable[[float | None], str] = _two_digits
) -> str:
    before, after = shown(a), shown(b)
    return before if before == after else f"{before} -> {after}"


def _has_updates(snapshot: Snapshot) -> bool:
    return any(entry.tap.quantity is Quantity.KERNEL_UPDATE for entry in snapshot.stats)


def _updates(model: ModelInfo, chosen: list[Snapshot]) -> list[float | None]:
    """The updates of one look, of the first or last that has any."""
    if not chosen:
        return [None] * len(model.layers)
    return [row.update for row in rows(model, chosen[0])]


def _when(sighting: Sighting, looks: int) -> str:
    if looks == 1:
        return ""
    since = f"first seen at step {sighting.first_step}"
    if sighting.looks == looks:
        return f"at every one of {looks} looks, from step {sighting.first_step} on."
    if sighting.is_there:
        return f"{since}, at {sighting.looks} of {looks} looks, and still there at the last one."
    if sighting.looks == 1:
        return f"at step {sighting.first_step} alone; gone at the end."
    return (
        f"{since}, last at step {sighting.last_step}, at {sighting.looks} of {looks} looks; gone "
        "at the end."
    )


def _of_loss(snapshots: tuple[Snapshot, ...]) -> Section:
    known = [(each.step, each.info.loss) for each in snapshots if each.info.loss is not None]
    sentences = [*_course(known), *_rates(snapshots)]
    text = " ".join(filter(None, sentences))
    return Section("How the loss went", wrapped(text, WIDTH), text)


def _course(known: list[tuple[int, float]]) -> list[str]:
    if not known:
        return ["The training steps did not tell their loss."]
    count = len(known)
    few = sorted({i * (count - 1) // (_TOLD - 1) for i in range(_TOLD)})
    told = ", ".join(f"{number_text(known[i][1], 4)} at step {known[i][0]}" for i in few)
    if count == 1:
        return [f"{told}, on one batch; one look tells no more."]
    sentences = [f"{told}; each on one batch.", _verdict(known[0][1], known[-1][1])]
    broken = [step for step, loss in known if not isfinite(loss)]
    if broken:
        sentences.append(f"It is NaN or infinite for the first time at step {broken[0]}.")
    return sentences


def _verdict(first: float, last: float) -> str:
    if not (isfinite(first) and isfinite(last)):
        return ""
    if abs(last - first) <= _SAME * abs(first):
        return "From first to last it did not change."
    if last > first:
        return "From first to last it rose."
    share = f" to {100 * last / first:.3g} % of what it was" if last > 0 else ""
    return f"From first to last it fell{share}."


def _rates(snapshots: tuple[Snapshot, ...]) -> list[str]:
    rates = [each.info.learning_rate for each in snapshots if each.info.learning_rate is not None]
    if not rates:
        return []
    return [f"Learning rate: {_change(rates[0], rates[-1])}."]
