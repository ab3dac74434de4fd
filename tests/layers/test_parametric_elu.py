"""The parametric ELU: an ELU at first, two numbers learnt, never below the paper's bound."""

import keras
import numpy as np
import pytest

from keras_initscope.fans import fans_of
from keras_initscope.layers import LeCunTanh, ParametricELU

X = np.linspace(-5, 5, 201, dtype="float32").reshape(-1, 3)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (2.0, 0.5), (0.1, 3.0)])
def test_the_formula_is_that_of_the_paper(alpha, beta):
    expected = np.where(X >= 0, alpha / beta * X, alpha * np.expm1(np.minimum(X, 0) / beta))
    np.testing.assert_allclose(ParametricELU(alpha, beta)(X), expected, rtol=1e-5, atol=1e-6)


def test_two_numbers_are_learnt_and_stay_above_the_bound():
    layer = ParametricELU()
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(X, -5 + 0 * X, epochs=5, verbose=0)  # pulls alpha up and beta to the bound
    assert float(layer.alpha.value) != 1
    model.fit(X, 0 * X, epochs=20, verbose=0)  # pulls alpha to zero
    assert float(layer.alpha.value) == pytest.approx(0.1)
    assert float(layer.beta.value) >= np.float32(0.1)


def test_its_nonlinearity_follows_what_it_has_learnt():
    layer = ParametricELU(0.5, 2.0)
    assert layer.nonlinearity.name == "parametric_elu(alpha=0.5, beta=2)"
    layer.build((None, 3))
    layer.alpha.assign(2.0)
    assert layer.nonlinearity.name == "parametric_elu(alpha=2, beta=2)"


def test_its_parameters_have_no_fans():
    layer = ParametricELU()
    layer.build((None, 3))
    assert all(weight.fans is None and "activation" in weight.reason for weight in fans_of(layer))


@pytest.mark.parametrize("bad", [{"alpha": 0.05}, {"beta": -1.0}, {"alpha": "1"}])
def test_parameters_below_the_bound_are_refused(bad):
    with pytest.raises(ValueError, match=r"at least 0\.1\. Received: (alpha|beta)="):
        ParametricELU(**bad)


def test_lecun_tanh_keeps_unit_inputs_and_bends_most_there():
    layer = LeCunTanh()
    np.testing.assert_allclose(layer(np.array([-1.0, 1.0])), [-1, 1], atol=1e-4)
    x = np.linspace(0.2, 2, 181)
    curvature = np.abs(np.gradient(np.gradient(layer.nonlinearity.f(x), x), x))[5:-5]
    assert x[5:-5][np.argmax(curvature)] == pytest.approx(1, abs=0.02)


def test_lecun_tanh_is_saved_with_its_policy():
    layer = LeCunTanh(dtype=keras.DTypePolicy("mixed_float16"))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.dtype_policy.name == "mixed_float16"
