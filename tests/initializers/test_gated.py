"""Kernels of gates: each gate a matrix of its own, in half precision too."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from initializers.reading import gram, numbers

from keras_initscope.initializers import (
    Gated,
    ScaledOrthogonal,
)

L = keras.layers


@pytest.mark.parametrize(("kind", "gates"), [(L.LSTM, 4), (L.GRU, 3)])
@pytest.mark.parametrize("inner", ["orthogonal", ScaledOrthogonal(seed=1)])
def test_each_gate_is_orthogonal_and_differs_from_the_others(kind, gates, inner):
    layer = kind(48, recurrent_initializer=Gated(inner, gates))
    layer.build((None, 5, 7))
    parts = np.split(numbers(layer.cell.recurrent_kernel), gates, axis=1)
    for part in parts:
        np.testing.assert_allclose(gram(part), np.eye(48), atol=1e-5)
    for first, second in pairwise(parts):
        assert np.abs(first - second).max() > 0.1


def test_kernels_of_a_convolutional_lstm_have_gates_too():
    layer = L.ConvLSTM2D(6, 3, recurrent_initializer=Gated())
    layer.build((None, 2, 5, 5, 3))
    for part in np.split(numbers(layer.cell.recurrent_kernel), 4, axis=-1):
        np.testing.assert_allclose(gram(part.reshape(-1, 6)), np.eye(6), atol=1e-5)


def test_a_forget_bias_is_one_initializer_for_each_gate():
    constant = keras.initializers.Constant(2.0)
    bias = Gated(["zeros", constant, "zeros", "zeros"])
    layer = L.LSTM(3, bias_initializer=bias, unit_forget_bias=False)
    layer.build((None, 5, 7))
    np.testing.assert_array_equal(layer.cell.bias, np.repeat([0, 2, 0, 0], 3))
    with pytest.raises(ValueError, match="one for each gate"):
        Gated(["zeros", "ones"], gates=4)


def test_a_kernel_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="divided into 4 gates"):
        Gated()((3, 10))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU])
def test_recurrent_layers_can_be_built_in_half_precision(kind, dtype):
    gates = 4 if kind is L.LSTM else 3
    layer = kind(16, dtype=dtype, recurrent_initializer=Gated("orthogonal", gates))
    assert np.isfinite(numbers(layer(np.ones((2, 3, 5))))).all()
    rounding = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for part in np.split(numbers(layer.cell.recurrent_kernel), gates, axis=1):
        np.testing.assert_allclose(gram(part), np.eye(16), atol=8 * rounding)


def test_keras_alone_cannot_build_one_in_bfloat16():
    """If this fails, Keras has learnt it, and the docstring of `Gated` wants a word less."""
    with pytest.raises(Exception, match="bfloat16"):
        L.LSTM(16, dtype="bfloat16").build((2, 3, 5))
