"""The records: views of their own data, frozen."""

import dataclasses

import numpy as np
import pytest

from keras_initscope.records import (
    Change,
    Changes,
    Histogram,
    LayerInfo,
    LayerRow,
    ModelInfo,
    Quantity,
    Report,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)


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


def _row(path="a", **values):
    return LayerRow(layer=LayerInfo(path=path, kind="Dense", depth=0), **values)


@pytest.mark.parametrize(
    ("measured", "predicted", "ratio"),
    [(3.0, 2.0, 1.5), (0.0, 2.0, 0.0), (2.0, 0.0, np.inf), (0.0, 0.0, None), (None, 2.0, None)],
)
def test_a_ratio_is_measured_over_predicted(measured, predicted, ratio):
    row = _row(measured_q=measured, predicted_q=predicted)
    assert row.q_ratio == ratio
    row = _row(measured_gradient=measured, predicted_gradient=predicted)
    assert row.gradient_ratio == ratio


def _report(*rows):
    return Report(
        model=ModelInfo(name="net", layers=tuple(row.layer for row in rows)),
        measured=SNAPSHOT,
        predicted=SNAPSHOT,
        rows=rows,
        loss="loss mse",
        examples=32,
        notes=(
            "A note that is longer than a line of a table may be, and so it goes on and on " * 2,
        ),
    )


def test_a_report_fits_a_hundred_columns():
    extreme = dict.fromkeys(("predicted_q", "predicted_gradient"), 1e-30)
    report = _report(
        _row("block/" * 30 + "dense", measured_q=1e30, measured_gradient=1e30, **extreme),
        _row("b", unknown="b (Magic): nobody knows", measured_q=1.0),
    )
    lines = str(report).splitlines()
    assert lines[0] == "net: 2 layers, 32 examples, step 3, loss mse = 1.00"
    assert max(map(len, lines)) <= 100
    table = lines.index("Layer by layer") + 2
    assert "unknown" in lines[table + 3]
    assert "- Unknown to theory: b. Reason: b (Magic): nobody knows" in lines


def test_markdown_has_layer_paths_in_full():
    path = "block/" * 30 + "dense"
    report = _report(_row(path, measured_q=1.0))
    assert f"| 0 | `{path}` | Dense | 1.00 | unknown |" in report.markdown()
    assert report._repr_markdown_() == report.markdown()


def test_layers_that_are_unknown_for_one_reason_are_named_together():
    rows = [_row("a", unknown="r"), _row("b"), _row("c", unknown="s"), _row("d", unknown="r")]
    assert _report(*rows).unknown == {"r": ["a", "d"], "s": ["c"]}


def _changes(**fields):
    kernel = Change(path="a/kernel", kind="Dense", what="times 2", before=1.0, after=4.0)
    return Changes(model="net", action="calibrate", changes=(kernel,), **fields)


def test_changes_are_found_by_path_and_shown_with_what_was_left():
    changes = _changes(skipped={"b": "odd", "c": "odd"}, notes=("Beware.",))
    assert changes.find("a/kernel").after == 4.0
    for text in (str(changes), changes.markdown()):
        assert all(part in text for part in ("calibrate of net: 1 changes", "times 2", "Beware."))
        assert "Left as it was: b, c. Reason: odd" in text
    with pytest.raises(KeyError, match=r"not changed by calibrate. Changed: \['a/kernel'\]"):
        changes.find("a/bias")


def test_changes_without_weights_have_no_variances():
    change = Change(path="a", kind="Dense", what="tanh: input scale 0.1")
    shown = str(Changes(model="net", action="tailor", changes=(change,)))
    assert "variance" not in shown
    assert "variance" in str(_changes())
    assert str(Changes(model="net", action="tailor", changes=()))
