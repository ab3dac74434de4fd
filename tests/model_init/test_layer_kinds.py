"""What Keras starts wrong, kind by kind, started right by one call: variances, gates, seeds."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L  # noqa: N812
from layer_kinds import KINDS, drawn_by_us, output_variances

from keras_initscope import reinitialize
from keras_initscope.initializers import Gated
from keras_initscope.initializers import ScaledOrthogonal as Scaled


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_gives_unit_variance(kind):
    assert 0.95 < np.mean(output_variances(kind, drawn_by_us)) < 1.05


@pytest.mark.parametrize("rule", ["orthogonal", Scaled()])
def test_orthogonal_weights_that_expand_give_unit_variance(rule):
    def redraw(model, number):
        reinitialize(model, rules=[("kernel", rule)], seed=number)

    assert 0.95 < np.mean(output_variances("Dense, expanding", redraw)) < 1.05


def _signal_and_gradient(layer, x, cotangent):
    """Mean squares of the outputs, and of the inputs' gradients where no border is near."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * cotangent)
    inside = tape.gradient(total, x)[:, 2:-2]
    return tf.reduce_mean(y**2), tf.reduce_mean(inside**2)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_a_grouped_convolution_keeps_what_the_mode_says(mode):
    """With `1 / fan_in` the signal, with `1 / fan_out` the gradient, else the mean of both."""
    layer, rng = L.Conv1D(64, 3, groups=8), np.random.default_rng(0)
    model = keras.Sequential([keras.Input((24, 64)), layer])
    measured, found = tf.function(_signal_and_gradient), []
    rule = keras.initializers.VarianceScaling(1.0, mode, "untruncated_normal")
    for seed in range(16):
        reinitialize(model, rules=[("kernel", rule)], seed=seed)
        x, cotangent = (tf.constant(rng.normal(size=(32, n, 64)), tf.float32) for n in (24, 22))
        found.append(measured(layer, x, cotangent))
    signals, gradients = np.transpose(found)
    kept = {"fan_in": signals, "fan_out": gradients, "fan_avg": (signals + gradients) / 2}
    assert np.std(kept[mode]) / 4 < 0.0125
    assert np.mean(kept[mode]) == pytest.approx(1, abs=0.05)


CELLS = {
    "LSTM": (lambda: L.LSTM(24), 4),
    "GRU": (lambda: L.GRU(24), 3),
    "SimpleRNN": (lambda: L.SimpleRNN(24), 1),
    "Bidirectional LSTM": (lambda: L.Bidirectional(L.LSTM(24)), 4),
    "RNN of a cell": (lambda: L.RNN(L.GRUCell(24)), 3),
    "stacked cells": (lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(24), L.LSTMCell(24)])), 4),
}


@pytest.mark.parametrize("kind", CELLS)
def test_each_gate_starts_orthogonal_and_keeps_its_inputs(kind):
    make, gates = CELLS[kind]
    model = keras.Sequential([keras.Input((5, 400)), make()])
    reinitialize(model)
    recurrent = [v for v in model.weights if v.name == "recurrent_kernel"]
    assert len(recurrent) == (2 if kind in ("Bidirectional LSTM", "stacked cells") else 1)
    for weight in recurrent:
        parts = np.split(np.asarray(weight.value), gates, axis=1)
        for part in parts:
            assert np.abs(part.T @ part - np.eye(24)).max() < 1e-5
        assert all(np.abs(one - other).max() > 0.1 for one, other in pairwise(parts))
    for part in np.split(np.asarray(model.weights[0].value), gates, axis=1):
        assert np.mean(part**2) * 400 == pytest.approx(1, abs=4 * np.sqrt(2 / part.size))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("kind", "gates"), [(L.LSTM, 4), (L.GRU, 3)])
def test_recurrent_layers_are_built_and_started_in_half_precision(kind, gates, dtype):
    layer = kind(16, dtype=dtype, recurrent_initializer=Gated("orthogonal", gates))
    model = keras.Sequential([keras.Input((5, 8), dtype=dtype), layer])
    reinitialize(model)
    rounding = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    values = np.asarray(keras.ops.cast(layer.cell.recurrent_kernel, "float32"))
    for part in np.split(values, gates, axis=1):
        np.testing.assert_allclose(part.T @ part, np.eye(16), atol=8 * rounding)


ATTENTION = {
    "MultiHeadAttention": lambda **i: L.MultiHeadAttention(4, 16, **i),
    "GroupQueryAttention": lambda **i: L.GroupQueryAttention(16, 4, 2, **i),
}


@pytest.mark.parametrize("kind", ATTENTION)
def test_projections_of_attention_differ_and_keep_the_signal(kind):
    """An integer seed gives them equal kernels in Keras."""
    inputs = keras.Input((6, 64))
    same = keras.initializers.VarianceScaling(1, seed=1)
    layer = ATTENTION[kind](kernel_initializer=same)
    model = keras.Model(inputs, layer(inputs, inputs))
    _, key, value, _ = kernels = [v for v in model.weights if v.name == "kernel"]
    np.testing.assert_array_equal(key.value, value.value)
    reinitialize(model)
    kernels = [np.asarray(v.value) for v in kernels]
    for i, one in enumerate(kernels):
        assert np.mean(one**2) * 64 == pytest.approx(1, abs=4 * np.sqrt(2 / one.size))
        for other in kernels[i + 1 :]:
            size = min(one.size, other.size)
            assert abs(np.corrcoef(one.ravel()[:size], other.ravel()[:size])[0, 1]) < 0.1


@pytest.mark.parametrize("seed", [None, 1])
def test_layers_that_share_an_initializer_start_apart(seed):
    shared = keras.initializers.HeNormal(seed=seed)
    hidden = [L.Dense(32, kernel_initializer=shared) for _ in range(2)]
    model = keras.Sequential([keras.Input((32,)), *hidden])
    np.testing.assert_array_equal(hidden[0].kernel.value, hidden[1].kernel.value)
    reinitialize(model)
    first, second = (np.ravel(layer.kernel.value) for layer in hidden)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / 32
