"""A stack of layers as one loop gives what the same layers give one after the other."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_initscope.initializers import ScaledOrthogonal
from keras_initscope.presets.scanned import ScannedDense

DEPTH, UNITS, BATCH, NETWORKS = 7, 6, 5, 3
LEAKY = keras.layers.LeakyReLU(0.3)


def _inputs(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def _drawn(layer, shape):
    """The layer, built, with biases other than zero."""
    layer.bias_initializer = keras.initializers.RandomNormal(stddev=0.3, seed=9)
    layer.build(shape)
    return layer


def _one_by_one(layer):
    """Plain `Dense` layers of the same weights."""
    dense = [
        keras.layers.Dense(UNITS, layer.activation, use_bias=layer.use_bias)
        for _ in range(layer.depth)
    ]
    for number, each in enumerate(dense):
        each.build((None, UNITS))
        each.set_weights([np.asarray(weight)[number] for weight in layer.weights])
    return keras.Sequential(dense)


def _gradients(model, x, weights):
    """Of a loss that weighs each output by itself, so that no gradient is that of another."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = model(x)
        loss = tf.reduce_sum(outputs * tf.range(1.0, 1.0 + outputs.shape[-1]) ** 2)
    found = tape.gradient(loss, [x, *(weight.value for weight in weights)])
    return np.asarray(outputs), [np.asarray(each) for each in found]


