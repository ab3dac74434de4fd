"""Known numbers times and plus a tensor: their signs count, and so does which unit they meet."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.signal import predict_signal
from keras_initscope.prediction.state import state
from keras_initscope.prediction.transfer import apply

L = keras.layers
SCALES = np.array([1e4, 1.0, 0.1, 50.0])


def _features():
    return np.random.default_rng(0).normal(size=(256, 4)) * SCALES + 2 * SCALES


def _first(layer, shape=(4,), **options):
    model = keras.Sequential([keras.Input(shape), layer])
    return model, predict_signal(model, **options)


def _values(snapshot, layer):
    return snapshot.find("activation", layer.name).values


@pytest.mark.parametrize("invert", [False, True])
def test_features_of_unlike_scale_are_standardized_one_by_one(invert):
    x = _features()
    layer = L.Normalization(invert=invert)
    layer.adapt(x)
    given = (x - x.mean(axis=0)) / x.std(axis=0) if invert else x
    model, snapshot = _first(layer, input=given)
    truth = keras.ops.convert_to_numpy(model(given.astype("float32")))
    found = _values(snapshot, layer)
    assert found["root_mean_square"] == pytest.approx(np.sqrt(np.mean(truth**2)), rel=1e-4)
    assert found["mean"] == pytest.approx(float(truth.mean()), abs=1e-4 * float(truth.std()))


def test_moments_of_all_features_do_not_tell_what_a_standardization_leaves():
    layer = L.Normalization()
    layer.adapt(_features())
    snapshot = _first(layer, input={"q": 1e8})[1]
    assert "give `input` a batch" in snapshot.unknown[layer.name]


@pytest.mark.parametrize("before", [[], [L.Rescaling(1 / 255)]], ids=["first", "rescaled"])
@pytest.mark.parametrize("mean", [0.3, [-5.0, 0.0, 1.0, 1e3]], ids=["alike", "unlike"])
def test_where_nothing_is_said_the_data_are_those_adapted_to(before, mean):
    layer = L.Normalization(mean=mean, variance=np.square(mean) + 1)
    model = keras.Sequential([keras.Input((4,)), *before, layer, L.Dense(32)])
    snapshot = predict_signal(model)
    assert not snapshot.unknown
    assert _values(snapshot, layer)["mean"] == 0
    assert _values(snapshot, layer)["signal"] == 1


def test_unlike_features_of_standard_inputs():
    """`E (s x + m)^2 = s^2 + m^2` feature by feature, for `x` of mean 0 and variance 1."""
    mean, deviation = np.array([1.0, 0.0, -3.0, 50.0]), SCALES
    layer = L.Normalization(mean=mean, variance=deviation**2, invert=True)
    found = _values(_first(layer)[1], layer)
    assert found["mean"] == pytest.approx(12)
    assert found["signal"] == pytest.approx(np.mean(deviation**2))
    assert found["constant"] == pytest.approx(np.mean(mean**2))


def test_features_that_are_all_alike_need_no_data():
    layer = L.Normalization(mean=2.0, variance=4.0)
    found = _values(_first(layer, input={"q": 8.0, "mu": 2.0})[1], layer)
    assert found["mean"] == pytest.approx(0)
    assert found["variance"] == pytest.approx(1)


def test_one_minus_a_rectified_tensor():
    """`E (1 - h)^2 = 1 - 2 E h + E h^2`, and `E relu(1 - h)^2` by the half-normal law."""
    z = state((4096,), q=1.0, p=0.0)
    made = apply(L.Rescaling(-1.0, 1.0), apply(L.ReLU(), z))
    mean = 1 / np.sqrt(2 * np.pi)
    assert float(made.mu) == pytest.approx(1 - mean)
    assert float(made.q) == pytest.approx(1.5 - 2 * mean)
    grid = np.linspace(0, 1, 20_001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    expected = 0.5 + np.trapezoid((1 - grid) ** 2 * density, grid)
    assert float(apply(L.ReLU(), made).q) == pytest.approx(expected, rel=1e-6)


def test_a_tensor_and_its_negative_add_up_to_nothing():
    x = state((8,), q=3.0, p=1.0)
    assert float(apply(L.Add(), [x, apply(L.Rescaling(-1.0), x)]).q) == pytest.approx(0)


def test_channels_are_rescaled_one_by_one():
    x = 1 + np.random.default_rng(0).normal(size=(64, 5, 5, 3)) * [1.0, 10.0, 100.0]
    layer = L.Rescaling([1.0, 0.1, -0.01], [0.0, 1.0, 2.0])
    snapshot = _first(layer, (5, 5, 3), input=x)[1]
    truth = x * [1.0, 0.1, -0.01] + [0.0, 1.0, 2.0]
    assert _values(snapshot, layer)["root_mean_square"] == pytest.approx(np.sqrt(np.mean(truth**2)))
    unsaid = _first(layer, (5, 5, 3), input={"q": 1.0})[1]
    assert "give `input` a batch" in unsaid.unknown[layer.name]
    assert not predict_signal(keras.Sequential([keras.Input((3,)), L.Rescaling([2.0] * 3)])).unknown
