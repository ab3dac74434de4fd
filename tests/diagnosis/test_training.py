"""What rules make of looks in the course of a training: made ones, of a network of three layers."""

from dataclasses import replace

import pytest

from keras_initscope.diagnosis import Case, diagnose
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

PATHS = ("one", "two", "three")
MODEL = ModelInfo(
    name="net",
    layers=tuple(
        LayerInfo(path=path, kind="Dense", depth=depth, activation="relu", units=4)
        for depth, path in enumerate(PATHS)
    ),
    outputs=("three",),
)
#: A tensor of mean 0 and variance 1 that tells examples apart.
PLAIN = {
    "mean": 0.0,
    "root_mean_square": 1.0,
    "minimum": -3.0,
    "maximum": 3.0,
    "zero_fraction": 0.5,
    "nonfinite_count": 0.0,
    "signal": 0.7,
    "constant": 0.3,
    "duplicate_fraction": 0.0,
    "dead_fraction": 0.0,
    "saturated_fraction": 0.0,
    "relative_slope": 0.5,
}


def look(step, loss, changed=(), update=1e-3):
    """A look at a network that is well but for `{(quantity, layer): {statistic: value}}`."""
    edits = dict(changed)
    stats = []
    for depth, path in enumerate(PATHS):
        for quantity in Quantity:
            values = {**PLAIN, **edits.get((quantity, path), {})}
            if quantity is Quantity.KERNEL_UPDATE:
                values["root_mean_square"] = update
            tap = Tap(layer=path, quantity=quantity, depth=depth, size=256)
            stats.append(TensorStats(tap=tap, values=values))
    info = StepInfo(loss=loss, learning_rate=0.1, time=0.0)
    return Snapshot(step=step, info=info, stats=tuple(stats))


def found(*looks, **kwargs):
    """Codes of what is wrong at the last of them."""
    case = Case(model=MODEL, snapshot=looks[-1], earlier=looks[:-1], **kwargs)
    return [finding.code for finding in diagnose(case)]


FALLING = (2.0, 1.5, 1.2, 1.0, 0.9, 0.8)
STUCK = (2.0, 2.1, 1.99, 2.0, 2.05, 2.0)
SHRUNK = {(Quantity.PREACTIVATION, "two"): {"root_mean_square": 1e-4}}
SAME = {(Quantity.ACTIVATION, "three"): {"signal": 1e-9, "constant": 1.0}}
DEAD = {(Quantity.ACTIVATION, "two"): {"dead_fraction": 0.6}}


def fit(losses, changed=(), **kwargs):
    return [look(20 * i, loss, changed, **kwargs) for i, loss in enumerate(losses)]


@pytest.mark.parametrize("losses", [FALLING, STUCK])
def test_a_network_that_is_well_is_left_alone(losses):
    assert found(*fit(losses)) == []


def test_a_mechanism_is_a_warning_at_the_start_and_an_alarm_where_the_loss_is_stuck():
    start = Case(model=MODEL, snapshot=look(0, 2.0, SHRUNK))
    *before, last = fit(STUCK, SHRUNK)
    later = Case(model=MODEL, snapshot=last, earlier=tuple(before))
    assert [(f.code, f.severity) for f in diagnose(start)] == [("F1", Severity.WARNING)]
    assert [(f.code, f.severity) for f in diagnose(later)] == [("F1", Severity.ALARM)]


def test_a_mechanism_says_nothing_of_a_network_that_learns():
    assert found(*fit(FALLING, SHRUNK)) == []


def test_a_loss_that_rests_says_nothing_where_training_goes_on():
    looks = [replace(each, step=each.step + 5000) for each in fit(STUCK, SHRUNK)]
    assert found(*looks) == []


def test_one_look_at_a_trained_network_is_judged():
    assert found(look(1000, 2.0, SHRUNK)) == ["F1"]


def test_a_constant_output_is_one_after_some_steps_alone():
    assert found(look(0, 2.0, SAME)) == []
    assert found(*fit(FALLING, SAME)) == ["D3"]


def test_units_die_where_they_were_alive_at_the_start():
    assert found(*fit(FALLING, DEAD)) == []  # they were so from the start, as chance has it
    looks = fit(FALLING, DEAD)
    assert found(look(0, 2.0), *looks[1:]) == ["U2"]
    assert found(look(0, 2.0), *looks[1:-2], look(90, 0.8), looks[-1]) == []  # not in a row


def test_units_may_die_in_what_only_scales_what_passes_beside_it():
    """As in the gate of a squeeze and excitation, which stands in front of nothing."""
    layers = [replace(layer, parents=()) for layer in MODEL.layers]
    behind_gate = replace(
        MODEL, layers=(layers[0], layers[1], replace(layers[2], parents=("one",)))
    )
    in_a_row = replace(
        MODEL,
        layers=(
            layers[0],
            replace(layers[1], parents=("one",)),
            replace(layers[2], parents=("two",)),
        ),
    )
    first, *rest = look(0, 2.0), *fit(FALLING, DEAD)[1:]
    for model, expected in ((behind_gate, []), (in_a_row, ["U2"])):
        case = Case(model=model, snapshot=rest[-1], earlier=(first, *rest[:-1]))
        assert [finding.code for finding in diagnose(case)] == expected


def test_steps_that_throw_the_weights_about_matter_where_the_loss_is_stuck():
    assert found(*fit(STUCK, update=2.0)) == ["W3"]
    assert found(*fit(FALLING, update=2.0)) == []


def test_a_rate_that_has_come_down_does_not_freeze_the_weights():
    looks = fit(FALLING, update=1e-9)
    assert found(*looks) == ["W2"]
    assert found(*looks[:2], *fit(FALLING)[2:4], *looks[4:]) == []


def test_a_long_plan_moves_weights_by_small_steps():
    case = Case(model=MODEL, snapshot=look(0, 2.0, update=1e-7))
    assert [finding.code for finding in diagnose(case)] == ["W2"]
    assert diagnose(replace(case, model=replace(MODEL, planned_steps=1_000_000))) == ()


@pytest.mark.parametrize(
    ("losses", "drift", "expected"),
    [(STUCK, 2.0, ["W4"]), (STUCK, 0.5, []), (FALLING, 2.0, [])],
)
def test_layers_that_drift_matter_where_the_loss_is_stuck(losses, drift, expected):
    edits = {(Quantity.ACTIVATION, path): {"drift": drift} for path in PATHS}
    probe = tuple(fit(losses, edits))
    assert found(*fit(losses), probe=probe) == expected
    assert found(*fit(losses), probe=probe[:2]) == []