@pytest.mark.parametrize("activation", ["tanh", "relu", "linear", "selu", LEAKY], ids=str)
@pytest.mark.parametrize("use_bias", [False, True])
def test_outputs_and_gradients_are_those_of_dense_layers(activation, use_bias):
    start = keras.initializers.RandomNormal(stddev=UNITS**-0.5, seed=3)
    layer = ScannedDense(DEPTH, activation, use_bias=use_bias, kernel_initializer=start)
    _drawn(layer, (None, UNITS))
    x = _inputs(BATCH, UNITS)
    plain = _one_by_one(layer)
    expected, (by_x, *by_weights) = _gradients(plain, x, plain.trainable_weights)
    outputs, (by_inputs, *stacked) = _gradients(layer, x, layer.trainable_weights)
    kind = 2 if use_bias else 1
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_inputs, by_x, rtol=1e-4, atol=1e-5)
    for number, found in enumerate(stacked):
        one_by_one = np.stack(by_weights[number::kind])
        np.testing.assert_allclose(found, one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("use_bias", [False, True])
def test_networks_side_by_side_are_networks_of_their_own(use_bias):
    start = keras.initializers.Orthogonal(1.1, seed=keras.random.SeedGenerator(3))
    layer = ScannedDense(DEPTH, use_bias=use_bias, kernel_initializer=start, networks=NETWORKS)
    _drawn(layer, (NETWORKS, None, UNITS))
    assert layer.kernel.shape == (DEPTH, NETWORKS, UNITS, UNITS)
    x = _inputs(NETWORKS, BATCH, UNITS)
    outputs, (by_inputs, *stacked) = _gradients(layer, x, layer.trainable_weights)
    for number in range(NETWORKS):
        alone = ScannedDense(DEPTH, use_bias=use_bias)
        alone.build((None, UNITS))
        alone.set_weights([np.asarray(weight)[:, number] for weight in layer.weights])
        expected, (by_x, *each) = _gradients(alone, x[number], alone.trainable_weights)
        np.testing.assert_allclose(outputs[number], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(by_inputs[number], by_x, rtol=1e-4, atol=1e-5)
        for found, one in zip(stacked, each, strict=True):
            np.testing.assert_allclose(found[:, number], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_fit_is_that_of_dense_layers(activation, jit_compile):
    """Plain gradient descent, the weights after three steps of two batches."""
    start = keras.initializers.Orthogonal(1.3, seed=3)
    layer = ScannedDense(DEPTH, activation, use_bias=True, kernel_initializer=start)
    x, y = _inputs(12, UNITS), _inputs(12, 1) ** 2
    plain = _one_by_one(_drawn(layer, (None, UNITS)))
    after = []
    for inner in (layer, plain):
        head = keras.layers.Dense(1, kernel_initializer=keras.initializers.HeNormal(seed=4))
        model = keras.Sequential([keras.Input((UNITS,)), inner, head])
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit_compile)
        model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
        after.append(inner.trainable_weights)
    moved = [np.asarray(each) for each in after[0]]
    for number, stacked in enumerate(moved):
        expected = np.stack([np.asarray(each) for each in after[1][number::2]])
        np.testing.assert_allclose(stacked, expected, rtol=1e-4, atol=1e-5)
    first = ScannedDense(DEPTH, kernel_initializer=keras.initializers.Orthogonal(1.3, seed=3))
    first.build((None, UNITS))
    assert np.max(np.abs(moved[0] - np.asarray(first.kernel))) > 1e-3


@pytest.mark.parametrize("jit_compile", [False, True])
def test_networks_are_trained_at_once(jit_compile):
    """With the axis of the batch in front, where `fit` wants it, but inside of the loop."""
    inputs = keras.Input((UNITS,))
    shared = keras.layers.Lambda(lambda x: keras.ops.stack([x] * NETWORKS))(inputs)
    stack = ScannedDense(DEPTH, networks=NETWORKS, kernel_initializer=ScaledOrthogonal(seed=1))
    outputs = keras.layers.Lambda(lambda x: keras.ops.transpose(x, (1, 0, 2)))(stack(shared))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
    x = _inputs(12, UNITS)
    y = np.stack([0.3 * x] * NETWORKS, axis=1)
    losses = model.fit(x, y, batch_size=6, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_the_graph_does_not_grow_with_the_depth():
    sizes = []
    for depth in (3, 300):
        layer = ScannedDense(depth)
        layer.build((None, UNITS))
        traced = tf.function(lambda x, layer=layer: tf.gradients(layer(x), [layer.kernel.value, x]))
        graph = traced.get_concrete_function(tf.TensorSpec((None, UNITS))).graph
        sizes.append(len(graph.get_operations()))
    assert sizes[0] == sizes[1]


def test_each_kernel_is_drawn_by_itself():
    layer = ScannedDense(4, kernel_initializer=keras.initializers.Orthogonal(seed=5))
    layer.build((None, UNITS))
    again = ScannedDense(4, kernel_initializer=keras.initializers.Orthogonal(seed=5))
    again.build((None, UNITS))
    kernel = np.asarray(layer.kernel)
    np.testing.assert_array_equal(kernel, np.asarray(again.kernel))
    np.testing.assert_array_equal(kernel[0], keras.initializers.Orthogonal(seed=5)((UNITS, UNITS)))
    for number in range(4):
        identity = kernel[number] @ kernel[number].T
        np.testing.assert_allclose(identity, np.eye(UNITS), atol=1e-5)
        for other in range(number):
            assert np.max(np.abs(kernel[number] - kernel[other])) > 0.1


def test_in_mixed_precision_it_computes_in_half():
    layer = ScannedDense(DEPTH, dtype="mixed_bfloat16", use_bias=True)
    x = _inputs(BATCH, UNITS)
    full = ScannedDense(DEPTH, use_bias=True)
    full.build((None, UNITS))
    layer.build((None, UNITS))
    layer.set_weights(full.get_weights())
    half, gradients = _gradients(lambda x: tf.cast(layer(x), "float32"), x, layer.weights)
    whole, exact = _gradients(full, x, full.weights)
    assert layer(x).dtype == "bfloat16"
    assert all(each.dtype == "float32" for each in gradients)
    scale = 2**-8 * DEPTH * 4  # steps of rounding that add up over the layers
    np.testing.assert_allclose(half, whole, atol=scale * np.abs(whole).max())
    for found, expected in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(found, expected, atol=scale * np.abs(expected).max())


def test_biases_are_drawn_as_asked():
    layer = ScannedDense(
        400, use_bias=True, bias_initializer=keras.initializers.RandomNormal(seed=2)
    )
    layer.build((None, UNITS))
    assert np.std(layer.bias) == pytest.approx(0.05, rel=4 / np.sqrt(2 * 400 * UNITS))
    assert ScannedDense(2, use_bias=True).bias_initializer(3).numpy().tolist() == [0, 0, 0]


def test_it_comes_back_from_its_configuration():
    layer = ScannedDense(
        4, LEAKY, use_bias=True, kernel_initializer="he_normal", bias_initializer="ones", networks=2
    )
    config = keras.saving.serialize_keras_object(layer)
    back = keras.saving.deserialize_keras_object(config)
    assert back.get_config() == layer.get_config()
    assert back.compute_output_shape((2, None, 6)) == (2, None, 6)


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"depth": 0}, None, "depth"),
        ({"depth": 2, "networks": 0}, None, "networks"),
        ({"depth": 2, "activation": "softmax"}, None, "softmax"),
        ({"depth": 2}, (2, None, 6), r"\(batch, units\)"),
        ({"depth": 2, "networks": 2}, (3, None, 6), r"\(2, batch, units\)"),
    ],
)
def test_what_cannot_be_is_refused(arguments, shape, message):
    with pytest.raises(ValueError, match=message):
        ScannedDense(**arguments).build(shape)
