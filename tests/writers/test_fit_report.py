"""A fit as Markdown and pictures, whatever was measured in it."""

import io
import math
from dataclasses import replace

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from keras_initscope.records import (
    Finding,
    FitReport,
    LayerInfo,
    ModelInfo,
    Quantity,
    Severity,
    Sighting,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)
from keras_initscope.writers import heatmap, pictures_of, write_report

SIGNAL, GRADIENT = Quantity.ACTIVATION, Quantity.PREACTIVATION_GRADIENT


def _entry(depth, quantity, square, nonfinite=0):
    tap = Tap(layer=f"dense_{depth}", quantity=quantity, depth=depth, size=64)
    values = {
        "root_mean_square": math.sqrt(square),
        "nonfinite_count": nonfinite,
        "signal": 0.5 * square,
        "constant": 0.5 * square,
    }
    return TensorStats(tap=tap, values=values)


def _look(step, squares, gradients=None, loss=1.0, origin="measured"):
    stats = [_entry(i, SIGNAL, square) for i, square in enumerate(squares)]
    stats += [_entry(i, GRADIENT, square) for i, square in enumerate(gradients or [])]
    info = StepInfo(loss=loss, learning_rate=0.1, time=0.0)
    return Snapshot(step=step, info=info, stats=tuple(stats), origin=origin)


def _fit(*looks, layers, **fields):
    infos = tuple(LayerInfo(path=f"dense_{i}", kind="Dense", depth=i) for i in range(layers))
    return FitReport(model=ModelInfo(name="net", layers=infos), snapshots=looks, **fields)


def _has(png, color):
    found = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    near = np.abs(found - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02
    return near.sum() > 10_000  # cells, not lines


@pytest.mark.parametrize("layers", [1, 5, 200, 1000])
def test_a_fit_of_any_depth_has_both_pictures(tmp_path, layers):
    squares = [0.9**i for i in range(layers)]
    report = _fit(_look(0, squares, squares), _look(9, squares, squares), layers=layers)
    text, depth, over_steps = write_report(report, tmp_path / "new")
    assert (depth.name, over_steps.name) == ("depth.png", "heatmap.png")
    page = text.read_text(encoding="utf-8")
    shown = ["What is wrong", "(depth.png)", "(heatmap.png)", "How the loss went", "| #"]
    places = [page.index(part) for part in shown]
    assert places == sorted(places)
    assert page.count("| `dense_") == layers


@pytest.mark.parametrize(
    "squares",
    [[0.0, 0.0], [math.nan, math.nan], [1.0, math.inf], [1e-300, 1e300]],
    ids=["zeros", "nan", "overflow", "widest range"],
)
@pytest.mark.parametrize("gradients", [True, False])
def test_extreme_values_make_pictures_without_a_warning(squares, gradients):
    looks = [_look(i, squares, squares if gradients else None, loss=squares[1]) for i in range(3)]
    assert set(pictures_of(_fit(*looks, layers=2))) == {"depth.png", "heatmap.png"}


def test_one_look_has_no_map():
    assert set(pictures_of(_fit(_look(0, [1.0]), layers=1))) == {"depth.png"}


def test_a_fit_without_signal_and_gradient_has_no_map():
    assert set(pictures_of(_fit(_look(0, []), _look(1, []), layers=2))) == {"depth.png"}


@pytest.mark.parametrize(
    ("look", "color"),
    [
        (_look(1, [1.0, math.nan], [1.0, 1.0]), heatmap._BROKEN),
        (_look(1, [1.0, 1.0], [1.0]), heatmap._ABSENT),
    ],
    ids=["not finite", "not measured"],
)
def test_cells_without_a_logarithm_have_a_colour_of_their_own(look, color):
    whole = _look(0, [1.0, 1.0], [1.0, 1.0])
    marked, plain = (
        pictures_of(_fit(whole, last, layers=2))["heatmap.png"]
        for last in (look, replace(whole, step=1))
    )
    assert _has(marked, color)
    assert not _has(plain, color)


def test_cells_are_layers_by_looks():
    bad = _look(4, [0.25, 4.0])
    bad = replace(bad, stats=(bad.stats[0], _entry(1, SIGNAL, 4.0, nonfinite=3)))
    cells = heatmap._cells(
        [_look(0, [1.0, 0.0]), bad, _look(8, [2.0])], ["dense_0", "dense_1"], (SIGNAL,)
    )
    expected = [[1.0, 0.25, 2.0], [0.0, math.inf, math.nan]]
    np.testing.assert_allclose(cells, expected)


def test_a_gradient_is_that_of_the_preactivation_where_there_is_one():
    both = _look(0, [], [4.0])
    both = replace(both, stats=(_entry(0, Quantity.ACTIVATION_GRADIENT, 9.0), *both.stats))
    cells = heatmap._cells([both], ["dense_0"], heatmap._MAPS[1].quantities)
    assert cells == pytest.approx(4.0)


@pytest.mark.parametrize("logs", [[], [0.0], [0.0, 0.1], [-3.0, 7.0]])
def test_colours_span_decades_enough_that_noise_is_one_colour(logs):
    low, high = heatmap._span(np.array(logs))
    assert high - low >= heatmap._LEAST_SPAN - 1e-12
    assert all(low <= each <= high for each in logs)


def test_ticks_of_the_colours_are_whole_powers_within_them():
    for low, high in [(-9.6, -0.3), (-2.0, 2.0), (-76.2, 75.9), (0.2, 4.2)]:
        ticks, texts = heatmap._powers(low, high)
        assert 2 <= len(ticks) == len(texts) <= 8
        assert all(low <= tick <= high for tick in ticks)


def test_pictures_mark_what_any_finding_names():
    finding = Finding(
        code="U2",
        title="Dead units",
        severity=Severity.ALARM,
        layers=("dense_1",),
        step=0,
        value=1.0,
        threshold=0.5,
        message="",
        remedy="",
    )
    seen = Sighting(finding=finding, first_step=0, last_step=0, looks=1, is_there=False)
    look = _look(0, [1.0, 1.0])
    marked, plain = (
        pictures_of(_fit(look, layers=2, sightings=sightings))["depth.png"]
        for sightings in ((seen,), ())
    )
    assert marked != plain
