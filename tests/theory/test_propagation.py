"""Walks through depth against what is known in closed form."""

import numpy as np
import pytest

from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.propagation import propagation


def test_the_signal_of_relu_halves_at_each_layer_of_unit_weights():
    found = propagation(nonlinearity("relu"), 31, 1.0)
    np.testing.assert_allclose(found.q, 2.0 ** -np.arange(31), rtol=1e-12)
    np.testing.assert_allclose(found.gradient, 2.0 ** np.arange(-30, 1), rtol=1e-12)


def test_examples_become_alike_in_relu_as_the_arc_cosine_kernel_says():
    """The correlations after 1, 5, 10 and 50 layers, from inputs that are orthogonal."""
    c = propagation(nonlinearity("relu"), 51, 2.0).c
    expected = [0.31830989, 0.73594635, 0.87153552, 0.98786194]
    np.testing.assert_allclose(c[[1, 5, 10, 50]], expected, atol=1e-7)


def test_small_weights_of_tanh():
    """50 units with weights .01 N(0, 1): the second moment falls by 50 times 1e-4 at each layer."""
    q = propagation(nonlinearity("tanh"), 5, 0.005).q
    np.testing.assert_allclose(q[1:] / q[:-1], 0.005, rtol=0.01)


@pytest.mark.parametrize(("weights", "factor"), [(1.0, 0.0557), (2.0, 0.1010), (12.8, 0.3538)])
def test_the_gradient_of_sigmoid_vanishes_with_glorot_he_and_kumar(weights, factor):
    assert propagation(nonlinearity("sigmoid"), 12, weights).chi[-1] == pytest.approx(
        factor, rel=2e-3
    )


@pytest.mark.parametrize(("name", "factor"), [("relu", 1.4669), ("tanh", 1.1778), ("selu", 1.0716)])
def test_gradients_grow_through_normalization(name, factor):
    found = propagation(nonlinearity(name), 5, 2.0, structure="normalized")
    np.testing.assert_allclose(found.chi, factor, atol=1e-4)
    np.testing.assert_allclose(found.q, 1.0)


def test_residual_branches_add_one_part_each():
    """(1 + 1 / L)^L: 2.594 for ten branches."""
    found = propagation(nonlinearity("relu"), 11, 2.0, structure="residual")
    assert found.q[-1] == pytest.approx((1 + 1 / 11) ** 10)
    assert found.gradient[0] == pytest.approx((1 + 1 / 11) ** 10)


def test_what_overflows_goes_on_as_it_went():
    """GELU far out is ReLU: second moments grow by half the weight variance at each layer."""
    found = propagation(nonlinearity("gelu"), 60, 20.0)
    np.testing.assert_allclose(found.q[31:] / found.q[30:-1], 10.0, rtol=0.01)
    assert np.all(np.isfinite(found.gradient))
