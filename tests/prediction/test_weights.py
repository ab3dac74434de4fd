"""Variances of weights: what initializers say they draw is what they draw."""

import keras
import numpy as np
import pytest

from keras_initscope import initializers
from keras_initscope.prediction.draws import moments_of, variance_of
from keras_initscope.prediction.weights import Weights

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
INITIALIZERS = [
    keras.initializers.HeNormal(0),
    keras.initializers.LecunUniform(0),
    keras.initializers.GlorotNormal(0),
    keras.initializers.VarianceScaling(3.0, "fan_avg", "untruncated_normal", 0),
    keras.initializers.RandomNormal(0.1, 0.3, 0),
    keras.initializers.TruncatedNormal(0.0, 0.3, 0),
    keras.initializers.RandomUniform(-0.2, 0.5, 0),
    keras.initializers.Orthogonal(1.5, 0),
    keras.initializers.VarianceScaling(2.0, seed=0, input_axes=[1], output_axes=[0]),
    initializers.GainScaling("gelu", "fan_geo_avg", seed=0),
    initializers.ScaledOrthogonal(1.5, 0),
    initializers.DeltaOrthogonal(1.5, 0),
    initializers.Sparse(40, 1.5, 0),
    keras.initializers.Ones(),
    keras.initializers.Zeros(),
    keras.initializers.Constant(0.3),
]


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=lambda i: type(i).__name__)
@pytest.mark.parametrize("shape", [(300, 200), (3, 3, 40, 50)])
def test_the_table_is_what_is_drawn(initializer, shape):
    drawn = keras.ops.convert_to_numpy(initializer(shape)).astype(float)
    mean, variance = moments_of(initializer, shape)
    noise = 4 * np.sqrt(variance / drawn.size)
    assert abs(drawn.mean() - mean) <= noise + 1e-7
    assert np.isclose(drawn.var(), variance, rtol=0.05, atol=1e-12)


def test_the_identity_is_known_exactly():
    drawn = keras.ops.convert_to_numpy(keras.initializers.Identity(2.0)((50, 50)))
    assert np.allclose(
        moments_of(keras.initializers.Identity(2.0), (50, 50)), (drawn.mean(), drawn.var())
    )


def test_a_function_that_nobody_described_is_sampled():
    def uniform(shape, dtype=None):
        return keras.random.uniform(shape, -1, 1, seed=1)

    assert np.isclose(variance_of(uniform, (100, 100)), 1 / 3, rtol=0.02)


def test_the_mean_of_random_weights_is_no_offence():
    values = np.random.default_rng(0).normal(size=(50, 50)) / 7
    found = Weights(square=np.mean(values**2), mean=values.mean(), count=2500, fan_in=50)
    assert not found.lopsided
    assert Weights(square=1.0, mean=0.5, count=2500, fan_in=50).lopsided
