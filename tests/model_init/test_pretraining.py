"""Greedy pretraining: what is learnt, and that nothing else has changed."""

import random

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import presets, pretrain
from keras_initscope.model_init.autoencoder import LINEAR, SIGMOID, TANH, Autoencoder, output_for
from keras_initscope.model_init.chain import behind, chain_of, made_by
from keras_initscope.presets.digits import pixels

ADAM = keras.optimizers.Adam(0.01)
QUIET = {"optimizer": ADAM, "verbose": 0, "epochs": 3, "batch_size": 8}
RNG = np.random.default_rng(0)
X = (RNG.uniform(size=(256, 3)) @ RNG.uniform(size=(3, 12)) / 3).astype("float32")  # in [0, 1]
IMAGES = X.reshape(-1, 4, 3, 1)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


def _chain(*layers, shape=(12,)):
    return keras.Sequential([keras.Input(shape), *layers])


def _values(model):
    return [np.asarray(keras.ops.convert_to_tensor(v)) for v in model.variables]


def _errors(change):
    before, _, after = change.what.removeprefix("reconstruction error ").partition(" -> ")
    return float(before), float(after)


def _quiet(model, x, **options):
    return pretrain(model, x, **{**QUIET, **options})


def _two():
    keras.utils.set_random_seed(1)
    return _chain(L.Dense(8, "sigmoid", name="one"), L.Dense(4, "sigmoid", name="two"))


@pytest.fixture(scope="module")
def hidden():
    """Two layers of sigmoids; the changes, and the values before."""
    model = _two()
    before = _values(model)
    return model, _quiet(model, X, epochs=5), before


def test_each_layer_learns_to_keep_what_it_receives(hidden):
    _, changes, _ = hidden
    assert [change.path for change in changes.changes] == [
        "one/kernel", "one/bias", "two/kernel", "two/bias",
    ]  # fmt: skip
    for change in changes.changes:
        before, after = _errors(change)
        assert after < 0.6 * before
    assert changes.notes[0].startswith("two gives the model's outputs")


