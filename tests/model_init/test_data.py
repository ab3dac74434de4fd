"""Data in whatever form `fit` takes it: one batch of it, without targets, is what counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L  # noqa: N812

from keras_initscope import autoinit, calibrate, inspect, pretrain, unroll

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(96, 12)) * RNG.uniform(0.2, 3, 12)).astype("float32")
Y = RNG.normal(size=(96, 3)).astype("float32")
W = np.ones(96, "float32")
FIRST = X[:32]


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(32 * index, 32 * index + 32)
        return X[part], Y[part]


def _generator():
    for index in range(3):
        yield Batches()[index]


def _tf(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0]).batch(32)


DATA = {
    "a tensor": lambda: keras.ops.convert_to_tensor(FIRST),
    "nested lists": FIRST.tolist,
    "by name": lambda: {"given": FIRST},
    "a list of one": lambda: [FIRST],
    "tf.data": lambda: _tf(X),
    "tf.data with targets": lambda: _tf(X, Y),
    "tf.data with weights": lambda: _tf(X, Y, W),
    "tf.data by name": lambda: _tf({"given": X}, Y),
    "PyDataset": Batches,
    "a generator": _generator,
}
ACTIONS = {
    "calibrate": lambda model, x: calibrate(model, x, orthogonal=False),
    "autoinit": autoinit,
}


def _model():
    hidden = L.Dense(8, "tanh", kernel_initializer=keras.initializers.HeNormal(seed=1))
    last = L.Dense(3, kernel_initializer=keras.initializers.HeNormal(seed=2))
    return keras.Sequential([keras.Input((12,), name="given"), hidden, last])


def _kernels(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("action", ACTIONS)
def test_the_first_batch_is_taken(action, kind):
    expected, model = _model(), _model()
    ACTIONS[action](expected, FIRST)
    ACTIONS[action](model, DATA[kind]())
    for one, other in zip(_kernels(model), _kernels(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_generator_is_one_batch_further_on():
    data = _generator()
    calibrate(_model(), data)
    np.testing.assert_array_equal(next(data)[0], X[32:64])


@pytest.mark.parametrize("kind", ["by name", "a list of one", "tf.data by name"])
def test_pretraining_takes_its_only_input_in_any_structure(kind):
    expected, model = _model(), _model()
    plain = _tf(X, Y) if "tf.data" in kind else FIRST
    pretrain(expected, plain, epochs=1, verbose=0)
    pretrain(model, DATA[kind](), epochs=1, verbose=0)
    for one, other in zip(_kernels(model), _kernels(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert unroll(model, DATA[kind]()).input_shape == (None, 12)


class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = L.Dense(3)

    def call(self, x):
        return self.dense(x)


def _own():
    model = Own()
    model(FIRST)
    return model


@pytest.mark.parametrize("make", [_model, _own, lambda: keras.Sequential([L.Dense(3)])])
@pytest.mark.parametrize("action", [calibrate, lambda m, x: autoinit(m, x), inspect])
def test_targets_beside_the_inputs_are_refused(action, make):
    model = make()
    if action is not calibrate and not model.built:
        model.build((None, 12))
    before = _kernels(model)
    with pytest.raises(ValueError, match=r"Received: .*\(96, 12\), \(96, 3\).*Give the inputs al"):
        action(model, (X, Y))
    for now, then in zip(_kernels(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (X[:, :5], r"Expected: 'given' of shape \(any, 12\). Received: shape \(96, 5\)"),
        (X[:0], "`x` is empty"),
        ("rows", "Received: x='rows'"),
        (None, "Received: x=None"),
        (iter([]), "holds no batch"),
    ],
)
def test_what_is_no_batch_for_the_model_is_refused(x, says):
    with pytest.raises(ValueError, match=says):
        calibrate(_model(), x)


def _pair():
    inputs = [keras.Input((12,), name="a"), keras.Input((3,), name="b")]
    return keras.Model(inputs, L.Dense(4)(L.Concatenate()(inputs)))


@pytest.mark.parametrize("x", [(X, Y), [X, Y], {"a": X, "b": Y}, _tf({"a": X, "b": Y}).take(1)])
@pytest.mark.parametrize("action", ACTIONS.values())
def test_two_inputs_are_what_a_tuple_is_for_a_model_of_two(action, x):
    model = _pair()
    action(model, x)
    together = np.concatenate([X, Y], axis=1)[: 32 if isinstance(x, tf.data.Dataset) else 96]
    found = np.mean((together @ _kernels(model)[0]) ** 2)
    assert found == pytest.approx(1, rel=0.35)  # a column of 4 units, moments of the mean


class Two(keras.Model):
    def __init__(self):
        super().__init__(name="two")
        self.one, self.other = L.Dense(4), L.Dense(4)

    def call(self, p, q, training=None):
        return self.one(p) + self.other(q)


@pytest.mark.parametrize("x", [(X, Y), [X, Y], {"p": X, "q": Y}])
@pytest.mark.parametrize("action", ACTIONS.values())
def test_a_call_of_several_arguments_takes_one_input_for_each(action, x):
    model = Two()
    model(X, Y)
    changes = action(model, x)
    assert len(changes.changes) == 2
    assert not changes.notes
    assert not changes.skipped
    if action is ACTIONS["calibrate"]:
        built = Two()
        calibrate(built, x)  # from the batch
        assert np.var(built.one(X)) == pytest.approx(1, rel=1e-3)


def test_whether_it_is_training_is_no_input():
    class Filled(Own):
        def call(self, x, training):
            return self.dense(x)

    assert len(calibrate(Filled(), X).changes) == 1


def test_a_call_of_several_arguments_says_what_it_takes():
    with pytest.raises(ValueError, match=r"takes 2 arguments: p, q. .* Received: shape \(96, 12\)"):
        calibrate(Two(), X)
    model = Two()
    model(X, Y)
    with pytest.raises(ValueError, match="Give `input` a batch"):
        autoinit(model)


class Named(keras.Model):
    def __init__(self):
        super().__init__(name="named")
        self.one, self.other = L.Dense(4), L.Dense(4)

    def call(self, x):
        p, q = x.values() if isinstance(x, dict) else x
        return self.one(p) + self.other(q)


@pytest.mark.parametrize("x", [(X, Y), [X, Y], {"p": X, "q": Y}, _tf({"p": X, "q": Y})])
def test_a_model_in_code_that_is_not_built_may_take_several_inputs_as_one_argument(x):
    model = Named()
    assert len(calibrate(model, x).changes) == 2
    assert len(inspect(Named(), x).rows) == 2
    p, q = (X[:32], Y[:32]) if isinstance(x, tf.data.Dataset) else (X, Y)
    for layer, inputs in ((model.one, p), (model.other, q)):
        assert np.var(layer(inputs)) == pytest.approx(1, rel=1e-3)
