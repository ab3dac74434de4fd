"""Variance over depth as a picture: every line is there, zeros and overflows too."""

import math

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from keras_initscope.presets import depth_picture
from keras_initscope.presets.depth_picture import draw_depth_picture

DEPTH = 19
NAMES = ("zeros", "small", "large", "lecun", "glorot", "he", "he-average")


def _line(rate):
    return [10.0 ** (rate * layer) for layer in range(DEPTH)]


def _drawn_pixels(path, color):
    pixels = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(pixels - matplotlib.colors.to_rgb(color)).max(axis=-1) < 0.02).sum())


@pytest.fixture(scope="module")
def lines():
    values = {name: _line(rate) for rate, name in zip((-3, -2, 2, 0, 1, -1, 3), NAMES, strict=True)}
    return {**values, "zeros": [0.0] * DEPTH}


def test_every_line_is_drawn_in_its_colour(tmp_path, lines):
    path = draw_depth_picture(
        tmp_path / "picture.png", "Title", {"variance": {"tanh": lines, "relu": lines}}
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    without = draw_depth_picture(
        tmp_path / "empty.png", "Title", {"variance": {"tanh": {}, "relu": {}}}
    )
    for number in range(len(NAMES)):
        color = depth_picture._STYLES[number]["color"]
        assert _drawn_pixels(path, color) > _drawn_pixels(without, color) + 300


def test_colours_and_markers_are_all_different():
    for key in ("color", "marker"):
        assert len({style[key] for style in depth_picture._STYLES}) == len(NAMES)


@pytest.mark.parametrize(
    "values",
    [
        [0.0] * DEPTH,
        [math.nan] * DEPTH,
        [1.0, math.inf, *[math.nan] * (DEPTH - 2)],
        [5e-324, *[1e308] * (DEPTH - 1)],
        [1.0] * DEPTH,
    ],
    ids=["zeros", "nan", "overflow", "widest range", "constant"],
)
def test_extreme_values_make_a_picture_without_a_warning(tmp_path, values):
    path = draw_depth_picture(tmp_path / "p.png", "T", {"variance": {"tanh": {"one": values}}})
    assert path.stat().st_size > 5000
