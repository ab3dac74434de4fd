"""A report as Markdown and as a picture: whatever the numbers are, each line is there."""

import math
from dataclasses import replace

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_initscope.records import LayerInfo, LayerRow, ModelInfo, Report, Snapshot, StepInfo
from keras_initscope.writers import draw_report, write_report
from keras_initscope.writers import report as writer

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


def _pixels(path, color):
    found = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(found - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


def test_the_file_shows_picture_and_table(tmp_path):
    report = _report([1.0, None], [2.0, 0.5])
    text, picture = write_report(report, tmp_path / "new" / "folder")
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = text.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# net"
    assert "![Signal and gradient over depth](depth.png)" in lines
    assert "| 0 | `block/dense_0` | Dense | 1.00 | 2.00 | 2.0 | 0.50 | 1.00 | 2.00 | 2.0 |" in lines
    assert (
        "| 1 | `block/dense_1` | Dense | unknown | 0.500 | - | 0.50 | unknown | 0.500 | - |"
        in lines
    )
    assert "- A note." in lines


@pytest.mark.parametrize("depth", [1, 5, 50, 200])
def test_both_lines_are_drawn_at_every_depth(tmp_path, depth):
    both = [10.0**-i for i in range(depth)]
    lines = _report(both, [3 * value for value in both])
    empty = _report([None] * depth, [None] * depth)
    drawn = draw_report(lines, tmp_path / "lines.png")
    without = draw_report(empty, tmp_path / "empty.png")
    for color in (writer._MEASURED, writer._PREDICTED):
        assert _pixels(drawn, color) > _pixels(without, color) + 20


def test_one_known_layer_between_unknown_ones_is_seen(tmp_path):
    alone = _report([None, 1.0, None], [None, None, None])
    nothing = _report([None, None, None], [None, None, None])
    drawn, without = (
        draw_report(report, tmp_path / f"{i}.png") for i, report in enumerate((alone, nothing))
    )
    assert _pixels(drawn, writer._PREDICTED) > _pixels(without, writer._PREDICTED)


@pytest.mark.parametrize(
    "values",
    [[0.0] * 4, [math.nan] * 4, [1.0, math.inf, math.nan, 0.0], [5e-324, 1e308, 1.0, 1.0]],
    ids=["zeros", "nan", "overflow", "widest range"],
)
@pytest.mark.parametrize("error", [0.0, 1e200, math.inf])
def test_extreme_values_make_a_picture_without_a_warning(tmp_path, values, error):
    path = draw_report(_report(values, values, error), tmp_path / "p.png")
    assert path.stat().st_size > 5000


def _axis(monkeypatch, tmp_path, report):
    """The figure of a report, before it becomes pixels."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    draw_report(report, tmp_path / "p.png")
    return figures[0]


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("predicted", "error", "step", "expected"),
    [
        ([1.0, 1.0], 0.3, 0, ["two out of three networks of this width"]),
        (
            [1.0, 1.0],
            0.3,
            7,
            ["two out of three networks of this width, if their weights were fresh"],
        ),
        ([1.0, 1.0], 0.0, 0, []),
        ([1.0, None], 0.3, 0, []),
        ([None, None], 0.3, 0, []),
    ],
)
def test_the_legend_names_a_band_where_there_is_one(
    monkeypatch, tmp_path, predicted, error, step, expected
):
    report = _report(predicted, [1.0, 1.0], error)
    report = replace(report, measured=replace(SNAPSHOT, step=step))
    figure = _axis(monkeypatch, tmp_path, report)
    assert _legend(figure) == ["measured", "theory", *expected]


def test_long_names_are_shortened_below_the_picture(monkeypatch, tmp_path):
    report = _report([1.0], [1.0])
    layer = replace(report.rows[0].layer, path="block/" + "a" * 30 + "b" * 30)
    report = replace(report, rows=(replace(report.rows[0], layer=layer),))
    (label,) = _axis(monkeypatch, tmp_path, report).axes[-1].get_xticklabels()
    assert label.get_text() == "a" * 10 + "…" + "b" * 9


def test_the_band_holds_two_of_three_lognormal_networks():
    """Mean 1 and relative standard deviation 2, by drawing."""
    square = math.log1p(2.0**2)
    draws = np.exp(np.random.default_rng(0).normal(-square / 2, square**0.5, size=100_000))
    assert draws.std() / draws.mean() == pytest.approx(2.0, rel=0.1)
    (lower,), (upper,) = writer._band([1.0], [2.0], [1 / math.hypot(1, 2)])
    assert np.mean((lower < draws) & (draws < upper)) == pytest.approx(0.6827, abs=0.005)
