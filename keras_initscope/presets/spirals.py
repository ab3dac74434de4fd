"""Interleaved spirals, generated: two inputs, which no network without hidden layers tells apart.

Lang and Witbrock's two spirals ("Learning to tell two spirals apart", 1988), or more of them. An
arm's distance from the middle grows with its angle, and arm `k` of `K` is the first one turned by
`k / K` of a full turn, so that along any line from the middle the arms take turns. Points lie
evenly along an arm, but for its innermost turn. What makes the task hard is the number of turns,
and the noise, whose unit is the gap between two neighbouring arms: with .25 one point in twenty is
beyond the middle of the gap, and no network can know it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_initscope.presets.data import Data
from keras_initscope.presets.result import PresetError

_TRAINING, _TEST = 1600, 400

Array = NDArray[np.float64]


def spirals(seed: int, noise: float = 0.1, arms: int = 2, turns: float = 1.5) -> Data:
    """Generate them, with mean square 1 over the training points; the mean is 0 by symmetry.

    Args:
        seed: Fixes the points and their order.
        noise: Standard deviation of a coordinate, in gaps between neighbouring arms.
        arms: How many there are, each a class.
        turns: How often an arm goes around the middle.

    Returns:
        1600 points of two coordinates to train on and 400 to test on.

    Raises:
        PresetError: If there are fewer than two arms, no turns, or less than no noise.
    """
    _check(noise, arms, turns)
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(_TRAINING + _TEST) % arms)
    points = _on_arms(labels / arms, np.sqrt(random.uniform(size=len(labels))), turns)
    points += random.normal(0, noise / (turns * arms), points.shape)
    x = (points / np.sqrt(np.mean(points[:_TRAINING] ** 2))).astype("float32")
    return Data(x[:_TRAINING], labels[:_TRAINING], x[_TRAINING:], labels[_TRAINING:])


def _on_arms(turned: Array, radii: Array, turns: float) -> Array:
    """Points on arms of length 1 from the middle outwards, each arm turned by a share of a turn."""
    angles = 2 * np.pi * (turns * radii + turned)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _check(noise: float, arms: int, turns: float) -> None:
    if arms < 2 or not noise >= 0 or not turns > 0:
        raise PresetError(
            "Spirals need two arms or more, some turns, and a noise of 0 or more, e.g. "
            f"noise=0.1, arms=2, turns=1.5. Received: noise={noise!r}, arms={arms!r}, "
            f"turns={turns!r}."
        )
