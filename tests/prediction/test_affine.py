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


def test_without_data_unlike_features_are_unknown():
    layer = L.Normalization()
    layer.adapt(_features())
    for given in (None, {"q": 1e8}):
        assert "give `input` a batch" in _first(layer, input=given)[1].unknown[layer.name]


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
    assert "give `input` a batch" in _first(layer, (5, 5, 3))[1].unknown[layer.name]
    assert not predict_signal(keras.Sequential([keras.Input((3,)), L.Rescaling([2.0] * 3)])).unknown
