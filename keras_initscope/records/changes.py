"""What an initialization did to a model, weight by weight.

Owns its table and its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_initscope.text import aligned, bulleted, fitted, markdown_table, number_text

_COLUMNS = ("what", "kind", "change", "variance before", "after")
_TABLE_WIDTH = 120  # paths are what tells weights apart
_WIDTH = 100  # of the text, in characters
_LEFT = (True, True, True, False, False)


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
        skipped: Path of each weight, or layer, that was left as it is, and why.
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
        cells = [_cells(change, f"`{change.path}`")[:shown] for change in self.changes]
        table = markdown_table(_COLUMNS[:shown], cells, _LEFT[:shown])
        parts = [f"**{self._headline()}**", table, bulleted(self._remarks())]
        return "\n\n".join(filter(None, parts)) + "\n"

    def __str__(self) -> str:
        shown = self._columns()
        cells = [_cells(change, change.path)[:shown] for change in self.changes]
        cells = fitted(_COLUMNS[:shown], cells, (0, 2), _TABLE_WIDTH)
        table = aligned(_COLUMNS[:shown], cells, _LEFT[:shown])
        parts = [self._headline(), table, bulleted(self._remarks(), _WIDTH)]
        return "\n\n".join(filter(None, parts))

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _headline(self) -> str:
        return f"{self.action} of {self.model}: {len(self.changes)} changes"

    def _columns(self) -> int:
        """Activations have no variances."""
        has_weights = not self.changes or any(c.after is not None for c in self.changes)
        return len(_COLUMNS) if has_weights else len(_COLUMNS) - 2

    def _remarks(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for path, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(path)
        left = [
            f"Left as it was: {', '.join(p)}. Reason: {reason}" for reason, p in reasons.items()
        ]
        return [*self.notes, *left]


def _cells(change: Change, path: str) -> list[str]:
    variances = [number_text(value) for value in (change.before, change.after)]
    return [path, change.kind, change.what, *variances]
