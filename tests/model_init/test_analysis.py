"""Weights scaled without data: what theory promises is what comes out."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import autoinit, predict_signal
from keras_initscope.model_init.following import Following


def _mlp(activation):
    hidden = [L.Dense(256, activation, kernel_initializer="glorot_uniform") for _ in range(4)]
    return keras.Sequential([keras.Input((256,)), *hidden, L.Dense(64)])


def _cnn():
    layers = [
        L.Conv2D(64, 3, padding="same", activation="relu"),
        L.MaxPooling2D(),
        L.Conv2D(128, 3, activation="gelu", bias_initializer="random_normal"),
        L.AveragePooling2D(2),
        L.DepthwiseConv2D(3, depth_multiplier=2),
        L.ReLU(),
        L.Conv2D(128, 1),
        L.GlobalAveragePooling2D(),
        L.Dense(64, "tanh"),
        L.Dense(64),
    ]
    return keras.Sequential([keras.Input((18, 18, 8)), *layers])


def _attention():
    inputs = keras.Input((16, 128))
    x = L.MultiHeadAttention(4, 32)(inputs, inputs)
    x = L.Dense(256, "gelu")(x)
    return keras.Model(inputs, L.Dense(128)(x))


def _residual(blocks=50, width=128):
    x = inputs = keras.Input((width,))
    for _ in range(blocks):
        y = L.Dense(width, "relu")(L.Activation("relu")(x))
        x = L.Add()([x, L.Dropout(0.0)(L.Dense(width)(y))])
    return keras.Model(inputs, L.Dense(64)(x))


NETWORKS = {
    **{name: lambda name=name: _mlp(name) for name in ("relu", "gelu", "mish", "tanh")},
    "cnn": _cnn,
    "attention": _attention,
    "residual": lambda: _residual(8),
    "50 residual blocks": _residual,
}
DRAWS = {
    "cnn": 128,
    "50 residual blocks": 20,
}  # few weights a kernel scatter, many layers take time


def _measured(model, draws, examples=64):
    """Mean over draws of each layer's second moment, and its relative standard error."""
    layers = [layer for layer in model.layers if not isinstance(layer, L.InputLayer)]
    whole = keras.Model(model.inputs[0], [layer.output for layer in layers])
    rng, found = np.random.default_rng(1), []
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    scales = [float(np.std(v.value)) for v in kernels]
    for _ in range(draws):
        for kernel, scale in zip(kernels, scales, strict=True):  # other directions, the same scales
            kernel.assign(scale * rng.standard_normal(kernel.shape, "float32"))
        x = rng.normal(size=(examples, *model.input_shape[1:])).astype("float32")
        found.append([np.mean(np.asarray(y) ** 2) for y in whole(x)])
    mean = np.mean(found, axis=0)
    error = np.std(found, axis=0) / mean / np.sqrt(draws)
    return {layer.name: pair for layer, *pair in zip(layers, mean, error, strict=True)}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n.startswith("50") else n for n in NETWORKS],
)
def test_predicted_and_measured_second_moments_agree(name):
    """In the mean over draws: a single network scatters by its finite width."""
    keras.utils.set_random_seed(7)
    model = NETWORKS[name]()
    changes = autoinit(model)
    assert not changes.notes
    assert not changes.skipped
    predicted = predict_signal(model).profile("activation", "root_mean_square")
    for path, (measured, error) in _measured(model, DRAWS.get(name, 48)).items():
        path = f"{path}/attention_output" if "attention" in path else path
        assert error < 0.05, path
        assert measured == pytest.approx(predicted[path] ** 2, rel=0.1), path


@pytest.mark.parametrize("name", ["gelu", "cnn"])
def test_every_preactivation_has_unit_second_moment(name):
    model = NETWORKS[name]()
    autoinit(model)
    found = predict_signal(model).profile("preactivation", "root_mean_square")
    assert list(found.values()) == pytest.approx([1.0] * len(found), rel=1e-4)


def test_the_trunk_doubles_however_many_branches_there_are():
    for blocks in (5, 40):
        model = _residual(blocks, width=64)
        autoinit(model)
        sums = predict_signal(model).profile("activation", "root_mean_square")
        last = [value for path, value in sums.items() if path.startswith("add")][-1]
        assert last**2 == pytest.approx(2, rel=0.01)


