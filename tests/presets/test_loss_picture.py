"""Losses over training steps as a picture: every line is there, whatever its seeds did."""

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from keras_initscope.presets import loss_picture
from keras_initscope.presets.loss_picture import draw_loss_picture


def _falling(rate):
    return 2.3 * np.exp(-rate * np.arange(200) / 200)


def _drawn_pixels(path, color):
    pixels = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(pixels - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


def test_every_line_is_drawn_in_its_colour(tmp_path):
    lines = {name: [_falling(rate)] * 2 for rate, name in enumerate("abcd", start=1)}
    path = draw_loss_picture(tmp_path / "all.png", "Title", {"one": lines, "other": lines})
    without = draw_loss_picture(tmp_path / "none.png", "Title", {"one": {}, "other": {}})
    for style in loss_picture._STYLES:
        assert _drawn_pixels(path, style["color"]) > _drawn_pixels(without, style["color"]) + 200


def test_a_name_has_one_colour_in_all_panels(tmp_path):
    """The second panel lacks the first line; the other keeps its colour."""
    panels = {"one": {"a": [_falling(1)], "b": [_falling(2)]}, "other": {"b": [_falling(2)]}}
    path = draw_loss_picture(tmp_path / "p.png", "Title", panels)
    alone = draw_loss_picture(tmp_path / "q.png", "Title", {"one": panels["one"], "other": {}})
    first, second = (style["color"] for style in loss_picture._STYLES[:2])
    assert _drawn_pixels(path, second) > _drawn_pixels(alone, second) + 100
    assert _drawn_pixels(path, first) == pytest.approx(_drawn_pixels(alone, first), abs=10)


def test_colours_and_dashes_are_all_different():
    for key in ("color", "linestyle"):
        assert len({style[key] for style in loss_picture._STYLES}) == len(loss_picture._STYLES)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e300])
def test_extreme_values_make_a_picture_without_a_warning(tmp_path, value):
    lines = {"a": [np.full(60, value), _falling(1)[:60]]}
    path = draw_loss_picture(tmp_path / "p.png", "T", {"one": lines})
    assert path.stat().st_size > 5000
