"""Kernels as pixels: equal columns are stripes, zeros are blank, extremes do no harm."""

import matplotlib.image
import numpy as np
import pytest

from keras_initscope.presets.kernel_picture import draw_kernels


def _pixels(path):
    return matplotlib.image.imread(path)[..., :3]


def _colours(pixels):
    """Share of pixels that are clearly red, and clearly blue."""
    red, blue = pixels[..., 0] - pixels[..., 2], pixels[..., 2] - pixels[..., 0]
    return [float(np.mean(values > 0.2)) for values in (red, blue)]


def test_positive_weights_are_red_and_negative_ones_blue(tmp_path):
    shares = {
        sign: _colours(_pixels(draw_kernels(tmp_path / "k.png", "T", {"w": np.full((6, 4), sign)})))
        for sign in (-1.0, 0.0, 1.0)
    }
    bar = shares[0.0]  # the colour bar alone
    assert shares[1.0][0] > bar[0] + 0.05
    assert shares[1.0][1] == pytest.approx(bar[1], abs=0.01)
    assert shares[-1.0][1] > bar[1] + 0.05


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_any_number_of_panels_makes_a_picture(tmp_path, count):
    kernels = {f"kernel {i}": np.random.default_rng(i).normal(size=(8, 5)) for i in range(count)}
    path = draw_kernels(tmp_path / "k.png", "Title", kernels)
    height = _pixels(path).shape[0]
    assert (height > 600) == (count > 3)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e-40, 1e30])
def test_extreme_values_make_a_picture_without_a_warning(tmp_path, value):
    kernel = np.full((4, 3), value, dtype="float32")
    assert draw_kernels(tmp_path / "k.png", "T", {"w": kernel}).stat().st_size > 3000
