"""A prediction in the units of a measurement."""

import pytest

from keras_initscope.prediction.matching import matched
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats

INFO = StepInfo(loss=None, learning_rate=None, time=0.0)


def snapshot(*entries, **kwargs):
    """From `(layer, depth, quantity, root mean square)`."""
    stats = tuple(
        TensorStats(
            tap=Tap(layer=layer, quantity=Quantity(quantity), depth=depth, size=4),
            values={"root_mean_square": size, "variance": size**2, "relative_error": 0.1},
        )
        for layer, depth, quantity, size in entries
    )
    return Snapshot(step=0, info=INFO, stats=stats, **kwargs)


def sizes(found, quantity):
    return found.profile(quantity, "root_mean_square")


GRADIENTS = [
    ("a", 0, "activation_gradient", 6.0),
    ("b", 1, "preactivation_gradient", 3.0),
    ("b", 1, "activation_gradient", 1.0),
]


def test_the_deepest_gradient_that_both_know_sets_the_size():
    """Of its two quantities the preactivation's, which the loss reaches first."""
    measured = snapshot(
        ("a", 0, "activation_gradient", 7.0),
        ("b", 1, "activation_gradient", 9.0),
        ("b", 1, "preactivation_gradient", 0.3),
        ("c", 2, "activation_gradient", 5.0),
    )
    found = matched(snapshot(*GRADIENTS), measured)
    assert sizes(found, "activation_gradient") == pytest.approx({"a": 0.6, "b": 0.1})
    assert sizes(found, "preactivation_gradient") == pytest.approx({"b": 0.3})
    assert found.profile("activation_gradient", "variance")["a"] == pytest.approx(0.36)
    assert set(found.profile("activation_gradient", "relative_error").values()) == {0.1}


def test_signals_keep_their_size():
    found = matched(
        snapshot(("a", 0, "activation", 2.0), *GRADIENTS[1:]),
        snapshot(("a", 0, "activation", 5.0), ("b", 1, "preactivation_gradient", 0.3)),
    )
    assert sizes(found, "activation") == {"a": 2.0}


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_gradients_that_cannot_be_compared_are_left_out(size):
    measured = snapshot(("a", 0, "activation_gradient", size), ("b", 1, "activation", 1.0))
    assert matched(snapshot(*GRADIENTS), measured).stats == ()


def test_gradients_that_died_are_predicted_to_be_dead():
    """Zero at the outputs is zero everywhere."""
    measured = snapshot(
        ("a", 0, "activation_gradient", 0.0), ("b", 1, "preactivation_gradient", 0.0)
    )
    found = matched(snapshot(*GRADIENTS), measured)
    assert set(sizes(found, "activation_gradient").values()) == {0.0}


def test_depths_are_those_that_were_measured():
    predicted = snapshot(("a", 0, "activation", 1.0), ("b", 1, "activation", 2.0))
    found = matched(predicted, snapshot(("b", 3, "kernel", 1.0), ("a", 5, "kernel", 1.0)))
    assert [(e.tap.layer, e.tap.depth) for e in found.stats] == [("b", 3), ("a", 5)]


def test_layers_that_were_not_measured_are_left_out():
    predicted = snapshot(("a", 0, "activation", 1.0), unknown={"x": "why", "b": "because"})
    found = matched(predicted, snapshot(("b", 0, "activation", 1.0)))
    assert found.stats == ()
    assert found.unknown == {"b": "because"}
