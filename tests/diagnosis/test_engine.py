"""Rules are registered by code and asked of cases; one cause gives one finding."""

from dataclasses import replace

import pytest

from keras_initscope.diagnosis import RULES, Case, Evidence, diagnose, engine, rule
from keras_initscope.records import ModelInfo, Quantity, Severity, Snapshot, StepInfo, Tap
from keras_initscope.records import TensorStats as Stats


def case(losses=(1.0,), quantities=(), step=0):
    stats = tuple(
        Stats(tap=Tap(layer="a", quantity=q, depth=0, size=4), values={"root_mean_square": 1.0})
        for q in quantities
    )
    every = max(1, step // max(1, len(losses) - 1))
    snapshots = [
        Snapshot(
            step=i * every, info=StepInfo(loss=loss, learning_rate=None, time=0.0), stats=stats
        )
        for i, loss in enumerate(losses)
    ]
    model = ModelInfo(name="net", layers=())
    return Case(model=model, snapshot=snapshots[-1], earlier=tuple(snapshots[:-1]))


@pytest.fixture
def rules(monkeypatch):
    """No rules but those of a test."""
    monkeypatch.setattr(engine, "RULES", {})
    return engine.RULES


def always(code, **kwargs):
    def judge(_):
        """Something is wrong.

        It can be seen, and does harm.

        Remedy: Do
        otherwise.
        """
        return Evidence(value=2.0, threshold=1.0, message="Seen.", layers=("b", "c"))

    return rule(code, **kwargs)(judge)


def test_a_rule_says_what_its_docstring_says(rules):
    always("F1")
    (finding,) = diagnose(case())
    assert (finding.title, finding.remedy) == ("Something is wrong", "Do otherwise.")
    assert rules["F1"].explanation == "It can be seen, and does harm."
    assert finding.layer == "b"
    assert finding.layers == ("b", "c")
    assert str(finding) == "Something is wrong (warning). Seen. Do otherwise."


@pytest.mark.usefixtures("rules")
def test_a_consequence_is_not_told_beside_its_cause():
    always("B1", silent_for=("F1",))
    assert [f.code for f in diagnose(case())] == ["B1"]
    always("F1")
    assert [f.code for f in diagnose(case())] == ["F1"]


@pytest.mark.usefixtures("rules")
def test_a_rule_needs_what_it_judges():
    always("W1", needs=[Quantity.KERNEL_UPDATE])
    assert not diagnose(case(quantities=[Quantity.KERNEL]))
    assert diagnose(case(quantities=[Quantity.KERNEL, Quantity.KERNEL_UPDATE]))


@pytest.mark.usefixtures("rules")
def test_a_rule_of_all_layers_is_not_asked_of_some():
    always("D1", whole=True)
    always("U1")
    some = replace(case().model, is_whole=False)
    assert [f.code for f in diagnose(case())] == ["D1", "U1"]
    assert [f.code for f in diagnose(replace(case(), model=some))] == ["U1"]


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("losses", "step", "severity"),
    [
        ([1.0], 0, Severity.WARNING),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 100, Severity.ALARM),
        ([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], 100, Severity.WARNING),
        ([1.0, 2.0, 4.0], 2, Severity.WARNING),
        ([1.0, float("nan")], 1, Severity.ALARM),
        ([None] * 6, 100, Severity.WARNING),
    ],
)
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_a_mechanism_warns_and_a_loss_that_does_not_fall_alarms(losses, step, severity, scale):
    always("F1")
    losses = [None if loss is None else scale * loss for loss in losses]
    assert [f.severity for f in diagnose(case(losses, step=step))] == [severity]


@pytest.mark.usefixtures("rules")
def test_codes_and_docstrings_are_checked():
    always("F1")
    for code in ("F1", "X1", "F", "f1", "F0"):
        with pytest.raises(ValueError, match="code of a rule"):
            always(code)

    def judge(_):
        """Only a title."""

    with pytest.raises(ValueError, match="docstring"):
        rule("F2")(judge)


def test_the_rules_that_are_named_as_causes_exist():
    for each in RULES.values():
        assert each.silent_for <= RULES.keys()
        assert each.code not in each.silent_for
