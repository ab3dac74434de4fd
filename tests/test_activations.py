"""Names, functions and layers of Keras as nonlinearities, against Keras' own values."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.theory.nonlinearities import NOT_ELEMENTWISE, nonlinearity

X = np.linspace(-9.013, 9.017, 1801)
SINGLE_IN_TENSORFLOW = {"gelu", "leaky_relu"}  # whose constants TensorFlow rounds to single


def _values_and_slopes(activation):
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = activation(x)
    return y.numpy(), tape.gradient(y, x).numpy()


def _keras_activations():
    for name in sorted(vars(keras.activations)):
        function = getattr(keras.activations, name)
        if callable(function) and name not in ("get", "serialize", "deserialize"):
            yield name


ELEMENTWISE = [
    functools.partial(keras.activations.threshold, threshold=0.3, default_value=-0.1)
    if name == "threshold"
    else getattr(keras.activations, name)
    for name in _keras_activations()
    if name not in NOT_ELEMENTWISE
]
PARAMETRIC = [
    functools.partial(keras.activations.relu, negative_slope=0.1, max_value=3.0, threshold=1.0),
    functools.partial(keras.activations.relu, max_value=0.5, threshold=1.0),
    functools.partial(keras.activations.relu, negative_slope=0.1, max_value=6.0),
    functools.partial(keras.activations.leaky_relu, negative_slope=0.3),
    functools.partial(keras.activations.elu, alpha=0.3),
    functools.partial(keras.activations.celu, alpha=0.3),
    functools.partial(keras.activations.squareplus, b=0.5),
    functools.partial(keras.activations.soft_shrink, threshold=1.5),
    functools.partial(keras.activations.hard_shrink, threshold=1.5),
    functools.partial(keras.activations.gelu, approximate=True),
]


def _name(activation):
    words = getattr(activation, "keywords", {})
    return getattr(activation, "func", activation).__name__ + "".join(map(str, words.values()))


@pytest.mark.parametrize("activation", ELEMENTWISE + PARAMETRIC, ids=_name)
def test_rows_have_the_values_and_slopes_of_keras(activation):
    phi = as_nonlinearity(activation)
    values, slopes = _values_and_slopes(activation)
    rounding = 3e-7 if phi.name.split("(")[0] in SINGLE_IN_TENSORFLOW else 1e-13
    np.testing.assert_allclose(phi.f(X), values, rtol=1e-12, atol=rounding)
    np.testing.assert_allclose(phi.df(X), slopes, rtol=1e-11, atol=rounding)


@pytest.mark.parametrize("activation", ELEMENTWISE, ids=_name)
def test_built_in_functions_and_their_names_give_the_row_itself(activation):
    if not isinstance(activation, functools.partial):
        assert as_nonlinearity(activation.__name__) is as_nonlinearity(activation)
        assert as_nonlinearity(activation).name == activation.__name__
    assert as_nonlinearity(activation).error < 1e-13


@pytest.mark.parametrize("name", sorted(NOT_ELEMENTWISE))
@pytest.mark.parametrize("form", ["name", "function", "layer"])
def test_what_is_not_elementwise_says_so(name, form):
    function = getattr(keras.activations, name)
    forms = {"name": name, "function": function, "layer": layers.Activation(name)}
    with pytest.raises(ValueError, match=f"{name} is not elementwise"):
        as_nonlinearity(forms[form])


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (layers.Dense(3, activation="swish"), "silu"),
        (layers.Dense(3), "linear"),
        (layers.Conv2D(3, 3, activation="selu"), "selu"),
        (layers.LSTM(3), "tanh"),
        (layers.Activation("gelu"), "gelu"),
        (layers.Activation(layers.LeakyReLU(negative_slope=0.1)), "leaky_relu(negative_slope=0.1)"),
        (layers.TimeDistributed(layers.Dense(3, activation="tanh")), "tanh"),
        (layers.ReLU(), "relu"),
        (layers.ReLU(6.0, 0.1, 1.0), "relu(negative_slope=0.1, max_value=6, threshold=1)"),
        (layers.LeakyReLU(), "leaky_relu(negative_slope=0.3)"),
        (layers.ELU(0.5), "elu(alpha=0.5)"),
        (layers.PReLU(), "prelu"),
        (layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25)), "prelu"),
        (layers.Lambda(keras.activations.mish), "mish"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_layers_give_their_activation_with_its_parameters(layer, name):
    assert as_nonlinearity(layer).name.startswith(name)


def test_prelu_gives_its_actual_slopes():
    layer = layers.PReLU()
    layer.build((None, 3))
    layer.set_weights([np.array([0.1, 0.2, 0.6])])
    phi = as_nonlinearity(layer)
    np.testing.assert_allclose(phi.f(np.array([-1.0, 1.0])), [-0.3, 1.0], rtol=1e-6)
    assert phi.spread(np.array([-2.0]))[0] == pytest.approx(4 * np.var([0.1, 0.2, 0.6]), rel=1e-6)


def test_prelu_gives_its_initial_slopes_before_it_is_built():
    layer = layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
    phi = as_nonlinearity(layer)
    assert phi.df(np.array([-1.0]))[0] == 0.25
    assert not layer.built


def test_what_has_a_nonlinearity_is_asked_for_it():
    class Rotated(keras.layers.Layer):
        nonlinearity = "sin"

    assert as_nonlinearity(Rotated()) is nonlinearity("sin")
    assert as_nonlinearity(nonlinearity("erf")) is nonlinearity("erf")


def test_nothing_is_the_identity():
    assert as_nonlinearity(None) is nonlinearity("linear")


def test_a_serialized_activation_is_read():
    assert as_nonlinearity(keras.activations.serialize(keras.activations.elu)).name == "elu"
    config = keras.saving.serialize_keras_object(layers.LeakyReLU(negative_slope=0.1))
    assert as_nonlinearity(config).name == "leaky_relu(negative_slope=0.1)"


def test_a_registered_name_is_read():
    @keras.saving.register_keras_serializable("test_activations")
    def shifted_relu(x):
        return ops.relu(x) - 0.5

    assert as_nonlinearity("test_activations>shifted_relu").kinks == (0.0,)


@pytest.mark.parametrize(
    "function",
    [ops.relu, lambda x: ops.maximum(x, 0.0), lambda x: np.maximum(x, 0), lambda x: x * (x > 0)],
    ids=["op", "tensors", "arrays", "masked"],
)
def test_functions_of_tensors_and_of_arrays_are_read_in_double_precision(function):
    phi = as_nonlinearity(function)
    assert phi.kinks == (0.0,)
    assert phi.is_scale_invariant
    assert phi.error < 1e-11


def test_a_function_in_single_precision_says_so():
    phi = as_nonlinearity(lambda x: ops.relu(ops.cast(x, "float32")))
    assert 1e-6 < phi.error < 1e-3


def test_a_function_is_looked_at_once():
    calls = []

    def counted(x):
        calls.append(1)
        return ops.tanh(x)

    first = as_nonlinearity(counted)
    seen = len(calls)
    assert as_nonlinearity(counted) is first
    assert len(calls) == seen


class Snake(keras.layers.Layer):
    def build(self, input_shape):
        self.frequency = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs):
        return inputs + ops.sin(self.frequency * inputs) ** 2 / self.frequency


def test_a_layer_of_ones_own_is_read_with_its_weights_and_left_alone():
    unbuilt, built = Snake(), Snake()
    built.build((None, 4))
    built.frequency.assign(3.0)
    for layer, frequency in ((unbuilt, 1.0), (built, 3.0)):
        exact = X + np.sin(frequency * X) ** 2 / frequency
        np.testing.assert_allclose(as_nonlinearity(layer).f(X), exact, rtol=1e-12, atol=1e-14)
    assert not unbuilt.built
    assert float(built.frequency) == 3.0


def test_a_layer_of_ones_own_can_be_registered():
    class Scaled(keras.layers.Layer):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

    with pytest.raises(ValueError, match="Cannot read the activation of layer"):
        as_nonlinearity(Scaled(2.0))

    @as_nonlinearity.register
    def _(layer: Scaled):
        return nonlinearity("leaky_relu", negative_slope=layer.scale)

    assert as_nonlinearity(Scaled(2.0)).name == "leaky_relu(negative_slope=2)"


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("rleu", r"name='rleu'.*'relu'"),
        (5, "Cannot read this activation. Received: 5"),
        (layers.ReLU, "Cannot read this activation"),
        (keras.activations.threshold, "threshold has no default parameters.*missing"),
        (layers.LayerNormalization(), "Cannot read the activation|not elementwise"),
        (layers.MultiHeadAttention(2, 2), "Cannot read the activation"),
        (lambda x: ops.softmax(x), "depend on each other"),
        (lambda x, y: x + y, "Cannot read the function"),
    ],
    ids=["typo", "number", "class", "parameters", "norm", "attention", "softmax", "two inputs"],
)
def test_what_cannot_be_read_says_why(activation, message):
    with pytest.raises(ValueError, match=message):
        as_nonlinearity(activation)


@keras.saving.register_keras_serializable("tests")
def _bent(x):
    return keras.ops.abs(x) + x


@pytest.mark.parametrize(
    "activation",
    [None, "gelu", keras.activations.mish, _bent, keras.layers.LeakyReLU(0.3)],
    ids=["none", "name", "function", "registered", "layer"],
)
def test_what_is_saved_of_an_activation_is_read_again(activation):
    config = activation_config(activation)
    json.dumps(config)
    x = np.linspace(-3, 3, 11)
    np.testing.assert_allclose(
        as_nonlinearity(config).f(x), as_nonlinearity(activation).f(x), rtol=1e-12
    )
    assert activation_config(config) == config


def test_a_row_of_theory_cannot_be_saved():
    with pytest.raises(ValueError, match="name of an activation"):
        activation_config(as_nonlinearity("relu"))
