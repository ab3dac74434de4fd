"""Scalars of a whole network: closed forms on made-up snapshots."""

import math

import pytest

from keras_initscope.measurement.network import summarize
from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats


def stats(quantity, depth, part="", **values):
    tap = Tap(layer=f"l{depth}", quantity=quantity, depth=depth, size=1, part=part)
    return TensorStats(tap=tap, values={"nonfinite_count": 0.0, **values})


def snapshot(*entries):
    return Snapshot(step=0, info=StepInfo(loss=0.0, learning_rate=0.0, time=0.0), stats=entries)


def decaying(quantity, factor, layers=6):
    """Root mean squares that shrink by a factor a layer."""
    return [stats(quantity, depth, root_mean_square=factor**depth) for depth in range(layers)]


@pytest.mark.parametrize("factor", [1.0, 0.5, 3.0, 1e-4])
def test_slopes_are_those_of_a_geometric_decay(factor):
    found = summarize(
        snapshot(
            *decaying(Quantity.PREACTIVATION, factor),
            *decaying(Quantity.PREACTIVATION_GRADIENT, 1 / factor),
        )
    )
    assert found["forward_slope"] == pytest.approx(2 * math.log(factor), abs=1e-12)
    assert found["backward_slope"] == pytest.approx(-2 * math.log(factor), abs=1e-12)


def test_a_dead_signal_has_a_steep_but_finite_slope():
    entries = decaying(Quantity.PREACTIVATION, 1.0, 3)
    entries += [stats(Quantity.PREACTIVATION, depth, root_mean_square=0.0) for depth in (3, 4)]
    slope = summarize(snapshot(*entries))["forward_slope"]
    assert -1000 < slope < -10


def test_layers_that_are_not_numbers_are_left_out_and_counted():
    entries = decaying(Quantity.PREACTIVATION, 0.5)
    bad = stats(Quantity.PREACTIVATION, 6, root_mean_square=float("nan"), nonfinite_count=7.0)
    found = summarize(snapshot(*entries, bad))
    assert found["forward_slope"] == pytest.approx(2 * math.log(0.5))
    assert found["nonfinite_count"] == 7


def test_fractions_are_means_over_the_layers_that_know_them():
    found = summarize(
        snapshot(
            stats(Quantity.ACTIVATION, 0, signal=1.0, constant=1.0, dead_fraction=0.5),
            stats(Quantity.ACTIVATION, 1, signal=1.0, constant=3.0, dead_fraction=0.0),
            stats(Quantity.ACTIVATION, 2, signal=3.0, constant=1.0),
        )
    )
    assert found["dead_fraction"] == 0.25
    assert "saturated_fraction" not in found
    assert found["weakest_signal_share"] == 0.25
    assert found["weakest_signal_depth"] == 1


def test_what_was_not_measured_is_absent():
    assert summarize(snapshot()) == {"nonfinite_count": 0.0}
    assert "forward_slope" not in summarize(snapshot(*decaying(Quantity.PREACTIVATION, 1.0, 1)))


def test_nothing_at_all_in_an_activation_is_no_share():
    entry = stats(Quantity.ACTIVATION, 0, signal=0.0, constant=0.0)
    assert "weakest_signal_share" not in summarize(snapshot(entry))
