"""A change that was tried on a copy of a model, and what became of a finding.

Owns its words. Tries nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_initscope.text import number_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """A change that removes a finding, seen on a copy of the model and the same batch.

    Args:
        code: Code of the finding.
        words: What is changed.
        line: The code that does it to `model` or to `x`, NumPy arrays; `keras`, `numpy as np` and
            `keras_initscope as initscope` are imported. It was executed as it stands.
        before: The number that the finding was judged by.
        after: The same afterwards, or `None` where it cannot be told.
        findings: Number of findings before.
        remaining: Codes of the findings that remain, or that come to light.
    """

    code: str
    words: str
    line: str
    before: float
    after: float | None
    findings: int
    remaining: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """What became of it, in words."""
        after = "" if self.after is None else f" ({number_text(self.before)} -> {self._after})"
        left = f"; {', '.join(self.remaining)} remain" if self.remaining else ""
        count = f"findings {self.findings} -> {len(self.remaining)}"
        return f"{self.code} is gone{after}, {count}{left}"

    @property
    def _after(self) -> str:
        return number_text(self.after)

    def __str__(self) -> str:
        return f"{self.words} Tried on a copy: {self.result}."
