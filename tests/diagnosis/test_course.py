"""In the course of a run each finding is told once, however often it is seen."""

from dataclasses import replace

import pytest

from keras_initscope.diagnosis import Evidence, engine, rule
from keras_initscope.diagnosis.course import Course, replay
from keras_initscope.records import ModelInfo, Quantity, Snapshot, StepInfo, Tap
from keras_initscope.records import TensorStats as Stats
from keras_initscope.records.history import remember

MODEL = ModelInfo(name="net", layers=())


def look(step=0, entries=0, **kwargs):
    tap = Tap(layer="a", quantity=Quantity.KERNEL, depth=0, size=4)
    info = StepInfo(loss=1.0, learning_rate=None, time=0.0)
    return Snapshot(step=step, info=info, stats=(Stats(tap=tap, values={}),) * entries, **kwargs)


@pytest.fixture
def script(monkeypatch):
    """What F1, B1 and U1, which follows from F1, see at each step; and the cases asked of."""
    monkeypatch.setattr(engine, "RULES", {})
    seen, cases = {}, []

    for code, causes in {"F1": (), "B1": (), "U1": ("F1",)}.items():

        def judge(case, code=code):
            """Something is wrong.

            It does harm.

            Remedy: Do otherwise.
            """
            cases.append(case)
            return seen.get((code, case.snapshot.step))

        rule(code, silent_for=causes)(judge)
    return seen, cases


def seen_in(*layers, certain=False):
    return Evidence(value=2.0, threshold=1.0, message="Seen.", layers=layers, certain=certain)


def told(course, steps):
    """Code, layer, severity and step of all that is told, with the step at which it is."""
    found = []
    for step in steps:
        course.take(look(step), (), None)
        while course.news:
            finding = course.news.popleft()
            found.append((step, finding.code, finding.layer, str(finding.severity)))
    return found


def listed(course):
    return [(f.step, f.code, f.layer, str(f.severity)) for f in course.findings]


def test_what_is_seen_again_is_told_once(script):
    seen, _ = script
    seen |= {("F1", step): seen_in("b", "c") for step in range(3)}
    course = Course(MODEL)
    assert told(course, range(3)) == [(0, "F1", "b", "warning")]
    assert listed(course) == [(0, "F1", "b", "warning")]


def test_a_warning_that_becomes_an_alarm_is_told_once_more(script):
    """And not again where it goes to and fro."""
    seen, _ = script
    for step, certain in enumerate([False, False, True, False, True]):
        seen["F1", step] = seen_in("b", certain=certain)
    course = Course(MODEL)
    assert told(course, range(5)) == [(0, "F1", "b", "warning"), (2, "F1", "b", "alarm")]
    assert listed(course) == [(0, "F1", "b", "alarm")]


def test_it_is_listed_as_it_was_seen_last_from_when_it_was_seen_first(script):
    seen, _ = script
    seen["F1", 3] = seen_in("b", certain=True)
    seen["F1", 7] = replace(seen_in("b"), value=9.0, message="Seen anew.")
    course = Course(MODEL)
    told(course, [3, 5, 7, 9])
    (finding,) = course.findings
    assert (finding.step, finding.severity, finding.value) == (3, "warning", 9.0)
    assert finding.message == "Seen anew."


def test_a_finding_that_moves_on_is_the_same_as_long_as_layers_are_shared(script):
    seen, _ = script
    for step, layers in enumerate(["bcd", "cde", "de", "ef"]):
        seen["F1", step] = seen_in(*layers)
    course = Course(MODEL)
    assert told(course, range(4)) == [(0, "F1", "b", "warning")]
    assert listed(course) == [(0, "F1", "e", "warning")]


def test_elsewhere_it_is_another_one_until_both_meet(script):
    seen, _ = script
    seen |= {("F1", 0): seen_in("b"), ("F1", 1): seen_in("e"), ("B1", 1): seen_in("b")}
    course = Course(MODEL)
    assert [entry[1:3] for entry in told(course, range(2))] == [
        ("F1", "b"),
        ("F1", "e"),
        ("B1", "b"),
    ]
    assert len(course.findings) == 3
    seen["F1", 2] = seen_in("b", "e")
    assert told(course, [2]) == []
    assert listed(course) == [(0, "F1", "b", "warning"), (1, "B1", "b", "warning")]


def test_what_concerns_the_whole_network_is_one_thing(script):
    seen, _ = script
    seen |= {("F1", 0): seen_in(), ("F1", 1): seen_in("b"), ("F1", 2): seen_in()}
    course = Course(MODEL)
    assert told(course, range(3)) == [(0, "F1", "", "warning")]


def test_each_look_tells_what_is_wrong_then(script):
    seen, _ = script
    seen["F1", 0] = seen_in("b")
    course = Course(MODEL)
    assert [f.code for f in course.take(look(0), (), None)] == ["F1"]
    assert course.take(look(1), (), None) == ()
    assert len(course.findings) == 1


def test_a_run_is_judged_again_with_what_was_known_then(script):
    seen, cases = script
    seen["F1", 4] = seen_in("b")
    foreseen = look(0, origin="predicted")
    looks = [look(0), look(2), look(4)]
    course, fixed = Course(MODEL), [look(step) for step in (0, 2, 4)]
    assert [(s.step, len(found)) for s, found in replay(course, [foreseen, *looks], fixed)] == [
        (0, 0),
        (2, 0),
        (4, 1),
    ]
    assert all(case.predicted is foreseen for case in cases)
    assert cases[-1].earlier == tuple(looks[:2])
    assert cases[-1].probe == tuple(fixed[:2])
    assert len(course.findings) == 1


def test_a_history_stays_bounded_and_keeps_first_and_last():
    history = []
    for step in range(300):
        remember(history, look(step, entries=1000))
        assert len(history) <= 20
    steps = [each.step for each in history]
    assert (steps[0], steps[-1]) == (0, 299)
    assert len(steps) >= 10
    assert steps == sorted(steps)


def test_consequences_of_an_alarm_are_not_told_later(script):
    seen, _ = script
    course = Course(MODEL)
    seen["F1", 0] = seen_in("a", certain=True)
    seen["U1", 1] = seen["B1", 1] = seen_in("c")
    for step in (0, 1):
        course.take(look(step), (), None)
    assert [finding.code for finding in course.findings] == ["F1", "B1"]
