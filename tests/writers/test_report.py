"""A look as Markdown and as a picture: whatever the numbers are, each line is there."""

import io
import math
from dataclasses import replace

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_initscope.records import (
    Finding,
    LayerInfo,
    LayerRow,
    ModelInfo,
    Report,
    Severity,
    Snapshot,
    StepInfo,
)
from keras_initscope.writers import depth_picture, pictures_of, write_report
from keras_initscope.writers.headroom import headroom

SNAPSHOT = Snapshot(step=0, info=StepInfo(loss=2.5, learning_rate=None, time=0.0), stats=())


def _report(predicted, measured, error=0.3):
    infos = [
        LayerInfo(path=f"block/dense_{i}", kind="Dense", depth=i) for i in range(len(measured))
    ]
    rows = tuple(
        LayerRow(
            layer=info,
            predicted_q=q,
            measured_q=m,
            signal_share=0.5,
            predicted_gradient=q,
            measured_gradient=m,
            q_error=None if q is None else error,
            gradient_error=None if q is None else error,
            q_median=None if q is None else 1 / math.hypot(1, error),
            gradient_median=None if q is None else 1 / math.hypot(1, error),
            unknown="" if q is not None else "magic (Magic): nobody knows.",
        )
        for info, q, m in zip(infos, predicted, measured, strict=True)
    )
    return Report(
        model=ModelInfo(name="net", layers=tuple(infos)),
        measured=SNAPSHOT,
        predicted=SNAPSHOT,
        rows=rows,
        loss="loss mse",
        examples=32,
        notes=("A note.",),
    )


def _depth(report):
    return pictures_of(report)["depth.png"]


