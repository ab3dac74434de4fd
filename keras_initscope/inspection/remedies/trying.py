"""Remedies executed on copies, and looked at again.

Owns when a remedy is said to help: its finding is gone, and none as severe has come.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from keras_initscope import initializers, layers
from keras_initscope.batches import Batch
from keras_initscope.diagnosis import RULES
from keras_initscope.inspection.remedies import candidates, normalizing
from keras_initscope.inspection.remedies.copying import NoCopyError, copied, untouched
from keras_initscope.inspection.remedies.registry import REMEDIES, Candidate, Scene
from keras_initscope.inspection.remedies.values import value_of
from keras_initscope.model_init import autoinit, calibrate, reinitialize, tailor
from keras_initscope.prediction.gains import gain
from keras_initscope.records import Finding, Remedy, Report, Severity

__all__ = ["Trial", "candidates", "normalizing", "tried"]

#: Of what helps against one finding so many are shown.
_SHOWN = 2
_PACKAGE = SimpleNamespace(
    autoinit=autoinit,
    calibrate=calibrate,
    gain=gain,
    initializers=initializers,
    layers=layers,
    reinitialize=reinitialize,
    tailor=tailor,
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is looked at.

    Args:
        model: A model.
        batch: What it is looked at with.
        loss: The loss, of a model that is not compiled with one.
    """

    model: Any
    batch: Batch
    loss: Any = None


Look = Callable[[Trial], Report]


def tried(trial: Trial, report: Report, look: Look) -> tuple[tuple[Remedy, ...], list[str]]:
    """Try on copies what might help against the findings of a look.

    Args:
        trial: What was looked at; nothing of it is changed.
        report: What was found.
        look: Looks at a trial.

    Returns:
        What helps, by finding; and what else a reader must know, a sentence each.
    """
    with untouched(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the look before has said it
        try:
            before = look(replace(trial, model=copied(trial.model, trial.batch.x)))
        except NoCopyError as error:
            return (), [f"No remedy was tried, for the model cannot be copied: {error}."]
        except Exception as error:  # the model is the user's and may raise anything
            return (), [f"No remedy was tried, for a copy of the model cannot be run: {error!r}."]
        if _codes(before) != _codes(report):
            return (), ["No remedy was tried, for a copy of the model does not do the same."]
        found: list[Remedy] = []
        for candidate in REMEDIES.values():
            open_ = [each for each in report.findings if _is_open(each, candidate, found)]
            if open_:
                found += _outcome(trial, candidate, open_, report, look)
    return tuple(_best(found, report)), _unhelped(found, report)


def _is_open(finding: Finding, candidate: Candidate, found: list[Remedy]) -> bool:
    """Whether a finding wants such a remedy: none of its kind leaves nothing behind yet."""
    clean = [each for each in found if each.code == finding.code and not each.remaining]
    kinds = {each.kind for each in REMEDIES.values() for own in clean if each.words == own.words}
    return finding.code in candidate.codes and len(clean) < _SHOWN and candidate.kind not in kinds


def _outcome(
    trial: Trial, candidate: Candidate, findings: list[Finding], before: Report, look: Look
) -> list[Remedy]:
    """The findings that a candidate removes, each as a remedy."""
    model, x = copied(trial.model, trial.batch.x), _as_arrays(trial.batch.x)
    try:
        line = candidate.line(Scene(model=model, x=x, report=before, finding=findings[0]))
        if not line:
            return []
        after = look(_executed(line, replace(trial, model=model), x))
    except Exception:  # the model is the user's and may raise anything: it does not go with it
        return []
    return [
        Remedy(
            code=finding.code,
            words=candidate.words,
            line=line,
            before=finding.value,
            after=value_of(finding.code, after),
            findings=len(before.findings),
            remaining=tuple(each.code for each in after.findings),
        )
        for finding in findings
        if _helps(finding, before, after)
    ]


def _executed(line: str, trial: Trial, x: Any) -> Trial:
    """What is offered is what was run: the code itself, with the names that it may use."""
    names = {"keras": keras, "np": np, "initscope": _PACKAGE, "model": trial.model, "x": x}
    exec(line, names)
    trial = replace(trial, model=names["model"])
    if names["x"] is x:
        return trial

    def tensor(array: Any) -> Any:
        found = np.asarray(array)
        kind = keras.config.floatx() if found.dtype.kind == "f" else found.dtype
        return keras.ops.convert_to_tensor(found.astype(kind))

    return replace(
        trial, batch=replace(trial.batch, x=keras.tree.map_structure(tensor, names["x"]))
    )


def _as_arrays(x: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: np.asarray(keras.ops.convert_to_numpy(leaf)), x)


def _helps(finding: Finding, before: Report, after: Report) -> bool:
    gone = _codes(before) - _codes(after)
    new = [each for each in after.findings if each.code not in _codes(before)]
    # What a finding has kept silent was there before, and is not the remedy's doing.
    own = [each for each in new if not RULES[each.code].silent_for & gone]
    worse = [
        each
        for each in own
        if each.severity is Severity.ALARM or finding.severity is Severity.WARNING
    ]
    return finding.code in gone and not worse and len(after.findings) <= len(before.findings)


def _codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def _best(found: list[Remedy], report: Report) -> list[Remedy]:
    """Of each finding those that leave least behind, the simpler ones first."""
    chosen = []
    for finding in report.findings:
        own = [each for each in found if each.code == finding.code]
        clean = [each for each in own if not each.remaining]
        chosen += (clean or sorted(own, key=lambda each: len(each.remaining)))[:_SHOWN]
    return chosen


def _unhelped(found: list[Remedy], report: Report) -> list[str]:
    helped = {each.code for each in found}
    left = [each.code for each in report.findings if each.code not in helped]
    if not left:
        return []
    return [f"Of what was tried on copies nothing removes {', '.join(left)}."]
