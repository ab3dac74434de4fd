"""What may be changed: what was meant and is not there, what is frozen, what starts alike."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import autoinit, calibrate, pretrain, reinitialize, tailor

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
ACTIONS = {
    "calibrate": lambda model, **options: calibrate(model, X, **options),
    "autoinit": autoinit,
    "reinitialize": reinitialize,
    "pretrain": lambda model, **options: pretrain(model, X, epochs=1, verbose=0, **options),
    "tailor": tailor,
}
ON_WEIGHTS = [name for name in ACTIONS if name != "tailor"]


def _model():
    layers = [L.Dense(8, "relu", name="encoder_1"), L.Dropout(0.0, name="drop")]
    layers += [L.Dense(8, "relu", name="encoder_2"), L.Dense(8, name="head")]
    return keras.Sequential([keras.Input((8,)), *layers])


def _values(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize(
    ("exclude", "says"),
    [
        ("encodr_1", "Received: exclude='encodr_1', which means nothing. Did you mean 'encoder_1"),
        (["head", "^decoder"], r"exclude='\^decoder', which means nothing"),
        (L.Dense(3, name="elsewhere"), "elsewhere.*which means nothing"),
    ],
)
def test_a_name_in_exclude_that_means_nothing_changes_nothing(action, exclude, says):
    model = _model()
    before = _values(model)
    with pytest.raises(ValueError, match=says):
        action(model, exclude=exclude)
    for now, then in zip(_values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_what_is_there_may_hold_no_weight_and_kinds_may_be_missing(action):
    """The first layers of a model, inputs among them, are often excluded as they come."""
    inputs = keras.Input((8,))
    x = L.Dropout(0.0)(L.Dense(8, "relu")(inputs))
    model = keras.Model(inputs, L.Dense(8)(L.Dense(8, "relu", name="kept")(x)))
    frozen = model.layers[1]
    frozen.trainable = False
    exclude = [*model.layers[:3], frozen.name, L.Conv2D, lambda layer: layer.name == "none"]
    before = np.array(model.layers[1].kernel)
    assert action(model, exclude=exclude).changes
    np.testing.assert_array_equal(model.layers[1].kernel, before)


@pytest.mark.parametrize("name", ON_WEIGHTS)
def test_nothing_changed_is_never_said_without_a_reason(name):
    model = _model()
    (note,) = ACTIONS[name](model, exclude=".").notes
    assert "not frozen are excluded" in note
    model.trainable = False
    changes = ACTIONS[name](model)
    assert not changes.changes
    assert "all weights are frozen" in changes.notes[0]
    assert "all weights are frozen" in str(changes)
    assert "no weights" in ACTIONS[name](keras.Sequential([keras.Input((8,)), L.ReLU()])).notes[0]


def _attention(initializer):
    inputs = keras.Input((5, 8))
    attention = L.MultiHeadAttention(2, 4, kernel_initializer=initializer, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    return model, attention


STEPS = np.random.default_rng(1).normal(size=(32, 5, 8)).astype("float32")
SEEDED = {
    "an integer": lambda: keras.initializers.GlorotUniform(seed=3),
    "a generator": lambda: keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(3)),
}


def _sharing():
    """Two models inside of one that share a layer, which has two paths so."""
    shared = L.Dense(8, "relu", name="shared")
    one, other = (
        keras.Sequential(
            [keras.Input((8,)), shared, L.Dense(8, "relu", name=name)], name=f"of_{name}"
        )
        for name in "ab"
    )
    inputs = keras.Input((8,))
    return keras.Model(inputs, L.Dense(2, name="head")(one(inputs) + other(inputs))), one, other


@pytest.mark.parametrize("by", ["layer", "pattern"])
@pytest.mark.parametrize("name", ["calibrate", "autoinit", "reinitialize", "tailor"])
def test_a_shared_layer_is_left_alone_whichever_of_its_holders_is_excluded(name, by):
    for k in (1, 2):
        found = _sharing()
        model, holder = found[0], found[k]
        before = _values(holder), [layer.activation for layer in holder.layers]
        changes = ACTIONS[name](model, exclude=holder if by == "layer" else f"^{holder.name}/")
        assert changes.changes
        for now, then in zip(_values(holder), before[0], strict=True):
            np.testing.assert_array_equal(now, then)
        assert [layer.activation for layer in holder.layers] == before[1]


def test_a_rule_is_found_by_each_path_of_a_shared_layer():
    model, one, _ = _sharing()
    changes = reinitialize(model, [("^of_b/shared/kernel", "ones")])
    assert not changes.notes
    assert changes.find("of_a/shared/kernel").what == "Ones"
    assert np.all(np.asarray(one.layers[0].kernel) == 1)


def test_layers_of_one_name_beside_each_other_are_told_apart():
    class Named(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = L.Dense(8, name="d"), L.Dense(8, name="d")

        def call(self, x):
            return self.second(self.first(x))

    model = Named()
    model(X)
    changes = reinitialize(model, exclude="^d/")
    assert [change.path for change in changes.changes] == ["d_1/kernel", "d_1/bias"]


@pytest.mark.parametrize("name", ["calibrate", "autoinit", "pretrain"])
def test_where_biases_alone_are_free_the_reason_is_said(name):
    model = _model()
    model.quantize("int8", filters=lambda layer: isinstance(layer, L.Dense))
    before = _values(model)
    changes = ACTIONS[name](model)
    assert not changes.changes
    assert "there is no kernel among the weights" in changes.notes[0]
    for now, then in zip(_values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("seed", SEEDED)
@pytest.mark.parametrize("action", [reinitialize, lambda model: calibrate(model, STEPS)])
def test_query_and_key_that_start_alike_are_drawn_apart(action, seed):
    model, attention = _attention(SEEDED[seed]())
    query, key = attention._query_dense, attention._key_dense
    assert np.array_equal(query.kernel, key.kernel)  # Keras copies the initializer by its config
    changes = action(model)
    assert not changes.notes
    assert abs(np.corrcoef(np.ravel(query.kernel), np.ravel(key.kernel))[0, 1]) < 0.5


@pytest.mark.parametrize(
    "action", [autoinit, lambda model: calibrate(model, STEPS, orthogonal=False)]
)
def test_kernels_that_keep_their_directions_are_said_to_be_alike(action):
    model, _ = _attention(keras.initializers.GlorotUniform(seed=3))
    note = action(model).notes[0]
    assert "attention/query/kernel, attention/key/kernel, attention/value/kernel" in note
    assert "`reinitialize` draws each anew" in note
    reinitialize(model)
    assert "bit for bit" not in " ".join(action(model).notes)


def test_layers_that_share_an_initializer_are_said_to_be_alike():
    one = keras.initializers.HeNormal()  # not seeded: as Keras has it, an object repeats itself
    layers = [L.Dense(8, kernel_initializer=one, name=name) for name in "abc"]
    layers += [L.Dense(8, kernel_initializer="zeros") for _ in range(2)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    (note,) = calibrate(model, X, orthogonal=False).notes
    assert "bit for bit: a/kernel, b/kernel, c/kernel." in note