def _pixels(png, color):
    found = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    return int((np.abs(found - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


def test_the_file_shows_picture_and_table(tmp_path):
    report = _report([1.0, None], [2.0, 0.5])
    text, picture = write_report(report, tmp_path / "new" / "folder")
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = text.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# net"
    assert "![Signal and gradient over depth](depth.png)" in lines
    assert "| 0 | `block/dense_0` | Dense | 2.00 | 1.00 | 2.0 | 0.50 | 2.00 | 1.00 | 2.0 |" in lines
    assert (
        "| 1 | `block/dense_1` | Dense | 0.500 | unknown | - | 0.50 | 0.500 | unknown | - |"
        in lines
    )
    assert "- A note." in lines


def test_what_is_wrong_comes_before_the_picture(tmp_path):
    finding = Finding(
        code="F1",
        title="Vanishing signal",
        severity=Severity.WARNING,
        layers=("block/dense_0",),
        step=0,
        value=1.0,
        threshold=2.0,
        message="It shrinks.",
        remedy="Change it.",
    )
    text, _ = write_report(replace(_report([1.0], [1.0]), findings=(finding,)), tmp_path)
    page = text.read_text(encoding="utf-8")
    assert 0 < page.index("Vanishing signal") < page.index("![") < page.index("| #")


@pytest.mark.parametrize("depth", [1, 5, 50, 200, 1000])
def test_both_lines_are_drawn_at_every_depth(depth):
    both = [0.5**i for i in range(depth)]
    lines = _report(both, [3 * value for value in both])
    empty = _report([None] * depth, [None] * depth)
    for color in (depth_picture.MEASURED[0], depth_picture.PREDICTED):
        assert _pixels(_depth(lines), color) > _pixels(_depth(empty), color) + 20


def test_one_known_layer_between_unknown_ones_is_seen():
    alone = _report([None, 1.0, None], [None, None, None])
    nothing = _report([None, None, None], [None, None, None])
    drawn, without = _depth(alone), _depth(nothing)
    assert _pixels(drawn, depth_picture.PREDICTED) > _pixels(without, depth_picture.PREDICTED)


@pytest.mark.parametrize(
    "values",
    [[0.0] * 4, [math.nan] * 4, [1.0, math.inf, math.nan, 0.0], [5e-324, 1e308, 1.0, 1.0]],
    ids=["zeros", "nan", "overflow", "widest range"],
)
@pytest.mark.parametrize("error", [0.0, 1e200, math.inf])
def test_extreme_values_make_a_picture_without_a_warning(values, error):
    assert len(_depth(_report(values, values, error))) > 5000


def _figure(monkeypatch, report):
    """The figure of a report, before it becomes pixels."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    pictures_of(report)
    return figures[0]


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("predicted", "error", "step", "expected"),
    [
        ([1.0, 1.0], 0.3, 0, ["theory: two out of three networks of this width"]),
        (
            [1.0, 1.0],
            0.3,
            7,
            ["theory: two out of three networks of this width, if their weights were fresh"],
        ),
        ([1.0, 1.0], 0.0, 0, []),
        ([1.0, None], 0.3, 0, []),
    ],
)
def test_the_legend_names_a_band_where_there_is_one(monkeypatch, predicted, error, step, expected):
    report = _report(predicted, [1.0, 1.0], error)
    report = replace(report, measured=replace(SNAPSHOT, step=step))
    figure = _figure(monkeypatch, report)
    assert _legend(figure) == ["measured", "theory", *expected]


def test_without_theory_there_is_no_line_of_it(monkeypatch):
    assert _legend(_figure(monkeypatch, _report([None, None], [1.0, 1.0]))) == ["measured"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a$b$", "aSbS"), ("层_1", "?_1"), ("größe", "größe"), ("tab\t", "tab?")],
)
def test_a_name_is_no_formula_and_needs_no_other_font(monkeypatch, name, shown):
    report = _report([1.0], [1.0])
    row = replace(report.rows[0], layer=replace(report.rows[0].layer, path=name))
    (label,) = _figure(monkeypatch, replace(report, rows=(row,))).axes[-1].get_xticklabels()
    assert label.get_text() == shown


def test_the_share_that_tells_examples_apart_has_a_panel_of_its_own(monkeypatch):
    _, share, _ = _figure(monkeypatch, _report([1.0, 1.0], [1e-3, 1e-3])).axes
    (line,) = share.get_lines()
    np.testing.assert_allclose(line.get_ydata(), np.log10([0.5, 0.5]))


def _limits(monkeypatch, values, dtype):
    report = _report(values, values)
    rows = tuple(replace(row, layer=replace(row.layer, dtype=dtype)) for row in report.rows)
    return [
        text.get_text() for text in _figure(monkeypatch, replace(report, rows=rows)).axes[0].texts
    ]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1.0, 1e-7], "float16", ["float16 fades to 0 below"]),
        ([1.0, 1e8], "float16", ["float16 is infinite above"]),
        ([1.0, 1e-3], "float16", []),
        ([1.0, 1e-7, 1e8], "float32", []),
        ([1.0, 1e-74], "float32", ["float32 fades to 0 below"]),
        ([1.0, 1e75], "bfloat16", ["bfloat16 is infinite above"]),
        ([1.0, 1e75], "float64", []),
        ([1.0, 1e-7], "int8", []),
        ([0.0, 0.0], "float16", []),
    ],
)
def test_limits_of_the_type_of_number_are_drawn_where_they_are_near(
    monkeypatch, values, dtype, expected
):
    assert _limits(monkeypatch, values, dtype) == expected


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_limits_are_those_of_the_type_of_number(dtype):
    found, info = headroom([dtype]), np.finfo(dtype)
    assert found.greatest == float(info.max) ** 2
    assert found.least == float(info.smallest_normal) ** 2


def test_of_several_types_the_narrowest_has_limits():
    assert headroom(["float32", "float16", "bfloat16", "string"]).dtype == "float16"
    assert headroom(["string"]) is None


@pytest.mark.parametrize(
    ("marked", "runs"), [([], 0), ([0], 1), ([1, 2], 1), ([0, 2, 3], 2), ([0, 1, 2, 3], 1)]
)
def test_layers_that_findings_name_are_marked(monkeypatch, marked, runs):
    report = _report([1.0] * 4, [1.0] * 4)
    finding = Finding(
        code="U2",
        title="Dead units",
        severity=Severity.WARNING,
        layers=tuple(f"block/dense_{i}" for i in marked),
        step=0,
        value=1.0,
        threshold=2.0,
        message="",
        remedy="",
    )
    figure = _figure(monkeypatch, replace(report, findings=(finding,)))
    assert [len(axes.patches) for axes in figure.axes] == [runs] * 3
    named = "layers that a finding names" in _legend(figure)
    assert named == bool(runs)


def test_long_names_are_shortened_below_the_picture(monkeypatch):
    report = _report([1.0], [1.0])
    layer = replace(report.rows[0].layer, path="block/" + "a" * 30 + "b" * 30)
    report = replace(report, rows=(replace(report.rows[0], layer=layer),))
    (label,) = _figure(monkeypatch, report).axes[-1].get_xticklabels()
    assert label.get_text() == "a" * 10 + "…" + "b" * 9


def test_the_band_holds_two_of_three_lognormal_networks():
    """Mean 1 and relative standard deviation 2, by drawing."""
    square = math.log1p(2.0**2)
    draws = np.exp(np.random.default_rng(0).normal(-square / 2, square**0.5, size=100_000))
    assert draws.std() / draws.mean() == pytest.approx(2.0, rel=0.1)
    (lower,), (upper,) = depth_picture._band([1.0], [2.0], [1 / math.hypot(1, 2)])
    assert np.mean((lower < draws) & (draws < upper)) == pytest.approx(0.6827, abs=0.005)
