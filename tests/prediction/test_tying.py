"""Weights that are met twice in different roles are never taken as independent of the signal."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.signal import predict_signal

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
L = keras.layers


class Tied(L.Layer):
    def __init__(self, other, transposed=True, **kwargs):
        super().__init__(**kwargs)
        self.other, self.transposed = other, transposed

    def call(self, x):
        kernel = self.other.kernel
        return keras.ops.matmul(x, keras.ops.transpose(kernel) if self.transposed else kernel)


class Own(L.Layer):
    def __init__(self, back, **kwargs):
        super().__init__(**kwargs)
        self.back = back

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 32), initializer="lecun_normal")

    def call(self, x):
        x = keras.ops.matmul(x, self.kernel)
        return keras.ops.matmul(x, keras.ops.transpose(self.kernel)) if self.back else x


@pytest.mark.parametrize("transposed", [True, False])
def test_the_kernel_of_another_layer_is_unknown(transposed):
    """Of a linear layer and its transpose `E (W'Wx)^2 = (1 + n/m) q`, not `q`."""
    inputs = keras.Input((32,))
    dense = L.Dense(32, use_bias=False, name="d")
    tied = Tied(dense, transposed, name="t")
    snapshot = predict_signal(keras.Model(inputs, tied(dense(inputs))))
    assert "d/kernel" in snapshot.unknown["t"]
    assert "d" not in snapshot.unknown


def test_a_layer_that_goes_back_through_its_own_kernel_is_unknown():
    inputs = keras.Input((16,))
    snapshot = predict_signal(keras.Model(inputs, Own(True, name="o")(inputs)))
    assert "transpose" in snapshot.unknown["o"]


def test_a_layer_with_a_kernel_of_its_own_is_known():
    inputs = keras.Input((16,))
    layer = Own(False, name="o")
    snapshot = predict_signal(keras.Model(inputs, layer(inputs)))
    expected = 16 * np.mean(keras.ops.convert_to_numpy(layer.kernel.value) ** 2)
    values = snapshot.find("activation", "o").values
    assert values["root_mean_square"] ** 2 == pytest.approx(expected)


def test_an_embedding_met_again_as_the_head_is_unknown():
    inputs = keras.Input((5,), dtype="int32")
    layer = L.ReversibleEmbedding(9, 16, tie_weights=True, name="e")
    head = layer(layer(inputs), reverse=True)
    snapshot = predict_signal(keras.Model(inputs, head))
    assert "e/" in snapshot.unknown["e"]
    assert "not independent" in snapshot.unknown["e"]
