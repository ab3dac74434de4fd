"""Positions and units that are not all alike: at borders, at a distance, side by side."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.signal import predict_signal
from keras_initscope.prediction.state import state
from keras_initscope.prediction.transfer import apply

L = keras.layers


@pytest.mark.parametrize(
    ("layer", "geometry"),
    [
        (L.Conv2D(512, 3, padding="same"), "3x3"),
        (L.Conv2D(512, 3, strides=2, padding="same"), "strided"),
        (L.Conv2D(512, 3, dilation_rate=2, padding="same"), "dilated"),
        (L.DepthwiseConv2D(3, depth_multiplier=8, padding="same"), "depthwise"),
        (L.ZeroPadding2D(1), "padding"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_mean_of_a_channel_passes_the_taps_inside(layer, geometry):
    rng = np.random.default_rng(0)
    constant = rng.normal(size=(1, 1, 1, 64))  # all of the signal is common to all positions
    x = np.broadcast_to(constant, (1, 4, 4, 64))
    made = []
    for draw in range(8):
        keras.utils.set_random_seed(draw)
        copy = type(layer).from_config(layer.get_config())
        made.append(np.mean(np.mean(keras.ops.convert_to_numpy(copy(x)), axis=(0, 1, 2)) ** 2))
    square = float(np.mean(constant**2))
    found = apply(copy, state((4, 4, 64), q=square, p=square, r=square))
    # A squared Gaussian has the relative variance 2: of 512 units, 8 draws.
    assert found.m == pytest.approx(np.mean(made), rel=4 * np.sqrt(2 / (512 * 8)))
    assert found.m < float(np.mean(found.p)) * 0.95


def test_a_batch_normalization_divides_by_what_is_not_common():
    """On a 3 x 3 map of mostly constant signal the borders more than double the variance."""
    variances = []
    for draw in range(8):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(draw)
        convolution = L.Conv2D(256, 3, padding="same", name="c")
        model = keras.Sequential([keras.Input((3, 3, 64)), convolution, L.BatchNormalization()])
        x = 1.0 + 0.5 * np.random.default_rng(draw).normal(size=(128, 3, 3, 64))
        z = keras.ops.convert_to_numpy(convolution(x))
        variances.append(z.var(axis=(0, 1, 2)).mean())
    snapshot = predict_signal(model, input={"q": 1.25, "p": 1.0, "mu": 1.0}, weights="initializers")
    # The gradient that leaves is 1 / s^2.
    gradient = snapshot.profile("activation_gradient", "root_mean_square")["c"] ** 2
    # The relative variance of s^2 is below 1/2 over 2048 units: what 9 taps make of a constant.
    assert 1 / gradient == pytest.approx(np.mean(variances), rel=4 * np.sqrt(0.5 / 2048))
    assert 1 / gradient > 2 * 0.25 * 64 * (2 / (9 * (64 + 256))) * 49 / 9


@pytest.mark.parametrize("alike", [0.3, 0.8])
@pytest.mark.parametrize("pooling", [L.AveragePooling2D, L.MaxPooling2D])
def test_likeness_falls_off_with_distance(alike, pooling):
    """A Markov chain along the one axis of an image: pooled, and seen by a strided convolution."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(13, 400, 256)) * np.sqrt(1 - alike**2)
    chain = [rng.normal(size=(400, 256))]
    for step in steps[1:]:
        chain.append(alike * chain[-1] + step)
    x = np.stack(chain, axis=1)[:, :, None]
    given = state((13, 1, 256), q=1.0, p=0.0, r=alike)
    layer = pooling((5, 1), strides=(4, 1))
    pooled, truth = apply(layer, given), layer(x)
    assert float(np.mean(pooled.q)) == pytest.approx(np.mean(np.square(truth)), rel=0.08)
    keras.utils.set_random_seed(0)
    strided = L.Conv2D(512, 1, strides=2, use_bias=False)
    z = keras.ops.convert_to_numpy(strided(x))
    likeness = np.mean(z[:, 1:] * z[:, :-1]) / np.mean(z**2)
    found = apply(strided, given)
    assert float(np.mean(found.r / found.q)) == pytest.approx(likeness, abs=0.02)
    assert likeness == pytest.approx(alike**2, abs=0.02)


def test_units_of_unequal_variance_are_normalized_each_by_its_own():
    a, b = keras.Input((32,)), keras.Input((96,))
    parts = [L.Rescaling(3.0, name="large")(a), L.Rescaling(0.5, name="small")(b)]
    inner = L.Concatenate(name="inner")(parts)
    outer = L.Concatenate(name="outer")([inner, L.Rescaling(2.0, name="other")(b)])
    model = keras.Model([a, b], L.BatchNormalization(epsilon=0.0)(outer))
    g = predict_signal(model).profile("activation_gradient", "root_mean_square")
    found = {name: g[name] ** 2 for name in ("large", "small", "other", "inner", "outer")}
    expected = {"large": 1 / 9, "small": 4, "other": 1 / 4}
    expected["inner"] = (32 / 9 + 96 * 4) / 128
    expected["outer"] = (32 / 9 + 96 * 4 + 96 / 4) / 224
    assert found == pytest.approx(expected)
