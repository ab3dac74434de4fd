"""Measured and theoretical lines in panels: all of them are drawn, whatever they are made of."""

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from keras_initscope.presets import curve_picture
from keras_initscope.presets.curve_picture import Curve, Panel, draw_curves

X = tuple(range(1, 8))


def _panel(curves, **options):
    return Panel("title", "x", "y", curves, **options)


def _drawn_pixels(path, color):
    pixels = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(pixels - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


@pytest.mark.parametrize(
    "curve",
    [
        Curve(measured=(X, X)),
        Curve(measured=(X, X), joined=False),
        Curve(theory=(X, X)),
        Curve(measured=(np.array(X), np.array(X)), theory=(np.array(X), np.array(X))),
    ],
    ids=["joined", "points", "theory", "arrays"],
)
def test_each_curve_is_drawn_in_a_colour_of_its_own(tmp_path, curve):
    names = [str(number) for number in range(len(curve_picture._STYLES))]
    curves = {
        name: curve._replace(
            **{
                part: (X, [1.0 + number + 0.3 * x for x in X])
                for part in ("measured", "theory")
                if len(getattr(curve, part)[0])
            }
        )
        for number, name in enumerate(names)
    }
    path = draw_curves(tmp_path / "full.png", "Title", [_panel(curves)])
    assert path.read_bytes().startswith(b"\x89PNG")
    for style in curve_picture._STYLES:
        assert _drawn_pixels(path, style["color"]) > 60


def test_panels_that_show_the_same_share_their_axis(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(curve_picture, "_draw", lambda axes, panel: seen.append(axes))
    panel = _panel({"a": Curve(measured=(X, X))})
    for other, shared in ((panel, True), (panel._replace(y="z"), False)):
        draw_curves(tmp_path / "p.png", "T", [panel, other])
        left, right = seen[-2:]
        assert left.get_shared_y_axes().joined(left, right) == shared


@pytest.mark.parametrize("logarithmic", ["", "x", "y", "xy"])
def test_extreme_values_make_a_picture_without_a_warning(tmp_path, logarithmic):
    values = [1e-45, 1.0, 1e38, float("nan"), 2.0, 3.0, 4.0]
    panel = _panel({"a": Curve(measured=(X, values))}, logarithmic=logarithmic, limit=(2.0, "l"))
    assert draw_curves(tmp_path / "p.png", "T", [panel]).stat().st_size > 3000
