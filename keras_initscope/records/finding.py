"""What is wrong with a network, in plain words.

Owns the record of one finding and how a person reads it. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How sure it is that a finding does harm.

    A warning has a mechanism alone: by theory the network trains badly. An alarm has the outcome as
    well: it does.
    """

    WARNING = "warning"
    ALARM = "alarm"

    @property
    def meaning(self) -> str:
        """The same for a person who reads of one."""
        if self is Severity.ALARM:
            return "training does suffer from it"
        return "there is a cause of bad training; that training suffers from it is not seen (yet)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong, said once, however many layers it concerns.

    Args:
        code: Code of the rule that found it: family (F forward, B backward, U units, W weights and
            updates, N numerics, D data and output) and number.
        title: What is wrong, in a few words.
        severity: Whether the mechanism alone is seen, or its outcome too.
        layers: Paths of the layers concerned, in forward order; empty for the whole network.
        step: Training steps taken when it was found.
        value: The number that was judged.
        threshold: What it was judged against.
        message: The evidence, a sentence or two.
        remedy: What to change.
        explanation: Why it does harm.
    """

    code: str
    title: str
    severity: Severity
    layers: tuple[str, ...]
    step: int
    value: float
    threshold: float
    message: str
    remedy: str
    explanation: str = ""

    @property
    def layer(self) -> str:
        """Where it starts: the first layer in forward order, or empty."""
        return self.layers[0] if self.layers else ""

    @property
    def where(self) -> str:
        """The layers in few words."""
        others = len(self.layers) - 1
        more = {-1: "the whole network", 0: "", 1: " and one more layer"}
        return self.layer + more.get(others, f" and {others} more layers")

    def __str__(self) -> str:
        return f"{self.title} ({self.severity}). {self.message} {self.remedy}"
