"""The stated error of a prediction is never less than how far networks really scatter."""

import keras
import numpy as np
import pytest

from benchmarks.montecarlo import moments_of
from keras_initscope.prediction.activation import softmax_slope
from keras_initscope.prediction.signal import predict_signal

L = keras.layers
_WIDE = keras.initializers.RandomNormal(stddev=2.0)


def _stated(snapshot, layer):
    return snapshot.find("activation", layer).values["relative_error"]


def _scatter(build, layer, x, draws=8):
    """Root mean square over networks of `measured / predicted - 1`, and the error stated."""
    ratios, snapshot = [], None
    for draw in range(draws):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(draw)
        model = build()
        found = keras.Model(model.inputs[0], model.get_layer(layer).output)(x, training=True)
        snapshot = snapshot or predict_signal(model, weights="initializers")
        predicted = snapshot.find("activation", layer).values["root_mean_square"] ** 2
        ratios.append(np.mean(np.square(keras.ops.convert_to_numpy(found))) / predicted)
    return float(np.sqrt(np.mean((np.array(ratios) - 1) ** 2))), _stated(snapshot, layer)


@pytest.mark.parametrize("inputs", [1, 4])
def test_few_inputs_make_no_gaussians(inputs):
    """`tanh(w x)` of one input is far from the `tanh` of a Gaussian, however many units there are.

    Without data a network of 1 input and 1024 units would claim `sqrt(5/1024) = 7 %`.
    """
    x = np.random.default_rng(0).normal(size=(4096, inputs))

    def build():
        first = L.Dense(1024, "tanh", kernel_initializer=_WIDE, name="d")
        return keras.Sequential([keras.Input((inputs,)), first])

    found, stated = _scatter(build, "d", x, draws=4)
    assert found < stated
    assert stated == pytest.approx(np.sqrt((1 + 5 / 1024) * (1 + 2 / inputs) - 1))


@pytest.mark.parametrize("kind", [L.LayerNormalization, L.BatchNormalization, L.RMSNormalization])
def test_a_normalization_does_not_end_all_scatter(kind):
    x = np.random.default_rng(0).normal(size=(256, 64))

    def build():
        return keras.Sequential(
            [keras.Input((64,)), L.Dense(32), kind(), L.ReLU(name="r"), L.Dense(32, name="d")]
        )

    found, stated = _scatter(build, "r", x)
    assert 0 < found < stated
    found, stated = _scatter(build, "d", x)
    assert 0 < found < stated


def test_inputs_of_very_unlike_length_are_told():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2048, 64)) * np.exp(rng.normal(size=(2048, 1)))
    squares = np.mean(x**2, axis=1)
    spread = squares.var() / squares.mean() ** 2
    model = keras.Sequential([keras.Input((64,)), L.Dense(512, "tanh", name="d")])
    stated = _stated(predict_signal(model, input=x), "d")
    assert stated == pytest.approx(np.sqrt((1 + 5 / 512) * (1 + spread) - 1))
    z = keras.ops.convert_to_numpy(model(x))
    predicted = predict_signal(model, input=x).find("activation", "d").values["root_mean_square"]
    assert abs(np.mean(z**2) / predicted**2 - 1) < stated


def _logs(activation, initializer, depth, width, draws=8):
    """`log(measured / predicted)` of the last signal and the first gradient, and what is stated."""
    found, stated = [], []
    x = np.random.default_rng(0).normal(size=(128, width)).astype("float32")
    for draw in range(draws):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(draw)
        hidden = [
            L.Dense(width, activation, kernel_initializer=initializer, name=f"d{i}")
            for i in range(depth)
        ]
        model = keras.Sequential([keras.Input((width,)), *hidden, L.Dense(10)])
        if not found:
            snapshot = predict_signal(model, weights="initializers")
            ends = [("activation", f"d{depth - 1}"), ("activation_gradient", "d0")]
            values = [snapshot.find(*end).values for end in ends]
            stated = [np.sqrt(np.log1p(each["relative_error"] ** 2)) for each in values]
        truth = moments_of(model, x, np.random.default_rng(draw))
        pairs = zip(values, (truth[f"d{depth - 1}"][0], truth["d0"][1]), strict=True)
        found.append([np.log(true / each["root_mean_square"] ** 2) for each, true in pairs])
    return np.sqrt(np.mean(np.square(found), axis=0)), np.array(stated)


@pytest.mark.parametrize("activation", ["gelu", "mish"])
def test_what_amplifies_deviations_is_told(activation):
    """GELU, SiLU and Mish with He's weights leave the variance that theory predicts over depth."""
    found, stated = _logs(activation, "he_normal", 16, 32)
    plain = np.sqrt(16 * np.log1p(5 / 32) + np.log1p(2 / 32))
    assert (found < stated).all()
    assert stated[0] > 1.5 * plain


def test_what_keeps_deviations_small_is_stated_as_before():
    found, stated = _logs("tanh", "lecun_normal", 16, 32)
    assert (found < stated).all()
    assert stated[0] == pytest.approx(np.sqrt(16 * np.log1p(5 / 32) + np.log1p(2 / 32)))


def test_the_gradient_of_a_softmax_scatters_with_its_logits():
    """With two logits `E (s (1 - s))^2`, of which the logits' variance decides."""
    layer = L.Dense(2, "softmax", kernel_initializer=_WIDE, name="s")
    snapshot = predict_signal(keras.Sequential([keras.Input((8,)), layer]), weights="initializers")
    low, high = (np.log(softmax_slope(factor * 8 * 4.0, 2)) for factor in (0.98, 1.02))
    elasticity = (high - low) / np.log(1.02 / 0.98)
    expected = abs(elasticity) * np.sqrt(np.log1p(2 / 2))
    stated = snapshot.find("preactivation_gradient", "s").values["relative_error"]
    assert np.sqrt(np.log1p(stated**2)) == pytest.approx(expected, rel=1e-2)
    assert stated > 0.2
