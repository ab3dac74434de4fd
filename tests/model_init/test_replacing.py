"""Layers that are an activation by their class get another one in place, in any kind of model."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import tailor
from keras_initscope.layers import (
    LeCunTanh,
    ParametricELU,
    RReLU,
    ScaledActivation,
    TransformedActivation,
)
from keras_initscope.model_init.depths import Depths
from keras_initscope.theory.composition import Residual

X = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
MIXED = "only if every activation on the way is transformed"
BY_CLASS = {
    "relu": L.ReLU,
    "relu(max_value=6)": lambda **named: L.ReLU(6.0, **named),
    "relu(negative_slope=0.1, threshold=1)": lambda **named: L.ReLU(None, 0.1, 1.0, **named),
    "leaky_relu(negative_slope=0.3)": L.LeakyReLU,
    "elu": L.ELU,
    "lecun_tanh": LeCunTanh,
    "gelu transformed by": lambda **named: ScaledActivation("gelu", **named),
    "tanh, transformed otherwise": lambda **named: TransformedActivation("tanh", 0.5, **named),
    "leaky_relu(negative_slope=0.1), transformed otherwise": lambda **named: TransformedActivation(
        L.LeakyReLU(0.1), output_scale=2.0, **named
    ),
}


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def _called(model, x=X):
    return keras.ops.convert_to_numpy(model(x))


def _sequential(make, count=3):
    hidden = [layer for _ in range(count) for layer in (L.Dense(8), make())]
    return keras.Sequential([keras.Input((8,)), *hidden, L.Dense(2)])


@pytest.mark.parametrize("name", BY_CLASS)
def test_it_is_an_activation_layer_of_keras_as_if_made_so(name, tmp_path):
    model = _sequential(BY_CLASS[name])
    layer = model.layers[1]
    kind, path, before = type(layer).__name__, layer.name, model.predict(X, verbose=0)
    change = tailor(model).find(path)
    assert (change.kind, change.what.startswith(name)) == (kind, True)
    assert " -> " in change.what
    assert type(layer) is L.Activation
    assert type(layer.activation) is TransformedActivation
    assert layer is model.get_layer(path)
    plain = {
        each for each in vars(layer) if not each.startswith("_self_")
    }  # those are TensorFlow's
    assert plain <= vars(L.Activation("relu")).keys()
    assert not layer._layers
    assert np.abs(_called(model) - before).max() > 1e-3
    _is_the_same_everywhere(model, tmp_path)


def _is_the_same_everywhere(model, tmp_path, x=X):
    """What was traced, saved, cloned and made from the configuration gives what the model gives."""
    expected = _called(model, x)
    # Compiled otherwise than called, in float32, behind output scales of up to 30 in a row.
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5, rtol=1e-5)
    model.save(tmp_path / "m.keras")
    others = [keras.models.load_model(tmp_path / "m.keras"), keras.models.clone_model(model)]
    others.append(type(model).from_config(model.get_config()))
    for other in others:
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(_called(other, x), expected)


def _functional():
    x = inputs = keras.Input((8,))
    for _ in range(2):
        x = L.Add()([x, L.Dense(8)(L.ReLU()(L.Dense(8)(L.ELU()(x))))])
    return keras.Model(inputs, L.Dense(2)(x))


def _nested():
    inner = _sequential(L.LeakyReLU)
    x = L.Dense(2)(inner(inputs := keras.Input((8,))))
    return keras.Model(inputs, x)


def _shared():
    relu, x = L.ReLU(), (inputs := keras.Input((8,)))
    for _ in range(4):
        x = relu(L.Dense(8)(x))
    return keras.Model(inputs, L.Dense(2)(x))


def _wrapped():
    inputs = keras.Input((8,))
    x = L.TimeDistributed(L.ReLU())(L.Dense(8)(L.Reshape((4, 2))(inputs)))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))


@pytest.mark.parametrize(
    ("make", "count", "jit"),
    [
        (_functional, 4, True),
        (_functional, 4, False),
        (_nested, 3, False),
        (_shared, 1, False),
        (_wrapped, 1, False),
    ],
)
def test_models_that_were_compiled_and_run_go_on(make, count, jit, tmp_path):
    model = make()
    model.compile("sgd", "mse", jit_compile=jit)
    model.fit(X, np.zeros((5, 2)), verbose=0)
    model.predict(X, verbose=0)
    changes = tailor(model)
    assert len(changes.changes) == count
    assert MIXED not in str(changes)
    _is_the_same_everywhere(model, tmp_path)
    before = np.mean(_called(model) ** 2)
    assert model.evaluate(X, np.zeros((5, 2)), verbose=0) == pytest.approx(before, rel=1e-4)
    model.fit(X, np.zeros((5, 2)), epochs=3, verbose=0)
    assert np.mean(_called(model) ** 2) < before


class Written(keras.Model):
    def __init__(self, **named):
        super().__init__(**named)
        self.first, self.act, self.last = L.Dense(8), L.ReLU(), L.Dense(2)

    def call(self, x):
        return self.last(self.act(self.first(self.act(self.first(x)))))


def test_a_model_with_code_of_its_own_and_what_saving_it_takes(tmp_path):
    keras.saving.register_keras_serializable("test")(Written)
    model = Written(name="written")
    before = model.predict(X, verbose=0)
    changes = tailor(model)
    assert len(changes.changes) == 1
    assert "its activations anew where it is loaded" in str(changes)
    after = _called(model)
    assert np.abs(after - before).max() > 1e-3
    assert model.predict(X, verbose=0) == pytest.approx(after, abs=1e-6)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    tailor(loaded)
    np.testing.assert_array_equal(_called(loaded), after)


def test_policy_regularizer_and_masks_stay(tmp_path):
    layers = [
        L.Embedding(5, 8, mask_zero=True),
        L.ReLU(dtype="mixed_float16", activity_regularizer="l2"),
        L.ELU(dtype="float64"),
        L.GlobalAveragePooling1D(dtype="float64"),
        L.Dense(2, dtype="float64"),
    ]
    model, tokens = keras.Sequential([keras.Input((4,)), *layers]), np.array([[1, 2, 0, 0]])
    tailor(model)
    assert [type(layer) for layer in layers[1:3]] == [L.Activation] * 2
    assert [layer.dtype_policy.name for layer in layers[1:3]] == ["mixed_float16", "float64"]
    assert layers[1](X).dtype.name == "float16"
    z = np.random.default_rng(1).normal(size=9)
    exact = layers[2].activation.nonlinearity.f(z)
    np.testing.assert_allclose(layers[2](z), exact, rtol=1e-12)
    expected = _called(model, tokens)
    assert len(model.losses) == 1
    padding, *rest = layers[0].get_weights()[0]
    layers[0].set_weights([np.stack([padding + 9, *rest])])
    np.testing.assert_array_equal(_called(model, tokens), expected)
    _is_the_same_everywhere(model, tmp_path, tokens)


def test_quantized_layers_and_maps_of_policies():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="float32")
    policies["net/half"] = keras.DTypePolicy("mixed_float16")
    half = L.ELU(dtype=policies, name="half")
    layers = [L.Dense(8), half, L.Dense(8, "relu"), L.Dense(2)]
    model = keras.Sequential([keras.Input((8,)), *layers], name="net")
    _called(model)
    half.build((None, 8))  # without, Keras gives it no path to look up in the map
    assert half.compute_dtype == "float16"
    layers[2].quantize("int8")
    tailor(model)
    assert half.activation.dtype_policy.name == "mixed_float16"
    assert layers[2].activation.dtype_policy.name == "float32"
    assert np.isfinite(_called(model)).all()


def test_a_class_that_only_names_its_parameters_is_replaced():
    class Capped(L.ReLU):
        def __init__(self, **named):
            super().__init__(max_value=4.0, **named)

    assert len(tailor(_sequential(Capped)).changes) == 3


class Doubled(L.ReLU):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Own(keras.Layer):
    nonlinearity = "relu"

    def call(self, inputs):
        return keras.ops.relu(inputs)


class Halved(L.Activation):
    def call(self, inputs):
        return super().call(inputs) / 2


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (L.PReLU, "its parameters are weights"),
        (ParametricELU, "its parameters are weights"),
        (lambda: L.Activation(L.PReLU()), "its parameters are weights"),
        (RReLU, "it is random"),
        (Doubled, "code of its own"),
        (Own, "code of its own"),
        (lambda: Halved("tanh"), "code of its own"),
        (lambda: L.Activation(Doubled()), "code of its own"),
        (lambda: L.ReLU(trainable=False), "it is frozen"),
    ],
)
def test_what_stays_is_named_and_the_mix_is_said(make, reason):
    left = make()
    layers = [L.Dense(8), left, L.Dense(8), L.ReLU(), L.Dense(2)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    _called(model)  # Keras builds an activation within an activation no sooner
    kind, count = type(left), len(model.weights)
    changes = tailor(model)
    assert (type(left), len(model.weights)) == (kind, count)
    assert reason in changes.skipped[left.name]
    assert [change.path for change in changes.changes] == [layers[3].name]
    (mixed,) = [note for note in changes.notes if MIXED in note]
    assert left.name in mixed


def test_excluded_ones_are_counted_and_named_apart():
    model = _sequential(L.ReLU)
    changes = tailor(model, exclude=model.layers[1])
    assert type(model.layers[1]) is L.ReLU
    assert MIXED not in str(changes)
    assert f"counted as if they were transformed: {model.layers[1].name}." in str(changes)
    alone = tailor(3, "relu")
    assert model.layers[3].activation.output_scale == alone.output_scale


def test_a_shared_activation_that_gives_an_output_too_stays():
    tanh, x = L.Activation("tanh"), (inputs := keras.Input((8,)))
    for _ in range(3):
        x = tanh(L.Dense(8)(x))
    changes = tailor(keras.Model(inputs, x))
    assert not changes.changes
    assert changes.skipped == {tanh.name: "it gives an output of the model"}
    assert MIXED in str(changes)


def test_gates_inside_of_residual_sums_are_not_counted():
    inputs = keras.Input((8,))
    y = L.Dense(8)(L.ReLU()(L.Dense(8)(inputs)))
    gate = L.Dense(8, "sigmoid", name="gate")(y)
    model = keras.Model(inputs, L.Dense(2)(L.Add()([inputs, L.Multiply()([y, gate])])))
    assert Depths(model).structure == (Residual(branch=(1,), shortcut=()),)
    changes = tailor(model)
    assert "left out, and not counted, are their factors: gate" in str(changes)


def test_a_second_call_finds_what_it_has_to_find_and_changes_nothing():
    makes = iter([L.ReLU, lambda: L.Activation("tanh"), lambda: L.Activation("tanh"), L.ELU])
    model = _sequential(lambda: next(makes)(), 4)
    tailor(model)
    kept = [layer.activation for layer in model.layers[1:-1:2]]
    again = tailor(model)
    assert [layer.activation for layer in model.layers[1:-1:2]] == kept
    assert not again.changes
    assert {*again.skipped.values()} == {"it is transformed already, as the depth asks for"}
    assert (len(again.skipped), again.notes) == (4, ())
    fresh = iter([L.ReLU, lambda: L.Activation("tanh"), lambda: L.Activation("tanh"), L.ELU])
    other = _sequential(lambda: next(fresh)(), 4)
    changes = tailor(model, method="DKS")
    tailor(other, method="DKS")  # what lies inside is transformed, not what was made of it
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(_called(model), _called(other))
    assert "tanh, transformed otherwise -> tanh, transformed:" in changes.changes[1].what


def test_what_cannot_be_transformed_is_named_and_all_stays():
    layers = [L.Dense(8), L.ReLU(), L.Dense(8), L.ELU(0.5, name="kinked"), L.Dense(2)]
    model = keras.Sequential([keras.Input((8,)), *layers])
    with pytest.raises(ValueError, match=r"'kinked' cannot be transformed.* by `exclude`"):
        tailor(model)
    assert [type(layer) for layer in layers[1::2]] == [L.ReLU, L.ELU]
    assert len(tailor(model, "relu").changes) == 2


@pytest.mark.parametrize("fused", [False, True])
def test_a_capped_relu_becomes_the_leaky_relu_of_the_depth(fused):
    layers = [L.Dense(8, "relu6")] if fused else [L.Dense(8), L.ReLU(6.0)]
    model = keras.Sequential([keras.Input((8,)), *layers, L.Dense(2)])
    changes = tailor(model)
    made, expected = layers[-1].activation, tailor(1, "relu")
    assert made.output_scale == expected.output_scale
    assert "-> leaky_relu" in changes.changes[0].what


def _conv_bn_relu():
    x = inputs = keras.Input((8, 8, 3))
    for _ in range(4):
        x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(x)))
    return keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling2D()(x)))


APPLICATIONS = {
    "MobileNet": (lambda: keras.applications.MobileNet((32, 32, 3), 0.25, weights=None), 27),
    "ResNet50": (lambda: keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3)), 49),
    "Conv-BN-ReLU": (_conv_bn_relu, 4),
}


@pytest.mark.parametrize(
    "name", ["MobileNet", "Conv-BN-ReLU", pytest.param("ResNet50", marks=pytest.mark.slow)]
)
def test_networks_with_normalization_are_tailored_whole_and_warned_of(name, tmp_path):
    make, count = APPLICATIONS[name]
    model = make()
    size = model.input_shape[1:]
    changes = tailor(model)
    assert len(changes.changes) == count
    assert MIXED not in str(changes)
    assert "takes the place of normalization" in str(changes)
    assert not any(isinstance(layer, L.ReLU) for layer in model.layers)
    x = np.random.default_rng(2).normal(size=(2, *size)).astype("float32")
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(_called(loaded, x), _called(model, x))
