"""The public gain and criticality over anything that acts as an activation."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_initscope.prediction.gains import Criticality, criticality, gain


@pytest.mark.parametrize(
    "activation",
    ["relu", keras.activations.relu, layers.ReLU(), layers.Dense(3, activation="relu"), ops.relu],
    ids=["name", "function", "layer", "fused", "op"],
)
def test_one_activation_has_one_gain_in_every_form(activation):
    for mode in ("forward", "backward", "average", "geometric"):
        assert gain(activation, mode) == pytest.approx(np.sqrt(2), rel=1e-11)


def test_a_gain_keeps_the_signal_of_a_wide_network():
    width, depth = 1024, 8
    scale = gain("elu") ** 2
    z = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(64, width)), "float32")
    for seed in range(depth):
        initializer = keras.initializers.VarianceScaling(scale, "fan_in", "normal", seed=seed)
        z = ops.matmul(keras.activations.elu(z), initializer((width, width)))
    # sqrt(5 / width) a layer at most; a gain 5 % off would end at 0.6 or 1.6.
    assert float(ops.mean(z**2)) == pytest.approx(1.0, abs=np.sqrt(5 * depth / width))


def test_a_gradient_shrinks_by_chi_1_a_layer():
    found = criticality("tanh", bias_variance=0.0, weight_variance=1.4)
    width, depth = 768, 6
    rng = np.random.default_rng(1)
    h = np.sqrt(found.q) * rng.normal(size=(32, width))
    kernels = [rng.normal(size=(width, width)) * np.sqrt(1.4 / width) for _ in range(depth)]
    slopes = []
    for kernel in kernels:
        slopes.append(1 - np.tanh(h) ** 2)
        h = np.tanh(h) @ kernel
    delta = rng.normal(size=h.shape)
    before = np.mean(delta**2)
    for kernel, slope in zip(reversed(kernels), reversed(slopes), strict=True):
        delta = slope * (delta @ kernel.T)
    factor = (np.mean(delta**2) / before) ** (1 / depth)
    assert factor == pytest.approx(found.chi_1, rel=0.04)


def test_criticality_is_a_record_that_warns_of_the_gated_ones():
    for activation in ("gelu", layers.Activation("silu"), keras.activations.mish):
        found = criticality(activation)
        assert isinstance(found, Criticality)
        assert found.case == "unstable"
        assert found.variance_slope > 1
        assert "What helps" in str(found)


def test_criticality_of_a_function_is_that_of_its_row():
    named, found = criticality("tanh"), criticality(ops.tanh)
    for field in ("critical_weight_variance", "bias_variance", "q", "variance_slope"):
        assert getattr(found, field) == pytest.approx(getattr(named, field), rel=1e-9)


@pytest.mark.parametrize("function", [gain, criticality])
def test_softmax_has_neither(function):
    with pytest.raises(ValueError, match="softmax is not elementwise"):
        function("softmax")
