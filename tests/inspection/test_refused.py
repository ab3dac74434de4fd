"""What cannot be looked at is refused in words: what came, what was expected, what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_initscope as initscope
from keras_initscope.batches import batch_of

X = np.ones((12, 5), np.float32)
Y = np.ones((12, 3), np.float32)


def _model(loss=None):
    model = keras.Sequential([keras.Input((5,), name="given"), layers.Dense(3)], name="net")
    if loss:
        model.compile("sgd", loss)
    return model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(ops.reshape(x, (-1, 5)))


def _sparse():
    return _model("sparse_categorical_crossentropy")


def _pair():
    x = keras.Input((5,))
    model = keras.Model(x, {"one": layers.Dense(3)(x), "two": layers.Dense(3)(x)})
    model.compile("sgd", ["mse"])
    return model


def _reader():
    texts = keras.Input((2,), dtype="string", name="given")
    numbers = layers.StringLookup(vocabulary=["a", "b"])(texts)
    return keras.Model(texts, layers.Embedding(3, 4)(numbers))


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (_model, (X[:, :4],), r"Expected: 'given' of shape \(any, 5\). Received: shape \(12, 4\)"),
        (_model, (X[None],), r"Received: shape \(1, 12, 5\)"),
        (_model, ([X, X],), r"Received: shapes \[\(12, 5\), \(12, 5\)\]"),
        (_model, (X[:0],), "`x` is empty"),
        (_model, ([],), "Expected `x` to be an array"),
        (_model, (None,), r"Received: x=None \(of type NoneType\)"),
        (_model, (np.float32(1.0),), "`x` is empty"),
        (_model, (tf.data.Dataset.from_tensors(X).take(0),), "holds no batch"),
        (_model, (tf.data.Dataset.from_tensor_slices(X).batch(12), Y), "Leave `y` out"),
        (_model, (X, Y[:5]), "same number of examples"),
        (_model, (X, Y), "not compiled with a loss, so `y` says nothing"),
        (_model, (X, Y, "msee"), "Received: loss='msee'"),
        (_model, (X, Y, 3), "Received: loss=3"),
        (_model, (X, None, "mse"), "needs targets. Received: y=None"),
        (
            _model,
            (X, Y[:, :2], "mse"),
            r"Expected: \[\(12, 3\)\]. Received: .*y of shape \(12, 2\)",
        ),
        (_model, (X, np.arange(12) % 3, "mse"), "shape of the outputs.*sparse_categorical_cross"),
        (lambda: _model("mse"), (X, np.arange(12) % 3), "shape of the outputs of the model 'net'"),
        (
            lambda: _model({"a": "mse"}),
            (X, Y),
            r"do not go with its outputs.*Received: losses for \['a'\]",
        ),
        (
            _pair,
            (X, {"one": Y, "two": Y}),
            r"do not go with.*some of \['one', 'two'\].*a list of 1",
        ),
        (_model, (np.full((12, 5), None),), "an array of dtype object"),
        (_model, (np.full((12, 5), "a"),), r"Received: shape \(12, 5\), of dtype string"),
        (_reader, (X[:, :2],), r"Expected: 'given' of shape \(any, 2\), of dtype string"),
        (_model, ([[1.0, 2.0], [3.0]],), "rows of one length"),
        (_model, ([[1.0, 2.0], [3.0, 4.0]],), r"Received: shape \(2, 2\)"),
        (lambda: _model("mse"), (X,), "compiled with the loss 'mse', which needs targets"),
        (lambda: _model("mse"), (X, Y, "mae"), "is compiled with a loss of its own"),
        (_sparse, (X, np.full(12, 7)), r"valid range of \[0, 3\)"),
        (Subclassed, (X[:, :4],), "does not take this batch|cannot be built"),
        (lambda: layers.Dense(3), (X,), "Expected a Keras model"),
    ],
)
def test_it_is_refused(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        initscope.inspect(model(), *arguments)


def test_a_model_that_cannot_be_built_says_how_to():
    class Stubborn(keras.Model):
        def call(self, x):
            raise RuntimeError("not today")

    model = Stubborn(name="stubborn")
    with pytest.raises(ValueError, match=r"no weights yet and cannot be built.*not today"):
        initscope.inspect(model, X)


def test_of_large_arrays_examples_are_taken_evenly():
    x = np.arange(1000, dtype=np.float32)[:, None]
    chosen = np.asarray(batch_of(x, spread=True).x)[:, 0]
    assert len(chosen) == 256
    assert chosen[0] == 0
    assert chosen[-1] == 999
    assert set(np.diff(chosen)) == {3.0, 4.0}


def test_of_large_examples_fewer_are_taken():
    assert batch_of(np.zeros((100, 1 << 17), np.float32), spread=True).examples == 32
    assert batch_of(np.zeros((10, 1 << 20), np.int8), spread=True).examples == 8


def test_a_batch_of_a_dataset_is_taken_whole():
    data = tf.data.Dataset.from_tensors((np.zeros((300, 2), np.float32), np.zeros(300)))
    batch = batch_of(data, None)
    assert batch.examples == 300
    assert str(batch) == "x of shape (300, 2), y of shape (300,)"
