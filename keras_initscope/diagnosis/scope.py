"""What a diagnosis could look for, so that its silence can be understood.

Owns the words for why a rule could not speak. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import RULES, Rule
from keras_initscope.records import Quantity


def coverage(case: Case) -> tuple[tuple[str, ...], dict[str, str]]:
    """Which rules could speak of a case.

    Args:
        case: What was measured of a network.

    Returns:
        Titles of the rules that could, and the title of each other one with the reason.

    Example:

    ```python
    from keras_initscope.diagnosis import Case, coverage
    from keras_initscope.records import ModelInfo, Snapshot, StepInfo

    info = StepInfo(loss=None, learning_rate=None, time=0.0)
    empty = Snapshot(step=0, info=info, stats=())
    checked, unchecked = coverage(Case(model=ModelInfo(name="net", layers=()), snapshot=empty))
    assert unchecked["Dead units"] == "activations were not measured."
    ```
    """
    reasons = {each.title: _reason(each, case) for each in RULES.values()}
    checked = tuple(title for title, reason in reasons.items() if not reason)
    return checked, {title: reason for title, reason in reasons.items() if reason}


def _reason(rule: Rule, case: Case) -> str:
    """Why a rule cannot speak of a case, or nothing."""
    if rule.whole and not case.model.is_whole:
        return "only some of the layers were measured."
    if rule.probe and not case.probe:
        return "nothing was measured on fixed examples (`VarianceMonitor(probe=...)`)."
    missing = rule.needs - case.quantities
    return _absent(missing) if missing else ""


def _absent(quantities: Iterable[Quantity]) -> str:
    names = [f"{quantity.value.replace('_', ' ')}s" for quantity in sorted(quantities)]
    return f"{' and '.join(names)} were not measured."
