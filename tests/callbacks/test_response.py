"""What is done about a finding, as `on_finding` asks."""

import warnings

import pytest

from keras_initscope import VarianceMonitor
from keras_initscope.callbacks.response import Response
from keras_initscope.callbacks.watch import announce
from keras_initscope.records import Finding, Severity


def finding(severity=Severity.WARNING, code="F1", layers=("b", "c"), step=7):
    return Finding(
        code=code,
        title="Vanishing signal",
        severity=severity,
        layers=layers,
        step=step,
        value=2.0,
        threshold=1.0,
        message="It is seen.",
        remedy="Do otherwise.",
    )


ALARM = finding(Severity.ALARM)


def responding(on_finding, *findings, is_over=False):
    """The sentences that are told, and how often training was stopped."""
    stopped = []
    response = Response(on_finding, lambda: stopped.append(True))
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        for each in findings:
            response(each, is_over)
    return [str(entry.message) for entry in recorded], len(stopped)


def test_a_warning_says_what_where_why_and_what_to_do():
    (said,), stopped = responding("warn", finding())
    assert said == (
        "F1 Vanishing signal (warning) at step 7 in b and one more layer. It is seen. What to do: "
        "Do otherwise."
    )
    assert not stopped


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ((), "the whole network"),
        (("b",), "b"),
        (("b", "c"), "b and one more layer"),
        (("b", "c", "d"), "b and 2 more layers"),
    ],
)
def test_where(layers, where):
    assert finding(layers=layers).where == where


@pytest.mark.parametrize(
    ("on_finding", "count", "stops"), [("ignore", 0, 0), ("warn", 3, 0), ("stop", 3, 1)]
)
def test_what_is_told_and_whether_training_ends(on_finding, count, stops):
    said, stopped = responding(on_finding, finding(), ALARM, ALARM)
    assert (len(said), stopped) == (count, stops)
    assert sum("Training stops here" in sentence for sentence in said) == stops


def test_a_warning_alone_stops_nothing():
    said, stopped = responding("stop", finding(), finding())
    assert (len(said), stopped) == (2, 0)
    assert not any("stops" in sentence for sentence in said)


def test_what_is_over_cannot_be_stopped():
    (said,), stopped = responding("stop", ALARM, is_over=True)
    assert not stopped
    assert "stops" not in said


def test_a_function_gets_each_finding_and_nothing_else_is_told():
    got = []
    assert responding(got.append, finding(), ALARM) == ([], 0)
    assert got == [finding(), ALARM]


def test_what_a_function_raises_is_told_once_and_it_is_asked_again():
    got = []

    def fail(each):
        got.append(each)
        raise KeyError("of the user")

    said, _ = responding(fail, finding(), ALARM)
    assert got == [finding(), ALARM]
    (sentence,) = said
    assert "given as on_finding failed on finding F1 of step 7" in sentence
    assert "KeyError: 'of the user'" in sentence


def test_an_interrupt_in_a_function_goes_on_to_the_user():
    def interrupt(each):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Response(interrupt, lambda: None)(finding(), False)


def test_what_is_true_again_is_told_again():
    """By Python's own filter a sentence is told once a process, as if it had been mended."""
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("default")
        for _ in range(2):
            announce("The same sentence.")
    assert len(recorded) == 2


@pytest.mark.parametrize(
    "on_finding", ["ignore", "warn", "stop", print, [].append, lambda finding: None]
)
def test_what_may_be_asked_for(on_finding, tmp_path):
    VarianceMonitor(tmp_path, on_finding=on_finding)


@pytest.mark.parametrize(
    ("on_finding", "words"),
    [
        ("Warn", "Did you mean 'warn'"),
        ("raise", "on_finding='raise'"),
        (None, "on_finding=None"),
        (True, "on_finding=True"),
        (["warn"], r"on_finding=\['warn'\]"),
        (lambda: None, "must take one argument"),
        (lambda finding, step: None, "must take one argument"),
    ],
)
def test_what_makes_no_sense(on_finding, words, tmp_path):
    with pytest.raises(ValueError, match=f'`on_finding` must be "ignore", "warn", .*{words}'):
        VarianceMonitor(tmp_path, on_finding=on_finding)