def test_the_same_seed_gives_the_same_weights_and_another_one_others(hidden):
    model, _, _ = hidden
    again, other = _two(), _two()
    random.seed(5)  # what is random elsewhere has no say
    np.random.seed(6)  # noqa: NPY002
    _quiet(again, X, epochs=5, exclude="two")
    _quiet(other, X, seed=1, exclude="two")
    for a, b in zip(_values(again)[:2], _values(model)[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(other.layers[0].get_weights()[0], model.layers[0].get_weights()[0])


def test_a_linear_layer_learns_the_principal_components():
    """A tied linear autoencoder is at its best where its kernel spans them (Baldi, Hornik 1989)."""
    model = _chain(L.Dense(2, use_bias=False))
    scales = np.geomspace(3, 0.3, 12)
    x = (np.random.default_rng(3).normal(size=(512, 12)) * scales).astype("float32")
    changes = _quiet(model, x, epochs=5, batch_size=16)
    _, _, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    kernel = np.linalg.qr(model.layers[0].get_weights()[0])[0]
    overlap = np.linalg.svd(axes[:2] @ kernel, compute_uv=False)
    assert overlap.min() > 0.99  # cosines of the angles between the planes
    best = 1 - np.var(x @ axes[:2].T, axis=0).sum() / np.var(x, axis=0).sum()
    assert _errors(changes.changes[0])[1] == pytest.approx(best, rel=0.1)


def test_nothing_else_is_touched():
    """Excluded and frozen weights, averages, compilation, flags and random states, bit for bit."""
    layers = [
        L.Dense(12, "tanh", name="kept"),
        L.Dense(10, name="trained"),
        L.BatchNormalization(name="norm"),
        L.Activation("tanh"),
        L.Dropout(0.5, seed=3),
        L.Dense(6, "relu", name="frozen", trainable=False, activity_regularizer="l2"),
        L.Dense(3, "softmax", name="classes"),
    ]
    model = _chain(*layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, np.zeros(len(X)), verbose=0)
    optimizer, config = model.optimizer, model.to_json()
    parts, step = [*model.variables, *optimizer.variables], model.train_function
    before = [np.asarray(keras.ops.convert_to_tensor(v)) for v in parts]
    names, states = [v.path for v in parts], (random.getstate(), np.random.get_state()[1].copy())  # noqa: NPY002
    changes = _quiet(model, X, exclude=["kept", "trained/bias"], epochs=1)
    assert [change.path for change in changes.changes] == ["trained/kernel"]
    assert list(changes.skipped) == ["classes/kernel"]
    for variable, name, old in zip(parts, names, before, strict=True):
        new = np.asarray(keras.ops.convert_to_tensor(variable))
        assert np.array_equal(old, new) == (not name.endswith("trained/kernel")), name
    assert (model.optimizer, model.train_function) == (optimizer, step)
    assert model.to_json() == config
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert all(not layer.losses or layer.name == "frozen" for layer in model.layers)
    model.fit(X, np.zeros(len(X)), verbose=0)


def test_an_activation_of_its_own_layer_counts_as_the_layers(hidden):
    model = _chain(L.Dense(8, name="one"), L.Activation("sigmoid"), L.Dropout(0.5))
    model.set_weights(hidden[2][:2])
    _quiet(model, X, epochs=5)
    for a, b in zip(model.get_weights(), hidden[0].get_weights(), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_convolutions_learn_with_what_lies_between():
    between = [L.Rescaling(0.5), L.MaxPooling2D(1), L.ZeroPadding2D(1)]
    conv = L.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    model = _chain(*between, conv, L.BatchNormalization(), L.ReLU(), shape=(4, 3, 1))
    (change,) = _quiet(model, IMAGES).changes
    before, after = _errors(change)
    assert after < 0.6 * before


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_half_precision_learns_the_same(policy, hidden):
    """The copies are trained in single precision; only the result is rounded."""
    model = _chain(L.Dense(8, "sigmoid", name="one", dtype=policy))
    model.layers[0].set_weights(hidden[2][:2])
    _quiet(model, X, epochs=5)
    kernel, bias = model.layers[0].weights
    assert kernel.dtype == policy
    expected = hidden[0].layers[0].get_weights()
    for new, old in zip((kernel, bias), expected, strict=True):
        np.testing.assert_allclose(keras.ops.cast(new, "float32"), old, atol=0.05)


def test_datasets_are_gone_through_and_their_targets_are_not_looked_at():
    import tensorflow as tf

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return X[32 * index : 32 * index + 32], np.full(32, np.nan)

    data = tf.data.Dataset.from_tensor_slices((X, np.full(256, np.nan))).batch(32)
    first, second = (_chain(L.Dense(6, "tanh", name="dense")) for _ in range(2))
    second.set_weights(first.get_weights())
    changes = _quiet(first, data), _quiet(second, Batches())
    assert _errors(changes[0].changes[0])[1] < 0.8 * _errors(changes[0].changes[0])[0]
    for a, b in zip(_values(first), _values(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shared_layer_is_trained_once_and_inner_chains_are_entered():
    shared, inputs = L.Dense(12, "tanh", name="shared"), keras.Input((12,))
    inner = keras.Sequential([keras.Input((12,)), L.Dense(5, "tanh", name="deep")], name="inner")
    model = keras.Model(inputs, inner(2.0 * shared(shared(inputs))))
    changes = _quiet(model, X, epochs=1)
    paths = [change.path for change in changes.changes]
    assert paths == ["shared/kernel", "shared/bias", "inner/deep/kernel", "inner/deep/bias"]


def test_no_epoch_leaves_the_model_as_it_is_but_builds_it():
    model = keras.Sequential([L.Dense(4, "tanh")])
    changes = pretrain(model, X, epochs=0)
    assert (model.built, changes.changes) == (True, ())


def test_what_is_not_trained_is_said():
    class Own(L.Dense):
        def call(self, inputs):
            return super().call(inputs) * 2

    model = _chain(
        L.Embedding(9, 4),
        L.Conv1D(4, 3, groups=2, name="grouped"),
        L.LSTM(4),
        Own(4, name="own"),
        L.Dense(3, name="logits"),
        L.Softmax(),
    )
    changes = pretrain(model, np.ones((8, 12), "int32"), verbose=0)
    assert not changes.changes
    reasons = {path.partition("/")[0]: reason for path, reason in changes.skipped.items()}
    assert "in groups" in reasons.pop("grouped")
    assert "not elementwise" in reasons.pop("logits")
    assert all("only dense and convolutional" in reason for reason in reasons.values())
    assert len(reasons) == 3


def test_progress_names_the_layer(capsys):
    _quiet(_chain(L.Dense(4, "tanh", name="narrow")), X, epochs=1, verbose=2)
    assert "narrow_loss: " in capsys.readouterr().out


def test_a_layer_that_diverges_is_left_as_it_was():
    model = _chain(L.Dense(4, "relu", name="wild"))
    before = _values(model)
    with pytest.raises(ValueError, match=r"'wild' diverged.*SGD with a learning rate of 1e\+30"):
        _quiet(model, X, optimizer=keras.optimizers.SGD(1e30), epochs=2)
    for a, b in zip(_values(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def _steps(*layers):
    return chain_of(_chain(*layers))


@pytest.mark.parametrize(
    ("in_front", "low", "high", "expected"),
    [
        ([], 0.0, 1.0, SIGMOID),
        ([], -1.0, 1.0, LINEAR),
        ([], 0.0, 1.5, LINEAR),
        ([L.Dense(4, "sigmoid")], -9.0, 9.0, SIGMOID),
        ([L.Dense(4), L.Activation("tanh"), L.Dropout(0.1)], 0.0, 1.0, TANH),
        ([L.Dense(4, "relu")], 0.0, 1.0, LINEAR),
        ([L.Dense(4)], 0.0, 1.0, LINEAR),
        ([L.Dense(4, "sigmoid"), L.BatchNormalization()], 0.0, 1.0, LINEAR),
        ([L.Rescaling(2.0)], 0.0, 1.0, LINEAR),
        ([L.Reshape((12,))], 0.0, 1.0, SIGMOID),
    ],
)
def test_the_decoder_ends_in_the_range_of_what_it_gives_back(in_front, low, high, expected):
    steps = _steps(*in_front, L.Dense(3))
    assert output_for(steps, len(steps) - 1, low, high) is expected


def test_what_made_a_tensor_is_found():
    steps = _steps(L.Dense(4, "relu"), L.Flatten(), L.LayerNormalization(), L.Dense(3))
    assert made_by(steps, 0) is None
    assert made_by(steps, 2).name == "relu"
    assert made_by(steps, 3) is steps[2]


def test_the_code_goes_as_far_as_the_activation():
    steps = _steps(L.Dense(4), L.BatchNormalization(), L.ReLU(), L.Dense(3), L.Dropout(0.1))
    assert behind(steps, 0) == steps[1:3]
    assert behind(steps, 3) == []


def test_centred_the_decoder_gives_on_average_what_it_should():
    steps = _steps(L.Dense(4, "tanh"))
    for output, x in ((LINEAR, X * 5), (SIGMOID, X)):
        net = Autoencoder(steps, 0, [], output)
        net.centre(x)
        mean = output.inverse(x.mean(axis=0))
        np.testing.assert_allclose(np.asarray(net(x)).mean(axis=0), mean, atol=1e-4)


def test_corruption_sets_its_share_to_zero_in_training_alone():
    steps = _steps(L.Dense(4, "tanh"))
    net = Autoencoder(steps, 0, [], LINEAR, corruption=0.3, seed=4)
    zeros = np.asarray(net._corrupted(keras.ops.ones((200, 50)))) == 0
    assert zeros.mean() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / zeros.size) ** 0.5)
    np.testing.assert_array_equal(net(X, training=False), net(X, training=False))
    assert not np.array_equal(net(X, training=True), net(X, training=True))


def _branched():
    inputs = keras.Input((12,))
    return keras.Model(inputs, L.Add(name="sum")([inputs, L.Dense(12)(inputs)]))


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_branched, r"no chain.*Received: 'sum', with 2 tensors in"),
        (_Subclassed, r"in the code of its `call`.*Received: a _Subclassed"),
        (
            lambda: keras.Model(i := keras.Input((12,)), [L.Dense(2)(i), i]),
            "1 inputs and 2 outputs",
        ),
        (lambda: "net", "Expected a Keras model"),
    ],
)
def test_what_is_no_chain_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        pretrain(make(), X)


@pytest.mark.parametrize("x", [X[:1], np.zeros_like(X)])
def test_of_what_does_not_vary_nothing_is_learnt(x):
    model = _two()
    before = _values(model)
    changes = _quiet(model, x)
    assert not changes.changes
    assert changes.skipped.keys() == {"one/kernel", "two/kernel"}
    assert "the same for all examples" in changes.skipped["one/kernel"]
    for now, then in zip(_values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_behind_a_dead_layer_nothing_is_learnt():
    dead = L.Dense(3, "relu", kernel_initializer="zeros", name="dead", trainable=False)
    changes = _quiet(_chain(L.Dense(8, "tanh", name="one"), dead, L.Dense(2, name="two")), X)
    assert [change.path for change in changes.changes] == ["one/kernel", "one/bias"]
    assert changes.skipped.keys() == {"two/kernel"}


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (X[:0], r"nothing to learn from.*shape \(0, 12\)"),
        (np.where(X > 0.5, np.nan, X), "NaN or infinite"),
        (X[:, :5], r"Expected: inputs of shape \(None, 12\). Received: \(256, 5\)"),
        ((X, X[:, 0]), "Give the inputs alone"),
        ({"x": X, "y": X}, "Received: a dict of 2 arrays"),
        (iter([X]), "over after the first time"),
        (None, "Received: x=None"),
        (np.array([["a"] * 12]), "of numbers. Received: dtype <U1"),
        ([[1.0], [1.0, 2.0]], "an array of inputs"),
    ],
)
def test_data_that_cannot_be_used_is_refused(x, says):
    with pytest.raises(ValueError, match=says):
        pretrain(_chain(L.Dense(3, "tanh")), x)


def test_datasets_that_never_end_or_are_empty_are_refused():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(X).batch(32)
    for given, says in ((data.repeat(), "never ends"), (data.take(0), "nothing to learn from")):
        with pytest.raises(ValueError, match=says):
            pretrain(_chain(L.Dense(3, "tanh")), given)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": -1}, "epochs to be an integer of 0 or more. Received: -1"),
        ({"epochs": 1.5}, "epochs to be an integer"),
        ({"corruption": 1.0}, "less than 1. Received: corruption=1.0"),
        ({"corruption": "a"}, "Received: corruption='a'"),
        ({"seed": None}, "seed to be an integer"),
        ({"batch_size": 0}, "batch_size to be an integer of 1 or more"),
        ({"batchsize": 3}, r"'batchsize'. Did you mean 'batch_size'\?"),
        ({"optimizer": "adamant"}, "adamant"),
        ({"exclude": 3}, "exclude=3"),
    ],
)
def test_arguments_that_cannot_be_read_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        pretrain(_chain(L.Dense(3, "tanh")), X, **options)


@pytest.mark.slow
def test_a_deep_classifier_of_sigmoids_trains_where_it_did_not():
    images, _ = pixels(0)
    labels = presets.digits.digits(0).train_y
    accuracies = []
    for epochs in (0, 5):
        hidden = [L.Dense(64, "sigmoid", name=f"hidden_{n}") for n in range(5)]
        model = _chain(*hidden, L.Dense(10, "softmax"), shape=(64,))
        _quiet(model, images, epochs=epochs)
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(images, labels, epochs=20, batch_size=32, verbose=0)
        accuracies.append(model.evaluate(images, labels, verbose=0)[1])
    assert accuracies[0] < 0.2
    assert accuracies[1] > 0.9
