"""Averages over positions that are alike over any distance are not said to be known."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.signal import predict_signal

L = keras.layers


@pytest.mark.parametrize("kind", [L.GRU, L.LSTM, L.SimpleRNN])
def test_an_average_over_the_steps_of_a_recurrent_layer_is_unknown(kind):
    layers = [kind(8, return_sequences=True, name="r"), L.Dense(8, name="d")]
    model = keras.Sequential(
        [keras.Input((24, 8)), *layers, L.GlobalAveragePooling1D(name="g"), L.Dense(4)]
    )
    snapshot = predict_signal(model)
    assert "over any distance" in snapshot.unknown["g"]
    assert not {"r", "d"} & set(snapshot.unknown)


@pytest.mark.parametrize("smooth", [True, False])
def test_an_average_over_a_smooth_image_is_unknown(smooth):
    x = np.random.default_rng(0).normal(size=(64, 16, 16, 3))
    if smooth:
        x = sum(np.roll(x, (i, j), (1, 2)) for i in range(4) for j in range(4))
    layers = [L.Conv2D(8, 3, activation="relu", name="c"), L.GlobalAveragePooling2D(name="g")]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    snapshot = predict_signal(model, input=x)
    assert ("g" in snapshot.unknown) == smooth
    assert "c" not in snapshot.unknown
