"""The digits, scaled as signal theory assumes."""

import sys

import numpy as np
import pytest

from keras_initscope.presets import PresetError
from keras_initscope.presets.digits import digits, pixels


def test_pixels_are_centred_and_of_unit_mean_square():
    data = digits(0)
    assert data.train_x.shape == (1437, 64)
    assert data.test_x.shape == (360, 64)
    np.testing.assert_allclose(data.train_x.mean(axis=0), 0, atol=1e-5)
    assert np.mean(data.train_x.astype("float64") ** 2) == pytest.approx(1, abs=1e-5)


def test_one_factor_for_all_pixels_keeps_their_relative_spread():
    """The raw pixels are 0..16, so the scaled ones are multiples of one step around their mean."""
    data = digits(0)
    pixel = data.train_x[:, [10, 36]]
    steps = [np.diff(np.unique(column)).min() for column in pixel.T]
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)


def test_the_seed_fixes_order_and_split():
    np.testing.assert_array_equal(digits(1).test_x, digits(1).test_x)
    assert np.any(digits(1).test_y != digits(2).test_y)


def test_all_classes_are_in_both_parts_and_no_image_is_lost():
    data = digits(3)
    counts = np.bincount(np.concatenate([data.train_y, data.test_y]))
    np.testing.assert_array_equal(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert set(data.test_y) == set(range(10))


def test_a_missing_scikit_learn_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(PresetError, match=r"pip install keras-initscope\[presets\]"):
        digits(0)


def test_pixels_are_the_same_images_as_they_are():
    train, test = pixels(3)
    whole = digits(3)
    assert (train.min(), train.max(), train.dtype) == (0, 1, np.float32)
    centred = test - train.mean(axis=0)
    scale = np.sqrt(np.mean((train - train.mean(axis=0)) ** 2))
    np.testing.assert_allclose(centred / scale, whole.test_x, atol=1e-5)
