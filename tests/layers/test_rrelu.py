"""RReLU: random slopes in training, the mean slope in inference."""

import keras
import numpy as np
import pytest

from keras_initscope.layers import RReLU

NEGATIVE = -np.ones((400, 50), dtype="float32")


def _slopes(layer, training=True):
    return -np.asarray(keras.ops.cast(layer(NEGATIVE, training=training), "float32"))


def test_slopes_are_uniform_between_the_bounds():
    slopes = _slopes(RReLU(0.2, 0.6, seed=1))
    assert slopes.min() >= 0.2 - 1e-6
    assert slopes.max() <= 0.6 + 1e-6
    # Kolmogorov's bound: the empirical distribution stays within 1.95 / sqrt(n) of the true one
    # (at a level of 0.001).
    empirical = np.arange(1, slopes.size + 1) / slopes.size
    distance = np.abs(np.sort(slopes.ravel()) - (0.2 + 0.4 * empirical)).max() / 0.4
    assert distance < 1.95 / np.sqrt(slopes.size)


def test_each_element_has_its_own_slope():
    slopes = _slopes(RReLU(seed=1)).astype("float64")
    assert np.unique(slopes).size > 0.99 * slopes.size
    bound = 4 / np.sqrt(slopes.size)
    assert abs(np.corrcoef(slopes[:, :-1].ravel(), slopes[:, 1:].ravel())[0, 1]) < bound
    assert abs(np.corrcoef(slopes[:-1].ravel(), slopes[1:].ravel())[0, 1]) < bound


def test_second_moment_of_the_slope_is_that_of_the_uniform_distribution():
    """E a^2 = (l^2 + l u + u^2) / 3, which is what sets the gain in training."""
    lower, upper = 1 / 8, 1 / 3
    squares = _slopes(RReLU(seed=2)).astype("float64") ** 2
    expected = (lower**2 + lower * upper + upper**2) / 3
    assert squares.mean() == pytest.approx(expected, abs=4 * squares.std() / np.sqrt(squares.size))


def test_inference_uses_the_mean_slope():
    np.testing.assert_allclose(_slopes(RReLU(0.1, 0.3), training=False), 0.2, rtol=1e-6)
    np.testing.assert_allclose(-np.asarray(RReLU()(NEGATIVE)), 11 / 48, rtol=1e-6)


def test_mean_over_training_draws_is_inference():
    layer = RReLU(seed=3)
    slopes = _slopes(layer).astype("float64")
    standard_error = (1 / 3 - 1 / 8) / np.sqrt(12 * slopes.size)
    mean_slope = float(_slopes(layer, training=False)[0, 0])
    assert slopes.mean() == pytest.approx(mean_slope, abs=4 * standard_error)


@pytest.mark.parametrize("training", [True, False])
def test_positive_values_and_zero_pass_unchanged(training):
    x = np.array([0.0, 1e-30, 0.5, 3e38], dtype="float32")
    np.testing.assert_array_equal(RReLU(seed=4)(x, training=training), x)


def test_equal_bounds_are_a_leaky_relu():
    x = np.linspace(-3, 3, 101, dtype="float32")
    leaky = keras.layers.LeakyReLU(negative_slope=0.25)(x)
    np.testing.assert_allclose(RReLU(0.25, 0.25)(x, training=True), leaky, rtol=1e-6)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(0.5, 0.2), (-0.1, 0.2), (0.1, 1.5), (float("nan"), 0.5), ("0.1", 0.5), (None, 0.5)],
)
def test_impossible_slopes_are_refused(lower, upper):
    with pytest.raises(ValueError, match="0 <= lower <= upper <= 1"):
        RReLU(lower, upper)


def test_a_seed_that_is_no_integer_is_refused():
    with pytest.raises(ValueError, match="must be an integer"):
        RReLU(seed="one")


@pytest.mark.parametrize("jit", [True, False])
def test_gradient_is_the_slope_that_was_used(jit):
    """Trained weights differentiate f itself: dL/dw for L = sum f(w) is 1 or the slope."""
    keras.utils.set_random_seed(0)

    model = keras.Sequential([keras.Input((40,)), _Scale(), RReLU(seed=5)])
    model.compile(keras.optimizers.SGD(1.0), loss=_total, jit_compile=jit)
    x = np.where(np.arange(40) % 2, 1.0, -1.0).astype("float32")[None]
    before = np.array(model.layers[0].scale * 1)
    model.train_on_batch(x, np.zeros((1, 40), "float32"))
    gradient = before - np.array(model.layers[0].scale * 1)
    np.testing.assert_allclose(gradient[1::2], 1.0, rtol=1e-6)
    assert np.all((-gradient[::2] >= 1 / 8 - 1e-6) & (-gradient[::2] <= 1 / 3 + 1e-6))
    assert np.unique(gradient[::2]).size > 15


class _Scale(keras.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=shape[1:], initializer="ones")

    def call(self, x):
        return x * self.scale


def _total(y_true, y_pred):
    return keras.ops.sum(y_pred, axis=-1)


def test_a_mask_passes_through():
    model = keras.Sequential([keras.layers.Masking(), RReLU(seed=6), keras.layers.LSTM(3)])
    sequence = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    padded = np.concatenate([sequence, np.zeros((2, 3, 4), "float32")], axis=1)
    np.testing.assert_allclose(model(padded), model(sequence), rtol=1e-5, atol=1e-6)
