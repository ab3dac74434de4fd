"""A verdict does not move when nothing has changed that matters."""

import keras
import numpy as np
import pytest
from diagnosis_networks import CROSSENTROPY, normal
from keras import layers

from keras_initscope import inspect


def _network(kind, *, width=64, name="net", fused=False, rescaled=1.0):
    """One that vanishes, one that collapses, or one that is well."""
    depth, activation, kernel = {
        "vanishing": (14, "relu", "glorot_uniform"),
        "collapsing": (8, "sigmoid", "he_uniform"),
        "healthy": (10, "tanh", "lecun_normal"),
    }[kind]
    keras.utils.set_random_seed(0)
    hidden = []
    for i in range(depth):
        first = keras.initializers.VarianceScaling(rescaled**2, "fan_in", "truncated_normal")
        initializer = kernel if i else first
        hidden.append(
            layers.Dense(
                width,
                activation if fused else None,
                kernel_initializer=initializer,
                name=f"{name}{i}",
            )
        )
        hidden.extend([] if fused else [layers.Activation(activation)])
    return keras.Sequential([keras.Input((32,)), *hidden, layers.Dense(5)])


def _verdict(model, x, y, loss=CROSSENTROPY):
    model.compile("adam", loss, jit_compile=False)
    return {finding.code for finding in inspect(model, x, y).findings}


def _expected(kind):
    return {"vanishing": {"F1"}, "collapsing": {"F3"}, "healthy": set()}[kind]


KINDS = ("vanishing", "collapsing", "healthy")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_the_size_of_the_loss(kind, factor):
    def loss(y, predictions):
        return factor * CROSSENTROPY(y, predictions)

    assert _verdict(_network(kind), *normal(), loss) == _expected(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_are_rescaled_together_with_the_first_weights(kind):
    x, y = normal()
    model = _network(kind, rescaled=1e-3)
    assert _verdict(model, 1e3 * x, y) == _expected(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_width(kind):
    assert _verdict(_network(kind, width=512), *normal()) == _expected(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", [32, 256])
def test_batch_size(kind, examples):
    assert _verdict(_network(kind), *normal(examples)) == _expected(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(kind):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        assert _verdict(_network(kind), *normal()) == _expected(kind)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_fused_activations(kind):
    model = _network(kind, name="a_layer_of_another_name_", fused=True)
    assert _verdict(model, *normal()) == _expected(kind)


def test_the_order_of_the_examples():
    x, y = normal()
    order = np.random.default_rng(1).permutation(len(x))
    assert _verdict(_network("collapsing"), x[order], y[order]) == {"F3"}
