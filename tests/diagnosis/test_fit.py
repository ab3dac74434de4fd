"""The looks of a fit, judged together: what was wrong when, and what nobody could look for."""

from dataclasses import replace

import pytest

from keras_initscope.diagnosis import RULES, Case, Evidence, coverage, engine, fit_report, rule
from keras_initscope.records import (
    LayerInfo,
    ModelInfo,
    Quantity,
    Severity,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)

MODEL = ModelInfo(name="net", layers=(LayerInfo(path="a", kind="Dense", depth=0),))
ONES = dict.fromkeys(("root_mean_square", "signal", "constant", "minimum", "maximum"), 1.0)


@pytest.fixture
def rules(monkeypatch):
    """No rules but those that a test makes."""
    monkeypatch.setattr(engine, "RULES", known := {})
    monkeypatch.setattr("keras_initscope.diagnosis.scope.RULES", known)


def look(step, quantities=(Quantity.KERNEL,), loss=1.0, origin="measured"):
    stats = tuple(
        TensorStats(tap=Tap(layer="a", quantity=quantity, depth=0, size=4), values=ONES)
        for quantity in quantities
    )
    info = StepInfo(loss=loss, learning_rate=None, time=0.0)
    return Snapshot(step=step, info=info, stats=stats, origin=origin)


def at(code, steps, alarms=()):
    """A rule that finds something at these steps."""

    @rule(code, needs=(Quantity.KERNEL,))
    def judge(case):
        """Something.

        It is seen.

        Remedy: Change it.
        """
        step = case.snapshot.step
        if step not in steps:
            return None
        return Evidence(value=step, threshold=0.0, message="", certain=step in alarms)

    return judge


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("steps", "alarms", "expected"),
    [
        ([0, 1, 2, 3], [], (0, 3, 4, True)),
        ([1], [], (1, 1, 1, False)),
        ([0, 2], [], (0, 2, 2, False)),
        ([2, 3], [], (2, 3, 2, True)),
    ],
)
def test_a_finding_is_told_once_with_when_it_was_seen(steps, alarms, expected):
    at("U1", steps, alarms)
    (seen,) = fit_report(MODEL, [look(step) for step in range(4)]).sightings
    assert (seen.first_step, seen.last_step, seen.looks, seen.is_there) == expected


@pytest.mark.usefixtures("rules")
def test_a_finding_is_shown_as_it_was_first_at_its_gravest():
    at("U1", [0, 1, 2], alarms=[1, 2])
    (finding,) = fit_report(MODEL, [look(step) for step in range(3)]).findings
    assert (finding.step, finding.severity) == (1, Severity.ALARM)


@pytest.mark.usefixtures("rules")
def test_alarms_come_first_then_what_is_still_there():
    at("U1", [0])
    at("U2", [0, 1])
    at("U3", [0], alarms=[0])
    found = fit_report(MODEL, [look(step) for step in range(2)]).findings
    assert [finding.code for finding in found] == ["U3", "U2", "U1"]


@pytest.mark.usefixtures("rules")
def test_rules_see_theory_and_what_came_before():
    cases, probes = [], []

    @rule("U1", needs=())
    def judge(case):
        """Something.

        It is seen.

        Remedy: Change it.
        """
        cases.append((case.snapshot.step, len(case.earlier), case.predicted))
        probes.append(len(case.probe))

    theory = look(0, origin="predicted")
    report = fit_report(MODEL, [theory, look(0), look(5)])
    assert cases == [(0, 0, theory), (5, 1, theory)]
    assert (report.predicted, len(report.snapshots)) == (theory, 2)
    cases.clear()
    other = replace(theory, step=7)
    assert fit_report(MODEL, [look(0)], other).predicted == other
    assert cases == [(0, 0, other)]
    probes.clear()
    fit_report(MODEL, [look(0), look(5)], probe=[look(0), look(5)])
    assert probes[-1] > 0


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000])
def test_of_a_long_fit_a_hundred_looks_are_judged_first_and_last_among_them(count):
    steps = [each.step for each in fit_report(MODEL, [look(i) for i in range(count)]).snapshots]
    assert len(steps) == min(count, 100)
    assert (steps[0], steps[-1]) == (0, count - 1)
    assert steps == sorted(set(steps))


def test_a_fit_without_a_look_has_no_report():
    with pytest.raises(ValueError, match="Received: 1 snapshots, 1 of them predicted"):
        fit_report(MODEL, [look(0, origin="predicted")])


def test_every_rule_either_could_speak_or_has_a_reason():
    case = Case(model=MODEL, snapshot=look(0))
    checked, unchecked = coverage(case)
    titles = {each.title for each in RULES.values()}
    assert {*checked} | {*unchecked} == titles
    assert not {*checked} & {*unchecked}
    assert unchecked["Frozen weights"] == "kernel updates were not measured."
    everything = Case(model=MODEL, snapshot=look(0, Quantity), probe=(look(0),))
    assert coverage(everything) == (tuple(each.title for each in RULES.values()), {})


def test_what_is_said_of_the_whole_network_is_not_looked_for_in_some_layers():
    model = replace(MODEL, is_whole=False)
    some = Case(model=model, snapshot=look(0, Quantity), probe=(look(0),))
    _, unchecked = coverage(some)
    whole = {each.title for each in RULES.values() if each.whole}
    assert unchecked == dict.fromkeys(whole, "only some of the layers were measured.")


def test_a_last_look_without_updates_does_not_hide_that_they_were_measured():
    looks = [look(0, Quantity), look(9, set(Quantity) - {Quantity.KERNEL_UPDATE})]
    assert fit_report(MODEL, looks, probe=[look(0)]).unchecked == {}


def test_what_needs_fixed_examples_is_looked_for_only_there():
    title = "Drifting layers"
    without = fit_report(MODEL, [look(0), look(5)])
    assert "probe" in without.unchecked[title]
    assert title in fit_report(MODEL, [look(0), look(5)], probe=[look(0), look(5)]).checked
