"""An encoder and its mirror image: shapes, weights, activations, and what pretraining is worth."""

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import pretrain, unroll

RNG = np.random.default_rng(0)
X = (RNG.uniform(size=(256, 3)) @ RNG.uniform(size=(3, 12)) / 3).astype("float32")  # in [0, 1]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


def _chain(*layers, shape=(12,)):
    return keras.Sequential([keras.Input(shape), *layers])


def _array(tensor):
    return np.asarray(keras.ops.convert_to_tensor(tensor))


def test_dense_layers_come_back_transposed_with_the_activations_in_front_of_them():
    layers = L.Dense(8, "tanh"), L.Dense(5), L.Activation("relu"), L.Dense(3, "sigmoid")
    encoder = _chain(*layers)
    before = encoder.get_weights()
    model = unroll(encoder, activation="sigmoid")
    assert model.layers[0] is encoder
    decoder = model.layers[1]
    assert [layer.units for layer in decoder.layers] == [5, 8, 12]
    assert [layer.activation.__name__ for layer in decoder.layers] == ["relu", "tanh", "sigmoid"]
    for new, old in zip(decoder.layers, (layers[3], layers[1], layers[0]), strict=True):
        np.testing.assert_array_equal(_array(new.kernel), _array(old.kernel).T)
        assert not _array(new.bias).any()
    for new, old in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)
    assert model.count_params() == 2 * (12 * 8 + 8 * 5 + 5 * 3) + (8 + 5 + 3) + (5 + 8 + 12)


