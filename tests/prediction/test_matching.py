"""A prediction beside a measurement: one factor for all gradients, and the same depths."""

import numpy as np
import pytest

from keras_initscope.prediction.matching import matched
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats

ACTIVATION, BEFORE = Quantity.ACTIVATION_GRADIENT, Quantity.PREACTIVATION_GRADIENT


def _snapshot(**found):
    """`layer=(depth, {quantity: root mean square})`."""
    stats = tuple(
        TensorStats(
            tap=Tap(layer=layer, quantity=Quantity(quantity), depth=depth, size=1),
            values={
                "mean": 0.5,
                "variance": rms**2,
                "root_mean_square": rms,
                "relative_error": 0.1,
            },
        )
        for layer, (depth, quantities) in found.items()
        for quantity, rms in quantities.items()
    )
    info = StepInfo(loss=None, learning_rate=None, time=0.0)
    return Snapshot(step=0, info=info, stats=stats)


def _gradients(snapshot, quantity=ACTIVATION):
    return snapshot.profile(quantity, "root_mean_square")


PREDICTED = _snapshot(a=(0, {ACTIVATION: 4.0}), b=(1, {ACTIVATION: 2.0}), c=(2, {ACTIVATION: 1.0}))


def test_second_moments_are_multiplied_by_one_factor():
    found = matched(PREDICTED, _snapshot(a=(0, {ACTIVATION: 7.0}), c=(2, {ACTIVATION: 0.1})))
    assert _gradients(found) == pytest.approx({"a": 0.4, "b": 0.2, "c": 0.1})
    assert found.profile(ACTIVATION, "variance") == pytest.approx({"a": 0.16, "b": 0.04, "c": 0.01})
    assert found.profile(ACTIVATION, "mean") == pytest.approx(dict.fromkeys("abc", 0.05))
    assert found.profile(ACTIVATION, "relative_error") == dict.fromkeys("abc", 0.1)


def test_activations_are_not_scaled():
    predicted = _snapshot(a=(0, {Quantity.ACTIVATION: 3.0, ACTIVATION: 1.0}))
    found = matched(predicted, _snapshot(a=(0, {ACTIVATION: 0.5})))
    assert found.profile("activation", "root_mean_square") == {"a": 3.0}


@pytest.mark.parametrize("unfit", [0.0, np.nan, np.inf])
def test_the_deepest_layer_that_is_fit_gives_the_factor(unfit):
    measured = _snapshot(
        a=(0, {ACTIVATION: 9.0}), b=(1, {ACTIVATION: 6.0}), c=(2, {ACTIVATION: unfit})
    )
    assert _gradients(matched(PREDICTED, measured)) == pytest.approx(
        {"a": 12.0, "b": 6.0, "c": 3.0}
    )


def test_a_preactivation_comes_before_what_the_output_function_does():
    predicted = _snapshot(a=(0, {BEFORE: 2.0, ACTIVATION: 2.0}), out=(1, {ACTIVATION: 1.0}))
    measured = _snapshot(a=(0, {BEFORE: 1.0, ACTIVATION: 1.0}), out=(1, {ACTIVATION: 50.0}))
    assert _gradients(matched(predicted, measured)) == {"a": 1.0, "out": 0.5}


def test_without_such_a_layer_there_are_no_gradients():
    found = matched(PREDICTED, _snapshot(c=(2, {ACTIVATION: 0.0, Quantity.ACTIVATION: 1.0})))
    assert found.stats == ()


def test_the_same_cotangent_needs_no_factor():
    measured = _snapshot(c=(2, {ACTIVATION: 0.1}))
    assert matched(PREDICTED, measured, rescale=False).stats == PREDICTED.stats


def test_layers_stand_at_the_depth_at_which_they_were_seen_to_run():
    measured = _snapshot(
        b=(0, {ACTIVATION: 2.0}), a=(1, {ACTIVATION: 4.0}), c=(2, {ACTIVATION: 1.0})
    )
    found = matched(PREDICTED, measured)
    assert [(entry.tap.layer, entry.tap.depth) for entry in found.stats] == [
        ("b", 0),
        ("a", 1),
        ("c", 2),
    ]
