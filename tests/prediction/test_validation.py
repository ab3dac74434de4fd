"""What rules of the user's give back is looked at before anybody builds on it."""

import keras
import pytest

from keras_initscope.prediction.signal import predict_signal
from keras_initscope.prediction.state import state
from keras_initscope.prediction.transfer import transfer

L = keras.layers


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda x: state(x.shape, q=-1.0, p=0.0), "negative"),
        (lambda x: state((*x.shape, 3), q=1.0, p=0.0), "shape"),
        (lambda x: 3, "State"),
        (lambda x: None, "State"),
        (lambda x: state(x.shape, q=1.0, p=2.0), "more than"),
    ],
)
def test_a_rule_that_gives_what_cannot_be_is_named(made, message):
    class Mistaken(L.Layer):
        def call(self, x):
            return x

    transfer.register(Mistaken, lambda layer, x: made(x))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), Mistaken(name="m"), L.Dense(4, name="d")])
    snapshot = predict_signal(model)
    for layer in "md":
        assert snapshot.unknown[layer].startswith("m (Mistaken): its rule")
        assert message in snapshot.unknown[layer]
