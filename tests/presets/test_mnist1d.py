"""MNIST-1D: digits that are where they were moved to, in noise where they are not."""

import numpy as np
import pytest

from keras_initscope.presets import mnist1d as module
from keras_initscope.presets.mnist1d import mnist1d, templates


def test_sizes_are_the_papers():
    data = mnist1d(0)
    assert (data.train_x.shape, data.test_x.shape) == ((4000, 40), (1000, 40))
    assert data.train_x.dtype == np.float32
    labels = np.concatenate([data.train_y, data.test_y])
    np.testing.assert_array_equal(np.bincount(labels), [500] * 10)


def test_signals_have_mean_0_and_mean_square_1():
    data = mnist1d(1)
    x = np.concatenate([data.train_x, data.test_x]).astype("float64")
    assert x.mean() == pytest.approx(0, abs=1e-5)
    assert x.std() == pytest.approx(1, abs=1e-5)


def test_templates_start_at_zero_and_have_one_size():
    strokes = templates()
    np.testing.assert_array_equal(strokes[:, 0], 0)
    np.testing.assert_allclose(strokes.std(axis=1), 1 / 6)
    assert len(np.unique(strokes.round(6), axis=0)) == 10
    assert strokes[1, 1] < 0 < strokes[0, 1]  # the 1 starts downwards, the 0 upwards


def test_the_seed_fixes_all():
    np.testing.assert_array_equal(mnist1d(2).train_x, mnist1d(2).train_x)
    assert not np.allclose(mnist1d(2).train_x[0], mnist1d(3).train_x[0])


@pytest.fixture
def silent(monkeypatch):
    for name in ("_SMOOTH_NOISE", "_WHITE_NOISE", "_SLOPE", "_SCALE"):
        monkeypatch.setattr(module, name, 0.0)


def test_without_noise_a_signal_is_its_digit_moved_and_stretched(silent):
    """Its largest deviation from zero is that of the stroke, but for the resampling."""
    strokes = np.repeat(templates()[[0, 6]], 200, axis=0)
    signals = module._signals(strokes, np.random.default_rng(0))
    peaks = np.where(
        np.abs(signals.max(1)) > np.abs(signals.min(1)), signals.max(1), signals.min(1)
    )
    expected = np.repeat([templates()[0].max(), templates()[6].min()], 200)
    np.testing.assert_allclose(peaks, expected, rtol=0.08)
    first = np.argmax(signals != 0, axis=1)
    last = signals.shape[1] - np.argmax(signals[:, ::-1] != 0, axis=1)
    assert first.max() > 20 > 2 > first.min()
    assert last.max() <= module.SAMPLES
    lengths = last - first
    assert 6 <= lengths.min() < lengths.max() <= 12  # of 40: 12 of 48 to 72 samples


def test_a_digit_is_in_one_piece(silent):
    strokes = np.repeat(templates()[:1], 500, axis=0)  # that is positive but for its ends
    signals = module._signals(strokes, np.random.default_rng(1))
    changes = np.count_nonzero(np.diff((signals > 0).astype(int), axis=1), axis=1)
    assert changes.max() <= 2


@pytest.mark.parametrize(
    ("name", "value"), [("_SMOOTH_NOISE", 0.25), ("_WHITE_NOISE", 0.02), ("_SLOPE", 0.375)]
)
def test_each_noise_is_as_large_as_it_says(silent, monkeypatch, name, value):
    """Of no digit: smoothing by 2 samples leaves 1 / (2 sqrt(pi) 2) of the variance."""
    monkeypatch.setattr(module, name, value)
    signals = module._signals(np.zeros((3000, 12)), np.random.default_rng(2))
    at_grid = signals[:, [0, -1]]  # other samples lie between two, which averages
    if name == "_SLOPE":
        np.testing.assert_allclose(at_grid[:, 0], -at_grid[:, 1], atol=1e-12)
        assert at_grid.std() == pytest.approx(value / 2 / 3**0.5, rel=0.05)
    elif name == "_WHITE_NOISE":
        assert at_grid.std() == pytest.approx(value, rel=0.05)
    else:
        share = np.mean(np.abs(signals) > 0)
        smoothed = value * (4 * np.pi**0.5) ** -0.5
        assert 0.7 < share <= 1
        assert signals[signals != 0].std() == pytest.approx(smoothed, rel=0.1)
