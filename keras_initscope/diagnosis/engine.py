"""Rules and what asks them: which there are, which may speak, and which keep silent for another.

Owns the registry and the merging of what is found: one cause, one finding. Knows no symptom.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from inspect import cleandoc

from keras_initscope.diagnosis.case import Case
from keras_initscope.records import Finding, Quantity, Severity

_CODE = re.compile(r"[FBUWND][1-9]\d*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a rule has seen.

    Args:
        value: The number that it judged.
        threshold: What it judged it against.
        message: What is seen, a sentence or two with the numbers in it.
        layers: Paths of the layers concerned, in forward order.
        remedy: What to change, where that is more than the rule's docstring says.
        certain: Whether harm is done whatever the loss does, as by numbers that are not finite.
    """

    value: float
    threshold: float
    message: str
    layers: tuple[str, ...] = ()
    remedy: str = ""
    certain: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule.

    Args:
        code: Its code.
        needs: What must have been measured for it to speak.
        whole: Whether all layers must have been measured.
        trend: Whether it finds what is no fault in a network that learns.
        probe: Whether it compares looks at fixed examples.
        judge: A case to the evidence, or `None` where nothing is wrong.
        silent_for: Codes of the rules of which what it finds is a consequence.
        title: What is wrong, in a few words.
        explanation: By what it is seen, and why it does harm.
        remedy: What to change.
    """

    code: str
    needs: frozenset[Quantity]
    whole: bool
    trend: bool
    probe: bool
    judge: Callable[[Case], Evidence | None]
    silent_for: frozenset[str]
    title: str
    explanation: str
    remedy: str


RULES: dict[str, Rule] = {}


def rule(
    code: str,
    *,
    needs: Iterable[Quantity] = (),
    silent_for: Iterable[str] = (),
    whole: bool = False,
    trend: bool = False,
    probe: bool = False,
) -> Callable[[Callable[[Case], Evidence | None]], Callable[[Case], Evidence | None]]:
    """Register a rule.

    Its docstring holds the title as the first line, then the explanation, and last, after
    `Remedy:`, what to change.

    Args:
        code: A letter for the family and a number.
        needs: What must have been measured for it to speak.
        silent_for: Codes of rules that explain what it finds: where one of them has found
            something, this one keeps silent.
        whole: Whether it speaks of all layers only, as of the first or last one.
        trend: Whether it finds what is no fault in a network that learns: of one that was trained
            it is told where the loss is stuck.
        probe: Whether it compares looks at fixed examples.

    Returns:
        A decorator.

    Raises:
        ValueError: If the code is none, is taken, or if the docstring lacks a part.
    """
    if not _CODE.fullmatch(code) or code in RULES:
        raise ValueError(
            "The code of a rule must be one of the letters F, B, U, W, N and D and a number that "
            f"no other rule has. Received: code={code!r}. Taken: {sorted(RULES)}."
        )

    def register(judge: Callable[[Case], Evidence | None]) -> Callable[[Case], Evidence | None]:
        title, _, body = cleandoc(judge.__doc__ or "").partition("\n\n")
        explanation, _, remedy = body.partition("Remedy:")
        if not (title and explanation.strip() and remedy.strip()):
            raise ValueError(
                f"The docstring of rule {code} must hold a title, an explanation and, after "
                f"`Remedy:`, what to change. Received: {judge.__doc__!r}"
            )
        RULES[code] = Rule(
            code=code,
            needs=frozenset(needs),
            whole=whole,
            trend=trend,
            probe=probe,
            judge=judge,
            silent_for=frozenset(silent_for),
            title=_joined(title).rstrip("."),
            explanation=_joined(explanation),
            remedy=_joined(remedy),
        )
        return judge

    return register


def diagnose(case: Case) -> tuple[Finding, ...]:
    """Ask every rule that can speak.

    Args:
        case: What was measured of a network, and before.

    Returns:
        The findings, alarms first, else in the order of the rules.
    """
    measured = case.quantities
    is_whole = case.model.is_whole
    asked = (r for r in RULES.values() if r.needs <= measured and (is_whole or not r.whole))
    found = {each.code: (each, evidence) for each in asked if (evidence := each.judge(case))}
    kept = [
        (each, evidence)
        for each, evidence in found.values()
        if not each.silent_for & found.keys() and (case.is_open or not each.trend)
    ]
    findings = [_finding(case, each, evidence) for each, evidence in kept]
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ALARM))


def is_explained(finding: Finding, by: Collection[str]) -> bool:
    """Whether a finding is a consequence of what rules of some codes have found."""
    return not RULES[finding.code].silent_for.isdisjoint(by)


def _finding(case: Case, each: Rule, evidence: Evidence) -> Finding:
    is_alarm = evidence.certain or case.is_failing
    return Finding(
        code=each.code,
        title=each.title,
        severity=Severity.ALARM if is_alarm else Severity.WARNING,
        layers=evidence.layers,
        step=case.snapshot.step,
        value=evidence.value,
        threshold=evidence.threshold,
        message=evidence.message,
        remedy=evidence.remedy or each.remedy,
        explanation=each.explanation,
    )


def _joined(text: str) -> str:
    return " ".join(text.split())
