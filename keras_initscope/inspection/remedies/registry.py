"""What a remedy is, and which there are.

Owns the registry. A remedy is one function: what is known of a model to the code that might help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from keras_initscope.records import Finding, Report

Function = Callable[["Scene"], str | None]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a remedy is chosen by. It changes none of it.

    Args:
        model: A copy of the model.
        x: The inputs, as NumPy arrays in whatever structure.
        report: What a look has found.
        finding: What is to be removed, the first of those that the remedy is for.
    """

    model: Any
    x: Any
    report: Report
    finding: Finding

    @property
    def activation(self) -> str:
        """The name of the activation that most hidden layers have, or empty."""
        outputs = set(self.report.model.outputs)
        layers = [each for each in self.report.model.layers if each.path not in outputs]
        names = Counter(each.activation for each in layers if each.activation not in _NONE)
        return str(names.most_common(1)[0][0]) if names else ""

    @property
    def depth(self) -> int:
        """How many layers have that activation."""
        return sum(each.activation == self.activation for each in self.report.model.layers)


_NONE = (None, "linear", "softmax")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A remedy that may help.

    Args:
        name: Its name.
        codes: Codes of the findings that it is for.
        kind: What it changes: of each kind the first that helps is enough.
        words: What it does, a sentence.
        line: What is known of a model to the code, or `None` where it does not apply.
    """

    name: str
    codes: frozenset[str]
    kind: str
    words: str
    line: Function


REMEDIES: dict[str, Candidate] = {}


def remedy(*codes: str, kind: str) -> Callable[[Function], Function]:
    """Register a remedy. Its docstring is what it does, in words.

    The code that it returns is executed on a copy, and is offered as it stands: see
    `keras_initscope.records.Remedy` for the names in it. Remedies are tried in the order in which
    they are registered.

    Args:
        *codes: Codes of the findings that it is for.
        kind: What it changes, a word.

    Returns:
        A decorator.
    """

    def register(line: Function) -> Function:
        words = " ".join(cleandoc(line.__doc__ or "").split())
        name = line.__name__
        REMEDIES[name] = Candidate(
            name=name, codes=frozenset(codes), kind=kind, words=words, line=line
        )
        return line

    return register
