"""He-average initializers: the variance is 4 / (fan_in + fan_out), wherever Keras uses them."""

import keras
import numpy as np
import pytest

from keras_initscope.initializers import HeAverageNormal, HeAverageUniform

SHAPES = [(300, 100), (64, 64), (3, 3, 16, 32), (5, 8, 24)]
# Rounding moves a value by at most this share of itself.
ROUNDING = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}


def _truncated_normal_kurtosis():
    z = np.linspace(-2, 2, 200_001)
    density = np.exp(-(z**2) / 2)
    second, fourth = (np.average(z**k, weights=density) for k in (2, 4))
    return fourth / second**2


# A sample variance of n values has the relative standard error sqrt((kurtosis - 1) / n).
KURTOSIS = {HeAverageNormal: _truncated_normal_kurtosis(), HeAverageUniform: 9 / 5}


def _fans(shape):
    field = int(np.prod(shape[:-2]))
    return field * shape[-2], field * shape[-1]


def _draws(initializer, shape, count, dtype="float32"):
    values = [keras.ops.cast(initializer(shape, dtype=dtype), "float32") for _ in range(count)]
    return np.stack([np.asarray(value) for value in values]).astype("float64")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [HeAverageNormal, HeAverageUniform])
def test_variance_is_four_over_the_sum_of_the_fans(kind, shape):
    values = _draws(kind(seed=keras.random.SeedGenerator(1)), shape, 4)
    expected = 4 / sum(_fans(shape))
    standard_error = np.sqrt((KURTOSIS[kind] - 1) / values.size)
    assert np.mean(values**2) / expected == pytest.approx(1, abs=4 * standard_error)
    assert np.mean(values) == pytest.approx(0, abs=4 * np.sqrt(expected / values.size))


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("kind", [HeAverageNormal, HeAverageUniform])
def test_variance_holds_in_half_precision(kind, dtype):
    weight = kind(seed=2)((300, 100), dtype=dtype)
    assert keras.backend.standardize_dtype(weight.dtype) == dtype
    values = np.asarray(keras.ops.cast(weight, "float32"), dtype="float64")
    standard_error = np.sqrt((KURTOSIS[kind] - 1) / values.size)
    tolerance = 4 * standard_error + 2 * ROUNDING[dtype]
    assert np.mean(values**2) / 0.01 == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_uniform_fills_its_interval_and_never_leaves_it(shape):
    limit = np.sqrt(12 / sum(_fans(shape)))
    values = _draws(HeAverageUniform(seed=3), shape, 1)
    assert values.min() >= -limit * (1 + 1e-6)
    assert values.max() <= limit * (1 + 1e-6)
    # The largest of n uniform values falls short of the limit by limit * E with n E ~ Exp(1/2).
    assert values.max() > limit * (1 - 40 / values.size)


def test_normal_is_truncated_at_two_standard_deviations_before_rescaling():
    stddev = np.sqrt(4 / 400) / 0.879625661034
    values = _draws(HeAverageNormal(seed=4), (300, 100), 1)
    assert np.abs(values).max() <= 2 * stddev * (1 + 1e-6)
    assert np.abs(values).max() > 1.9 * stddev
    # Not a uniform: the density falls to exp(-2) of its peak at the cut.
    outer = np.mean(np.abs(values) > 1.8 * stddev)
    inner = np.mean(np.abs(values) < 0.2 * stddev)
    assert outer < inner / 4


def test_equal_fans_give_the_weights_of_he():
    ours, keras_own = HeAverageNormal(seed=5), keras.initializers.HeNormal(seed=5)
    np.testing.assert_array_equal(ours((64, 64)), keras_own((64, 64)))
    ours, keras_own = HeAverageUniform(seed=5), keras.initializers.HeUniform(seed=5)
    np.testing.assert_array_equal(ours((64, 64)), keras_own((64, 64)))


@pytest.mark.parametrize("kind", [HeAverageNormal, HeAverageUniform])
def test_multi_head_attention_is_scaled_by_its_true_fans(kind):
    heads, key_dim, width = 8, 16, 48
    layer = keras.layers.MultiHeadAttention(
        heads, key_dim, kernel_initializer=kind(seed=keras.random.SeedGenerator(6))
    )
    layer.build((None, 5, width), (None, 5, width))
    # Fans of the projections: 48 -> 8 * 16 and back. By shape alone Keras would read a
    # convolution, with fans that are wrong by a factor of heads.
    expected = 4 / (width + heads * key_dim)
    kernels = [weight for weight in layer.weights if weight.path.endswith("kernel")]
    assert len(kernels) == 4
    for kernel in kernels:
        values = np.asarray(kernel.value, dtype="float64")
        standard_error = np.sqrt((KURTOSIS[kind] - 1) / values.size)
        assert np.mean(values**2) / expected == pytest.approx(1, abs=4 * standard_error)


def test_explicit_axes_replace_the_fans_of_the_shape():
    initializer = HeAverageUniform(seed=7, input_axes=[1], output_axes=[2])
    limit = np.sqrt(12 / (50 + 30))
    values = _draws(initializer, (400, 50, 30), 1)
    assert limit * 0.999 < values.max() <= limit * (1 + 1e-6)


def test_widening_then_narrowing_costs_three_quarters_of_the_signal():
    """Averaged fans share a change of width between both directions.

    ReLU layers of fans a -> b -> a multiply the second moment by 2 a / (a + b), then 2 b / (a + b):
    together 4 a b / (a + b)^2, which is 0.75 at b = 3 a.
    """
    narrow, wide, draws = 50, 150, 60
    initializer = HeAverageNormal(seed=keras.random.SeedGenerator(8))
    x = np.asarray(keras.random.normal((200, narrow), seed=9))
    gains = []
    for _ in range(draws):
        hidden = np.maximum(x @ np.asarray(initializer((narrow, wide))), 0)
        hidden = np.maximum(hidden @ np.asarray(initializer((wide, narrow))), 0)
        gains.append(np.mean(hidden**2) / np.mean(x**2))
    standard_error = np.std(gains) / np.sqrt(draws)
    assert np.mean(gains) == pytest.approx(0.75, abs=4 * standard_error)
