"""What every activation layer of the package can do, found by scan."""

import inspect

import keras
import numpy as np
import pytest

import keras_initscope as initscope
from keras_initscope import layers
from keras_initscope.activations import as_nonlinearity
from keras_initscope.theory.moments import second_moment

# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates; saving does so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = [getattr(layers, name) for name in layers.__all__]
RANDOM_KINDS = [kind for kind in KINDS if "seed" in inspect.signature(kind).parameters]
REQUIRED = {  # what a class cannot guess
    "ScaledActivation": {"activation": "gelu"},
    "TransformedActivation": {"activation": "gelu", "input_scale": 0.9, "output_shift": 0.2},
}
LEARNT = {"ParametricELU"}
X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")


def _made(kind, **more):
    return kind(**REQUIRED.get(getattr(kind, "__name__", ""), {}), **more)


def _model(kind, jit=False):
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(6, kernel_initializer=keras.initializers.HeNormal(seed=1)),
            _made(kind, **({"seed": 2} if kind in RANDOM_KINDS else {})),
            keras.layers.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed=3)),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit)
    return model


def _trained(kind, jit):
    model = _model(kind, jit)
    history = model.fit(X, X[:, :1], epochs=3, batch_size=8, shuffle=False, verbose=0)
    return model, history.history["loss"]


def test_all_layers_are_exported():
    assert "RReLU" in layers.__all__
    assert set(REQUIRED) | LEARNT <= set(layers.__all__)


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_training_with_a_seed_repeats_exactly(kind, jit):
    model, losses = _trained(kind, jit)
    again, losses_again = _trained(kind, jit)
    assert losses == losses_again
    assert losses[-1] < losses[0]
    for mine, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine.value, theirs.value)


@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_randomness_is_in_training_only_and_new_at_each_step(kind):
    layer = kind(seed=1)
    first, second = (np.asarray(layer(X, training=True)) for _ in range(2))
    assert np.any(first != second)
    np.testing.assert_array_equal(layer(X), layer(X))
    np.testing.assert_array_equal(kind(seed=1)(X, training=True), first)
    assert np.any(np.asarray(kind(seed=2)(X, training=True)) != first)


@pytest.mark.parametrize("kind", [*RANDOM_KINDS, lambda seed: keras.layers.Dropout(0.5, seed=seed)])
def test_a_loaded_layer_starts_its_random_sequence_anew_as_dropout_does(kind, tmp_path):
    layer = kind(seed=1)
    model = keras.Sequential([keras.Input((8,)), layer])
    first, second = (np.asarray(model(X, training=True)) for _ in range(2))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(X, training=True), first)
    np.testing.assert_array_equal(copy(X, training=True), second)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_output_is_in_the_compute_dtype(kind, training, policy):
    layer = _made(kind, dtype=policy)
    output = layer(X, training=training)
    assert keras.backend.standardize_dtype(output.dtype) == layer.compute_dtype
    assert bool(layer.trainable_variables) == (kind.__name__ in LEARNT)
    reference = _made(kind, dtype="float32")(X)
    if not training:
        np.testing.assert_allclose(
            keras.ops.cast(output, "float32"), reference, rtol=2e-2, atol=2e-2
        )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_trains_in_mixed_precision(kind, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        _, losses = _trained(kind, jit=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 4, 3), (2, 1, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_any_rank_keeps_its_shape(kind, shape):
    layer = _made(kind)
    assert layer(np.ones(shape, "float32"), training=True).shape == shape
    assert tuple(layer.compute_output_shape(shape)) == shape
    assert layer(keras.Input(shape[1:])).shape == (None, *shape[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_integers_are_taken_as_numbers(kind):
    integers = np.array([[-2, 0, 3]])
    np.testing.assert_array_equal(_made(kind)(integers), _made(kind)(integers.astype("float32")))


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip(kind):
    layer = _made(kind, name="activation")
    copy = kind.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    own = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    assert set(own) <= set(layer.get_config())


@pytest.mark.parametrize("kind", KINDS)
def test_keras_file_round_trip(kind, tmp_path):
    model = _model(kind)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert type(copy.layers[1]) is kind
    assert copy.layers[1].get_config() == model.layers[1].get_config()
    np.testing.assert_array_equal(copy(X), model(X))


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_supported(kind):
    assert _made(kind).supports_masking
    model = keras.Sequential([keras.layers.Masking(), _made(kind), keras.layers.LSTM(3)])
    sequence = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    padded = np.concatenate([sequence, np.zeros((2, 3, 4), "float32")], axis=1)
    np.testing.assert_allclose(model(padded), model(sequence), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_its_nonlinearity_is_the_function_it_computes(kind):
    layer = _made(kind)
    x = np.linspace(-4, 4, 201)
    theory = layer.nonlinearity
    np.testing.assert_allclose(layer(x.astype("float32")), theory.f(x), rtol=1e-5, atol=1e-6)
    assert layer.nonlinearity is theory
    assert as_nonlinearity(layer) is theory
    between = x[:-1] + 0.013  # no kink there
    slopes = (theory.f(between + 1e-6) - theory.f(between - 1e-6)) / 2e-6
    np.testing.assert_allclose(theory.df(between), slopes, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_model_with_it_is_predicted(kind):
    model = _model(kind)
    snapshot = initscope.predict_signal(model, weights="initializers")
    name = model.layers[1].name
    predicted = snapshot.profile("activation", "root_mean_square")[name]
    received = snapshot.profile("activation", "root_mean_square")[model.layers[0].name]
    assert predicted**2 == pytest.approx(
        float(second_moment(model.layers[1].nonlinearity, received**2)), rel=1e-9
    )


@pytest.mark.parametrize("kind", KINDS)
def test_keras_takes_it_as_an_activation_by_object_and_dictionary(kind, tmp_path):
    """As a string it does not; if that fails, the docstring of the room wants a word less."""
    name = f"keras_initscope>{kind.__name__}"
    named = {"class_name": name, "config": REQUIRED.get(kind.__name__, {})}
    assert type(keras.layers.deserialize(named)) is kind
    for given in (_made(kind), named):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation=given)])
        assert type(model.layers[0].activation) is kind
        model.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
        assert type(copy.layers[0].activation) is kind
        np.testing.assert_array_equal(copy(X), model(X))
        clone = keras.models.clone_model(model)
        assert clone.layers[0].activation.get_config() == model.layers[0].activation.get_config()
    with pytest.raises(ValueError, match="activation function identifier"):
        keras.layers.Dense(3, activation=name)


@pytest.mark.parametrize("kind", KINDS)
def test_documented_as_keras_does(kind):
    text = inspect.getdoc(kind)
    for section in ("Formula:", "Args:", "Call arguments:", "Example:", "Reference:", "```python"):
        assert section in text
