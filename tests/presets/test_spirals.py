"""The spirals lie where their formula says, evenly and scaled as signal theory assumes."""

import numpy as np
import pytest

from keras_initscope.presets import PresetError
from keras_initscope.presets.spirals import spirals


def _all(data):
    points = np.concatenate([data.train_x, data.test_x]).astype("float64")
    return np.hypot(*points.T), points, np.concatenate([data.train_y, data.test_y])


@pytest.mark.parametrize("arms", [2, 3, 5])
@pytest.mark.parametrize("turns", [0.75, 1.5, 3.0])
def test_without_noise_the_angle_tells_radius_and_arm(arms, turns):
    """What is left of the angle is proportional to the radius, by the error of the scale alone.

    The squared radius is uniform, so arms of length 1 have a mean square of 1/4 a coordinate, with
    a standard error of sqrt(1/12 / 1600) / 2; the scale's is as large.
    """
    radius, points, labels = _all(spirals(3, noise=0.0, arms=arms, turns=turns))
    angle = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
    left = (angle - turns * radius / 2 - labels / arms + 0.5) % 1 - 0.5
    slope = np.mean(left * radius) / np.mean(radius**2)
    np.testing.assert_allclose(left, slope * radius, atol=1e-5)
    assert abs(slope) < turns * 4 * np.sqrt(1 / 12 / 1600) / 2


def test_noise_is_counted_in_gaps_between_arms():
    """Both draw the same points first, so their difference is the noise, and its scale."""
    clean, noisy = (_all(spirals(1, noise=noise, arms=4, turns=2.0))[1] for noise in (0.0, 0.1))
    length = np.sqrt(1 / 4 + (0.1 / 8) ** 2)  # the root mean square of a coordinate, in arms
    deviation = np.std(noisy * length - clean / 2)
    assert deviation == pytest.approx(0.1 / 8, rel=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_coordinates_have_mean_zero_and_mean_square_one(noise):
    data = spirals(0, noise=noise)
    assert np.mean(data.train_x.astype("float64") ** 2) == pytest.approx(1, abs=1e-6)
    assert np.abs(data.train_x.mean(axis=0)).max() < 4 / np.sqrt(1600)
    assert (data.train_x.shape, data.test_x.shape) == ((1600, 2), (400, 2))
    assert data.train_x.dtype == np.float32


def test_the_seed_fixes_the_points_and_every_arm_has_as_many():
    np.testing.assert_array_equal(spirals(1).test_x, spirals(1).test_x)
    assert np.any(spirals(1).test_x != spirals(2).test_x)
    data = spirals(1, arms=5)
    np.testing.assert_array_equal(np.bincount(_all(data)[2]), [400] * 5)


def test_no_line_tells_the_arms_apart_and_the_nearest_neighbour_does():
    """With noise of .1 the middle of a gap is five standard deviations off."""
    data = spirals(0)
    signs = 2.0 * data.train_y - 1
    line = np.linalg.lstsq(data.train_x, signs, rcond=None)[0]
    linear = np.mean((data.test_x @ line > 0) == data.test_y)
    distances = np.sum((data.test_x[:, None] - data.train_x[None]) ** 2, axis=-1)
    nearest = np.mean(data.train_y[np.argmin(distances, axis=1)] == data.test_y)
    assert linear < 0.7
    assert nearest > 0.95


@pytest.mark.parametrize("wrong", [{"arms": 1}, {"noise": -0.1}, {"turns": 0}, {"noise": np.nan}])
def test_what_makes_no_spirals_is_refused(wrong):
    with pytest.raises(PresetError, match="two arms or more"):
        spirals(0, **wrong)
