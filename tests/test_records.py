"""The records: views of their own data, frozen."""

import dataclasses

import numpy as np
import pytest

from keras_initscope.records import Histogram, Quantity, Snapshot, StepInfo, Tap, TensorStats


def _stats(layer, quantity, variance, part=""):
    tap = Tap(layer=layer, quantity=quantity, depth=0, size=4, part=part)
    return TensorStats(tap=tap, values={"variance": variance})


SNAPSHOT = Snapshot(
    step=3,
    info=StepInfo(loss=1.0, learning_rate=0.1, time=0.0),
    stats=(
        _stats("a", Quantity.KERNEL, 1.0),
        _stats("a", Quantity.KERNEL, 2.0, part="recurrent_kernel"),
        _stats("b", Quantity.KERNEL, 3.0),
        _stats("b", Quantity.BIAS, 4.0),
    ),
)


def test_a_profile_runs_over_layers_in_forward_order():
    expected = {"a": 1.0, "a/recurrent_kernel": 2.0, "b": 3.0}
    for quantity in (Quantity.KERNEL, "kernel"):
        profile = SNAPSHOT.profile(quantity, "variance")
        assert list(profile.items()) == list(expected.items())


def test_a_profile_leaves_out_what_was_not_computed():
    assert SNAPSHOT.profile("kernel", "dead_fraction") == {}
    assert SNAPSHOT.profile("activation", "variance") == {}


def test_find_gives_one_tensor():
    assert SNAPSHOT.find("kernel", "a/recurrent_kernel").values == {"variance": 2.0}
    assert SNAPSHOT.find(Quantity.BIAS, "b").values == {"variance": 4.0}


def test_find_names_what_there_is():
    with pytest.raises(KeyError, match=r"No bias of layer 'c'.*step 3.*\['b'\]"):
        SNAPSHOT.find("bias", "c")


def test_an_unknown_quantity_is_refused():
    with pytest.raises(ValueError, match="kernels"):
        SNAPSHOT.profile("kernels", "variance")


@pytest.mark.parametrize("quantity", Quantity)
def test_gradients_are_those_quantities_named_so(quantity):
    assert quantity.is_gradient == ("gradient" in quantity.value)
    if quantity.is_gradient:
        assert Quantity(quantity.value.removesuffix("_gradient")) in Quantity


@pytest.mark.parametrize("record", [SNAPSHOT, SNAPSHOT.info, SNAPSHOT.stats[0].tap])
def test_records_are_frozen(record):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, dataclasses.fields(record)[0].name, None)


def test_the_total_of_a_histogram_counts_non_finite_values_too():
    histogram = Histogram(buckets=np.array([0, 2040], np.int32), counts=np.array([3, 2], np.int64))
    assert histogram.total == 5
