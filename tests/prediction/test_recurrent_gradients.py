"""Gradients that reach a recurrent layer at several steps add up as they depend on each other."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.state import Gradient, state
from keras_initscope.prediction.transfer import apply

L = keras.layers
STEPS, UNITS, LOOP = 5, 32, 0.6  # LOOP is n Var U


def _linear():
    """`h_t = W x_t + U h_{t-1}` with n Var W = 1: what a gradient meets is known in closed form."""
    scale = keras.initializers.VarianceScaling
    layer = L.SimpleRNN(
        UNITS,
        activation=None,
        return_sequences=True,
        kernel_initializer=scale(1.0),
        recurrent_initializer=scale(LOOP),
    )
    layer.build((None, STEPS, UNITS))
    made = apply(layer, state((STEPS, UNITS), q=1.0, p=0.0))
    kernel, loop = (keras.ops.convert_to_numpy(v.value) for v in layer.cell.weights[:2])
    return made, UNITS * np.mean(np.square(kernel)), UNITS * np.mean(np.square(loop))


@pytest.mark.parametrize("likeness", [0.0, 1.0])
def test_given_gradients_that_are_independent_or_the_same(likeness):
    """`E z_t z_s = sum_k a^k` over the steps after both if all are the same; else `E z_t^2` only.

    `z_t = sum_k (U')^k e_{t+k}`: of equal `e` any power meets only itself.
    """
    made, kernel, loop = _linear()
    ones = np.ones(STEPS)
    pulled = made.pull(Gradient(ones, likeness * ones, None))[0]
    sums = np.cumsum(loop ** np.arange(STEPS))[::-1]
    assert pulled.g == pytest.approx(kernel * sums, rel=1e-6)
    across = likeness * np.minimum.outer(sums, sums)
    np.fill_diagonal(across, sums)
    assert pulled.across == pytest.approx(kernel * across, rel=1e-6)


def test_a_gradient_at_the_last_step_leaves_steps_that_are_independent():
    made, kernel, loop = _linear()
    last = np.array([0.0] * (STEPS - 1) + [1.0])
    pulled = made.pull(Gradient(last, 0 * last, None))[0]
    assert pulled.g == pytest.approx(kernel * loop ** np.arange(STEPS)[::-1], rel=1e-6)
    assert np.count_nonzero(pulled.across - np.diag(pulled.g)) == 0
