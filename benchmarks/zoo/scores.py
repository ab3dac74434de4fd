"""Precision and recall of the rules, by rule and in total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.measuring import Row
from benchmarks.zoo.judging import Verdict


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none"


def _of_look(verdicts: Sequence[Verdict], look: str, words: str) -> Iterator[Row]:
    seen = [each for each in verdicts if each.look == look and not each.error]
    healthy = [each for each in seen if each.subject.is_healthy]
    faulty = [each for each in seen if not each.subject.is_healthy and each.is_expected]
    silent = sum(not each.findings for each in healthy)
    named = sum(not each.is_missed for each in faulty)
    alarms = named + len(healthy) - silent
    yield Row(what=f"healthy networks left alone {words}", result=_share(silent, len(healthy)))
    yield Row(what=f"faults named {words} (recall)", result=_share(named, len(faulty)))
    yield Row(what=f"precision {words}", result=_share(named, alarms))


def _of_rule(verdicts: Sequence[Verdict], code: str) -> Row:
    said = [each for each in verdicts if code in each.codes]
    wrong = [each for each in said if any(code == f.code for f in each.false_alarms)]
    crying = sum(each.subject.is_healthy for each in wrong)
    asked = [
        each
        for each in verdicts
        if each.is_expected and not each.error and each.subject.wanted[:1] == (code,)
    ]
    found = sum(not each.is_missed for each in asked)
    return Row(
        what=f"{code}: right of all it says; faults of its kind that are named",
        result=f"{_share(len(said) - len(wrong), len(said))}, {crying} of healthy networks; "
        f"{_share(found, len(asked))}",
    )


def scored(verdicts: Iterable[Verdict]) -> list[Row]:
    """The table of a benchmark."""
    verdicts = list(verdicts)
    codes = {code for each in verdicts for code in (*each.codes, *each.subject.wanted[:1])}
    trained = [v for v in verdicts if v.look == "fit" and v.subject.is_healthy and not v.error]
    slowest = max((each.seconds for each in verdicts), default=0.0)
    errors = sum(bool(each.error) for each in verdicts)
    return [
        Row(
            what="networks: healthy, faulty",
            result=f"{_names(verdicts, True)}, {_names(verdicts, False)}; {errors} not judged",
        ),
        Row(
            what="healthy networks that train",
            result=_share(sum(each.has_trained for each in trained), len(trained)),
        ),
        *_of_look(verdicts, "start", "at step 0"),
        *_of_look(verdicts, "fit", "during a fit"),
        *(_of_rule(verdicts, code) for code in sorted(codes)),
        Row(what="longest diagnosis of a look", result=f"{1e3 * slowest:.1f} ms", target="5 ms"),
    ]


def _names(verdicts: Sequence[Verdict], healthy: bool) -> int:
    return len({each.name for each in verdicts if each.subject.is_healthy is healthy})
