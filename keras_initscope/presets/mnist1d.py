"""MNIST-1D, generated: ten digits as signals of 40 samples, hard enough to tell networks apart.

After Greydanus, "Scaling down deep learning", 2020 (arXiv:2011.14439), from which the templates
and the sizes below are; the 4000 and 1000 signals are drawn here, so they are not the paper's own.

A digit is a stroke of twelve samples that starts and ends at zero. It is padded with 36 to 60 zeros
and stretched to 72 samples, which makes it longer or shorter; scaled by .8 to 1.2; moved by up to
47 samples. Where it is not, there is smooth noise, so that a network must find it;
everywhere there is a little white noise and a slope. At last 40 samples are taken of the 72.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from keras_initscope.presets.data import Data

SAMPLES = 40
_TRAINING, _TEST = 4000, 1000
_PADDING = (36, 60)
_SCALE = 0.2  # a factor of 1 - .2 to 1 + .2
_SHIFTS = 48
_SMOOTH_NOISE, _SMOOTHING = 0.25, 2.0  # before it is smoothed; in samples
_WHITE_NOISE = 0.02
_SLOPE = 0.375  # from -.375 to .375 over the whole signal

#: The twelve samples of each digit as the paper draws them.
_STROKES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)

Array = NDArray[np.float64]


def mnist1d(seed: int) -> Data:
    """Generate them, as many of each digit, with mean 0 and mean square 1 over all.

    Args:
        seed: Fixes the signals and their order.

    Returns:
        4000 signals of 40 samples to train on and 1000 to test on.
    """
    random = np.random.default_rng(seed)
    count = _TRAINING + _TEST
    labels = random.permutation(np.arange(count) % len(_STROKES))
    signals = _signals(templates()[labels], random)
    x = ((signals - signals.mean()) / signals.std()).astype("float32")
    return Data(x[:_TRAINING], labels[:_TRAINING], x[_TRAINING:], labels[_TRAINING:])


def templates() -> Array:
    """The digits before anything befalls them.

    Returns:
        `(10, 12)` strokes that start at 0, each with a standard deviation of 1/6.
    """
    strokes = np.array(_STROKES)
    return (strokes - strokes[:, :1]) / strokes.std(axis=1, keepdims=True) / 6


def _signals(strokes: Array, random: np.random.Generator) -> Array:
    """One signal of 40 samples for each stroke."""
    count, length = strokes.shape
    total = length + _PADDING[1]
    padded = length + random.integers(_PADDING[0], _PADDING[1] + 1, count)
    places = np.linspace(0, 1, total) * (padded[:, None] - 1)
    signals = np.stack(
        [
            np.interp(at, np.arange(length), stroke, right=0.0)
            for at, stroke in zip(places, strokes, strict=True)
        ]
    )
    signals *= random.uniform(1 - _SCALE, 1 + _SCALE, (count, 1))
    noise = gaussian_filter1d(random.normal(0, _SMOOTH_NOISE, signals.shape), _SMOOTHING, axis=1)
    signals = _shifted(np.where(places < length, signals, noise), random)
    signals += random.normal(0, _WHITE_NOISE, signals.shape)
    signals += random.uniform(-_SLOPE, _SLOPE, (count, 1)) * np.linspace(-0.5, 0.5, total)
    return _resampled(signals)


def _shifted(signals: Array, random: np.random.Generator) -> Array:
    """Each moved to later samples by a number of its own; no digit gets beyond the end."""
    count, total = signals.shape
    shifts = random.integers(_SHIFTS, size=(count, 1))
    return np.take_along_axis(signals, (np.arange(total) - shifts) % total, axis=1)


def _resampled(signals: Array) -> Array:
    """40 evenly spread samples of each, on straight lines between their neighbours."""
    at = np.linspace(0, signals.shape[1] - 1, SAMPLES)
    left = np.minimum(at.astype(int), signals.shape[1] - 2)
    share = at - left
    return signals[:, left] * (1 - share) + signals[:, left + 1] * share
