"""New weights for whole models: every kind of layer keeps its signal, nothing else is touched."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import gain, reinitialize
from keras_initscope.initializers import Gated
from keras_initscope.model_init.following import Following

STARTS = keras.initializers.VarianceScaling(1, "fan_in", "untruncated_normal", seed=0)
FOLLOWED = {
    "fused": lambda x: L.Dense(256, "relu")(x),
    "separate": lambda x: L.Activation("relu")(L.Dense(256)(x)),
    "layer": lambda x: L.LeakyReLU(0.2)(L.Dense(256)(x)),
    "behind dropout and reshape": lambda x: L.ReLU()(L.Reshape((16, 16))(L.Dense(256)(x))),
    "operation": lambda x: keras.ops.relu(L.Dense(256)(x)),
    "nested": lambda x: L.ReLU()(keras.Sequential([keras.Input((256,)), L.Dense(256)])(x)),
}


def _seeds_of(model, x, inside, count=24):
    for seed in range(count):
        reinitialize(model, seed=seed)
        yield float(np.mean(inside(np.asarray(model(x))) ** 2))


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_activation_that_follows_is_made_up_for(name):
    inputs = keras.Input((256,))
    model = keras.Model(inputs, FOLLOWED[name](inputs))
    x = np.random.default_rng(1).normal(size=(256, 256))
    assert np.mean(list(_seeds_of(model, x, np.asarray, 8))) == pytest.approx(1, abs=0.05)


def test_the_variance_is_the_squared_gain_over_the_fan_for_any_activation():
    model = keras.Sequential([keras.Input((400,)), L.Dense(400, "silu"), L.Dense(400, "tanh")])
    reinitialize(model)
    for layer in model.layers:
        expected = gain(layer.activation) ** 2 / 400
        assert np.var(layer.kernel.value) == pytest.approx(expected, rel=0.02)


def test_a_softmax_or_two_different_activations_count_as_none():
    inputs = keras.Input((8,))
    both, last = L.Dense(8, name="both"), L.Dense(3, "softmax", name="last")
    x = both(inputs)
    model = keras.Model(inputs, last(L.Add()([L.ReLU()(x), x])))
    assert Following(model).of(both) is Following(model).of(last) is None


class _Written(keras.Model):
    def __init__(self):
        super().__init__()
        self.table, self.hidden = L.Embedding(20, 16), L.Dense(16, name="hidden")
        self.cell = L.LSTM(8)

    def call(self, tokens):
        return self.cell(keras.activations.gelu(self.hidden(self.table(tokens))))


def test_a_subclassed_model_is_followed_through_its_code():
    model = _Written()
    model(np.zeros((2, 5), int))
    changes = reinitialize(model)
    assert "for gelu" in changes.find("hidden/kernel").what.lower()
    assert not changes.notes
    assert not changes.skipped


@pytest.mark.parametrize(("kind", "gates"), [(L.LSTM, 4), (L.GRU, 3), (L.SimpleRNN, 1)])
def test_each_gate_starts_orthogonal(kind, gates):
    model = keras.Sequential([keras.Input((5, 12)), kind(24)])
    changes = reinitialize(model)
    cell = model.layers[0].cell
    for matrix in np.split(np.asarray(cell.recurrent_kernel.value), gates, axis=1):
        assert np.abs(matrix.T @ matrix - np.eye(24)).max() < 1e-5
    if kind is L.LSTM:
        bias = np.asarray(cell.bias.value).reshape(4, 24)
        assert np.array_equal(bias, np.repeat([[0.0], [1], [0], [0]], 24, axis=1))
    assert len(changes.changes) == 3


def test_no_two_kernels_start_alike():
    inputs = keras.Input((6, 16))
    x = L.MultiHeadAttention(2, 8, kernel_initializer=STARTS)(inputs, inputs)
    x = L.Dense(16, kernel_initializer=STARTS)(x)
    model = keras.Model(inputs, L.Dense(16, kernel_initializer=STARTS)(x))
    for rules in (None, [("kernel", STARTS)], [(keras.Layer, keras.initializers.HeNormal(seed=1))]):
        reinitialize(model, rules=rules)
        kernels = [np.ravel(v.value)[:256] for v in model.weights if v.name == "kernel"]
        for i, one in enumerate(kernels):
            assert all(abs(np.corrcoef(one, other)[0, 1]) < 0.3 for other in kernels[i + 1 :])


def _values(model, name):
    return [np.asarray(w.value) for w in model.get_layer(name).weights]


def _network(*extra):
    first = [keras.Input((8,)), *extra, L.Dense(8, "relu", name="a")]
    return keras.Sequential([*first, L.Dense(8), L.Dense(4, name="b")])


def test_values_belong_to_the_path_and_the_seed():
    one, again = _network(), _network(L.Dense(8, name="unrelated"), L.Dropout(0.1))
    reinitialize(one, seed=3)
    reinitialize(again, seed=3)
    for name in ("a", "b"):
        assert np.array_equal(_values(one, name)[0], _values(again, name)[0])
    assert np.array_equal(one.layers[1].kernel, again.layers[-2].kernel)  # named dense and dense_1
    before = _values(one, "a")[0]
    reinitialize(one, seed=4)
    assert not np.array_equal(before, _values(one, "a")[0])


def test_frozen_and_excluded_weights_stay_bit_for_bit():
    def build():
        layers = [L.Dense(8, name=f"l{i}", bias_initializer="ones") for i in range(6)]
        return keras.Sequential([keras.Input((8,)), *layers, L.BatchNormalization(name="norm")])

    model = build()
    model.get_layer("l0").trainable = False
    before = {v.path: np.asarray(v.value) for v in model.weights}
    third = model.get_layer("l2")
    changes = reinitialize(
        model, exclude=["l1/", third, lambda layer: layer.name == "l3", L.BatchNormalization]
    )
    assert {c.path for c in changes.changes} == {
        f"l{i}/{w}" for i in (4, 5) for w in ("kernel", "bias")
    }
    for variable in model.weights:
        same = np.array_equal(before[variable.path], variable.value)
        assert same == ("l4/k" not in variable.path and "l5/k" not in variable.path)


def test_the_first_rule_that_matches_is_taken_and_fitted():
    layers = [L.DepthwiseConv2D(3, name="d"), L.Conv2D(64, 1, name="c"), L.Dense(4, name="o")]
    model = keras.Sequential([keras.Input((9, 9, 64)), *layers])
    rules = [
        ("o/bias", keras.initializers.Constant(3.0)),
        (L.DepthwiseConv2D, "he_normal"),
        (lambda layer: layer.name == "c", keras.initializers.Orthogonal()),
        (layers[2], "zeros"),
        (".", "ones"),
    ]
    reinitialize(model, rules=rules)
    assert np.var(layers[0].kernel.value) == pytest.approx(2 / 9, rel=0.25)
    assert np.array_equal(layers[0].bias.value, np.ones(64))  # a class speaks of kernels
    matrix = np.asarray(layers[1].kernel.value).reshape(64, 64)
    assert np.abs(matrix.T @ matrix - np.eye(64)).max() < 1e-5
    assert np.array_equal(layers[2].kernel.value, np.zeros((64, 4)))
    assert np.array_equal(layers[2].bias.value, np.full(4, 3.0))


def test_a_nested_initializer_is_seeded_gate_by_gate():
    model = keras.Sequential([keras.Input((5, 8)), L.LSTM(8, name="a"), L.Reshape((1, 8))])
    model.add(L.LSTM(8, name="b"))
    gated = Gated(keras.initializers.RandomNormal(seed=1))
    reinitialize(model, rules=[("recurrent", gated)])
    kernels = [np.asarray(model.get_layer(n).cell.recurrent_kernel.value) for n in "ab"]
    gates = [g for kernel in kernels for g in np.split(kernel, 4, axis=1)]
    assert len({gate.tobytes() for gate in gates}) == 8


class _Own(L.Layer):
    def build(self, shape):
        self.mix = self.add_weight(shape=(shape[-1], 3), name="mix")

    def call(self, x):
        return keras.ops.matmul(x, self.mix)


def test_what_nobody_knows_is_left_and_said():
    model = keras.Sequential([keras.Input((5,)), _Own(name="own")])
    before = np.asarray(model.layers[0].mix.value)
    changes = reinitialize(model)
    assert "own_fans.register" in changes.skipped["own/mix"]
    assert np.array_equal(before, model.layers[0].mix.value)
    assert "own_fans.register" in str(changes)
    assert reinitialize(model, rules=[(_Own, "zeros")]).changes[0].after == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reinitialize("model"), "Expected a Keras model"),
        (lambda: reinitialize(keras.Sequential([L.Dense(3)])), "has no weights yet"),
        (lambda: reinitialize(_network(), rules=["a"]), r"list of \(where, initializer\)"),
        (lambda: reinitialize(_network(), rules=[("(", "zeros")]), "regular expression"),
        (lambda: reinitialize(_network(), exclude=3), r"Received: exclude=3"),
    ],
)
def test_what_cannot_be_read_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_values_stay_where_a_layer_with_a_name_of_its_own_is_added():
    def last(*names):
        layers = [L.Dense(8, name=name) for name in names]
        model = keras.Sequential([keras.Input((8,)), *layers])
        reinitialize(model, seed=1)
        return np.array(layers[-1].kernel.value)

    alone = last("enc_dense_1", "enc_dense_5")
    np.testing.assert_array_equal(last("enc_dense_1", "enc_dense_3", "enc_dense_5"), alone)


def test_a_rule_that_means_nothing_is_told():
    model = keras.Sequential([keras.Input((8,)), L.Dense(8, name="d")])
    rules = [("d/kernel", "he_normal"), ("conv", "zeros"), (L.Dense, "zeros")]
    assert reinitialize(model, rules).notes == ("The rule for 'conv' means no weight.",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"rules": [("kernel", None)]}, "initializer for each rule"), ({"seed": "x"}, "an integer")],
)
def test_what_draws_nothing_is_refused(arguments, said):
    model = keras.Sequential([keras.Input((8,)), L.Dense(8)])
    with pytest.raises(ValueError, match=said):
        reinitialize(model, **arguments)