def test_what_the_autoencoder_learns_the_encoder_learns():
    encoder = _chain(L.Dense(4, "tanh"))
    model, before = unroll(encoder), encoder.get_weights()[0]
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    assert not np.array_equal(encoder.get_weights()[0], before)
    np.testing.assert_allclose(model.layers[1](encoder(X)), model(X), rtol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_convolutions_come_back_in_shape_with_what_lies_between(padding):
    shape = (11, 9, 3)
    encoder = _chain(
        L.ZeroPadding2D(1),
        L.Conv2D(4, 3, padding=padding, name="first"),
        L.BatchNormalization(),
        L.PReLU(shared_axes=(1, 2), alpha_initializer="random_uniform", name="prelu"),
        L.MaxPooling2D(padding=padding),
        L.Conv2D(6, 3, strides=2, padding=padding, activation="tanh", name="second"),
        L.Flatten(),
        L.Dropout(0.5),
        L.Dense(5, name="code"),
        shape=shape,
    )
    model = unroll(encoder)
    decoder = model.layers[1]
    assert model.output_shape == (None, *shape)
    for name in ("first", "second", "prelu"):
        old, new = encoder.get_layer(name), decoder.get_layer(f"{name}_mirrored")
        np.testing.assert_array_equal(new.get_weights()[0], old.get_weights()[0])
    shapes = [tuple(layer.output.shape[1:]) for layer in decoder.layers]
    wanted = [tuple(encoder.get_layer(name).input.shape[1:]) for name in ("second", "prelu")]
    assert next(each for each in shapes if each in wanted) == wanted[0]
    assert decoder.get_layer("prelu_mirrored").output.shape[1:] == wanted[1]
    assert decoder.get_layer("code_mirrored").activation.__name__ == "tanh"


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16"])
def test_the_decoder_has_the_precision_of_the_encoder(policy):
    with_policy = {"dtype": policy}
    encoder = _chain(
        L.Conv1D(3, 3, strides=2, padding="same", activation="tanh", **with_policy),
        L.MaxPooling1D(**with_policy),
        shape=(9, 2),
    )
    model = unroll(encoder, RNG.normal(size=(8, 9, 2)))
    assert {layer.dtype_policy.name for layer in model.layers[1].layers} == {policy}
    assert model(np.zeros((2, 9, 2))).dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_with_data_each_layer_gives_on_average_what_it_should(activation):
    """In front of the activation: exact for one that has none, of the layer's own inputs."""
    first, second = L.Dense(6, "tanh"), L.Dense(4, "sigmoid")
    model = unroll(_chain(first, second), X, activation)
    outer, inner = model.layers[1].layers[::-1]
    h = np.asarray(first(X))
    codes = np.asarray(second(h))
    given = codes @ _array(inner.kernel) + _array(inner.bias)
    np.testing.assert_allclose(given.mean(axis=0), np.arctanh(h.mean(axis=0)), atol=1e-4)
    given, mean = h @ _array(outer.kernel) + _array(outer.bias), X.mean(axis=0)
    wanted = np.log(mean / (1 - mean)) if activation else mean
    np.testing.assert_allclose(given.mean(axis=0), wanted, atol=1e-4)


def test_unrolled_a_pretrained_encoder_gives_back_more():
    """Of the decoder nothing was kept but what the encoder's kernels know."""
    errors, adam = [], keras.optimizers.Adam(0.02)
    for epochs in (0, 3):
        keras.utils.set_random_seed(1)
        encoder = _chain(L.Dense(8, "sigmoid"), L.Dense(4, "sigmoid"))
        pretrain(encoder, X, epochs, optimizer=adam, batch_size=8, verbose=0)
        made = np.asarray(unroll(encoder, X, "sigmoid")(X))
        errors.append(np.mean((made - X) ** 2) / np.mean(np.var(X, axis=0)))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize(
    ("layers", "shape", "says"),
    [
        ([L.LSTM(3, name="lstm")], (4, 2), r"'lstm' has no mirror image.*Received: a LSTM"),
        ([L.Conv2D(4, 2, groups=2, name="pairs")], (4, 4, 2), "'pairs' has no mirror.*in groups"),
        ([L.GlobalAveragePooling1D(name="mean")], (4, 2), "'mean' has no mirror image"),
        ([L.Rescaling(2.0, name="scale")], (4,), "'scale' has no mirror image"),
        (
            [L.MaxPooling1D(data_format="channels_first", name="pool")],
            (2, 4),
            "'pool' has no mirror image: Keras has no UpSampling1D for channels first",
        ),
    ],
)
def test_layers_without_a_mirror_image_are_refused(layers, shape, says):
    with pytest.raises(ValueError, match=says):
        unroll(_chain(*layers, shape=shape))


def test_models_that_are_no_chains_and_data_of_another_shape_are_refused():
    inputs = keras.Input((12,))
    branched = keras.Model(inputs, L.Add()([inputs, L.Dense(12)(inputs)]))
    with pytest.raises(ValueError, match="no chain"):
        unroll(branched)
    with pytest.raises(ValueError, match="has no weights yet"):
        unroll(keras.Sequential([L.Dense(3)]))
    with pytest.raises(ValueError, match=r"'classes' has no mirror image: .* not elementwise"):
        unroll(_chain(L.Dense(3, "softmax", name="classes")), X)
    with pytest.raises(ValueError, match=r"Received: \(256, 5\)"):
        unroll(_chain(L.Dense(3)), X[:, :5])


def test_an_encoder_of_built_layers_that_was_never_called():
    """As after `Sequential(model.layers[:2])`: with data it is built, without them it says how."""
    layers = [L.Dense(5, "sigmoid"), L.Dense(2, "sigmoid")]
    keras.Sequential([keras.Input((8,)), *layers])
    with pytest.raises(ValueError, match=r"has never been called.*model\.build"):
        unroll(keras.Sequential(layers))
    x = np.random.default_rng(0).uniform(size=(32, 8))
    assert unroll(keras.Sequential(layers), x).output_shape == (None, 8)


def test_a_layer_that_is_used_twice_has_two_mirror_images():
    shared, pool = L.Dense(12, "tanh", name="shared"), L.MaxPooling1D(2, name="pool")
    encoder = _chain(shared, shared, L.Reshape((12, 1)), pool, pool)
    decoder = unroll(encoder, X).layers[1]
    names = [layer.name for layer in decoder.layers]
    assert len(set(names)) == len(names)
    first, second = (layer for layer in decoder.layers if isinstance(layer, L.Dense))
    assert first.kernel is not second.kernel
    for layer in (first, second):
        np.testing.assert_array_equal(_array(layer.kernel), _array(shared.kernel).T)


def test_an_activation_that_nobody_knows_is_what_is_refused():
    with pytest.raises(ValueError, match=r"activation.*sigmiod"):
        unroll(_chain(L.Dense(4)), activation="sigmiod")