def test_terms_that_are_all_fresh_share_the_sum():
    inputs = keras.Input((8, 8, 16))
    a, b = L.Conv2D(16, 3, padding="same"), L.Conv2D(16, 1)
    model = keras.Model(inputs, L.Add(name="sum")([a(inputs), L.Dropout(0.0)(b(inputs))]))
    autoinit(model)
    assert Following(model).shares() == {id(a): 0.5, id(b): 0.5}
    found = predict_signal(model).profile("activation", "root_mean_square")
    assert found["sum"] ** 2 == pytest.approx(1, rel=1e-3)


class Block(L.Layer):
    def __init__(self):
        super().__init__()
        self.wide, self.back = L.Dense(64, "relu"), L.Dense(64)

    def call(self, x):
        return x + self.back(self.wide(x))


def test_branches_within_layers_of_ones_own_are_seen():
    blocks = [Block() for _ in range(4)]
    model = keras.Sequential([keras.Input((64,)), *blocks])
    autoinit(model)
    assert Following(model).shares() == {id(block.back): 0.25 for block in blocks}


class Strange(L.Layer):
    """Theory is not told what it does."""

    def call(self, x):
        return keras.ops.cumsum(keras.ops.sort(x, axis=-1), axis=-1) / 3


def test_what_theory_does_not_know_is_measured_and_said():
    known, behind = L.Dense(128, "relu", name="known"), L.Dense(128, name="behind")
    model = keras.Sequential([keras.Input((64,)), known, Strange(), behind, L.Dense(128)])
    changes = autoinit(model)
    assert "behind/kernel" in changes.notes[0]
    assert "known/kernel" not in changes.notes[0]
    assert "Sort" in changes.notes[0]
    assert changes.find("behind/kernel").what.endswith("measured")
    x = np.random.default_rng(2).normal(size=(1024, 64))
    assert np.mean(np.asarray(model(x)) ** 2) == pytest.approx(1, abs=0.1)


def test_tokens_of_an_embedding_in_a_model_that_theory_does_not_follow():
    inputs = keras.Input((9,))
    x = L.Dense(32, name="behind")(Strange()(L.Embedding(20, 32, name="table")(inputs)))
    changes = autoinit(keras.Model(inputs, x))
    assert {c.path for c in changes.changes} == {"table/embeddings", "behind/kernel"}
    assert changes.find("table/embeddings").after == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_each_gate_receives_unit_second_moment(kind):
    model = keras.Sequential([keras.Input((6, 48)), kind(32, name="r"), L.Dense(8)])
    changes = autoinit(model, {"q": 4.0, "p": 0.0})
    gates = 4 if kind is L.LSTM else 3 if kind is L.GRU else 1
    for part in np.split(np.asarray(model.layers[0].cell.kernel.value), gates, axis=-1):
        assert np.mean(part**2) == pytest.approx(1 / 48 / 4, rel=1e-4)
    assert not changes.skipped


def test_data_gives_its_own_moments():
    x = np.random.default_rng(3).uniform(2, 4, size=(256, 64))
    model = keras.Sequential([keras.Input((64,)), L.Dense(64, name="first")])
    autoinit(model, x)
    kernel = np.asarray(model.layers[0].kernel.value)
    assert np.mean(kernel**2) * 64 * np.mean(x**2) == pytest.approx(1, rel=1e-3)


def test_weights_keep_their_directions_and_excluded_ones_their_bits():
    model = _mlp("relu")
    before = [np.asarray(v.value) for v in model.variables]
    model.layers[1].trainable = False
    autoinit(model, exclude=[model.layers[2], "bias"])
    for i, (variable, old) in enumerate(zip(model.variables, before, strict=True)):
        if i in (2, 4) or variable.name == "bias":
            assert np.array_equal(old, variable.value)
        else:
            assert np.ptp(np.asarray(variable.value) / old) < 1e-4


def test_what_cannot_be_scaled_is_said():
    layers = [L.Dense(8, kernel_initializer="zeros", name="a")]
    layers += [L.Dense(8, bias_initializer=keras.initializers.Constant(2), name="b")]
    model = keras.Sequential([keras.Input((8,)), *layers])
    skipped = autoinit(model).skipped
    assert "no signal" in skipped["a/kernel"]
    assert skipped["b/kernel"]


def test_what_is_not_built_is_refused():
    with pytest.raises(ValueError, match="has no weights yet"):
        autoinit(keras.Sequential([L.Dense(3)]))
