"""Transformed and scaled activations: unit moments, any inner activation, networks that survive."""

from dataclasses import asdict

import keras
import numpy as np
import pytest

from keras_initscope.initializers import ScaledOrthogonal
from keras_initscope.layers import RReLU, ScaledActivation, TransformedActivation
from keras_initscope.theory.moments import output_mean, second_moment
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.rectifiers import tat_leaky_relu
from keras_initscope.theory.shaping import dks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
INNER = {
    "by name": "sigmoid",
    "function": keras.activations.mish,
    "none": None,
    "layer": keras.layers.LeakyReLU(0.3),
    "learnt layer": keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.1)),
    "random layer": RReLU(seed=1),
}
Z = np.random.default_rng(0).normal(size=(40_000, 4)).astype("float32")


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("inner", INNER)
def test_a_scaled_activation_has_unit_second_moment_and_if_wanted_no_mean(inner, center):
    layer = ScaledActivation(INNER[inner], center=center)
    theory = layer.nonlinearity
    assert second_moment(theory) == pytest.approx(1, abs=1e-6)
    y = np.asarray(layer(Z, training=True), dtype="float64")
    error = np.std(y**2) / np.sqrt(y.size)
    assert np.mean(y**2) == pytest.approx(1, abs=4 * error)
    if center:
        assert output_mean(theory) == pytest.approx(0, abs=1e-6)
        assert np.mean(y) == pytest.approx(0, abs=4 / np.sqrt(y.size))


@pytest.mark.parametrize("kind", [ScaledActivation, TransformedActivation])
@pytest.mark.parametrize("inner", INNER)
def test_every_inner_activation_survives_a_file(inner, kind, tmp_path):
    model = keras.Sequential([keras.Input((4,)), kind(INNER[inner])])
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(Z[:9]), model(Z[:9]))


def test_what_cannot_be_normalized_is_refused():
    with pytest.raises(ValueError, match="cannot be normalized"):
        ScaledActivation(lambda x: 0 * x)
    with pytest.raises(ValueError, match="cannot be normalized"):
        ScaledActivation(lambda x: 0 * x + 2, center=True)
    with pytest.raises(ValueError, match="not elementwise"):
        ScaledActivation("softmax")
    with pytest.raises(ValueError, match="input_scale=0"):
        TransformedActivation("tanh", input_scale=0)


def test_the_formula_is_that_of_the_docstring():
    layer = TransformedActivation("tanh", 0.5, 0.2, 3.0, -0.1)
    np.testing.assert_allclose(layer(Z), 3 * (np.tanh(0.5 * Z + 0.2) - 0.1), rtol=1e-4, atol=1e-6)


def _deep(activation, depth=50, width=128, draws=6):
    """Log of the second moment and mean pair correlation after a chain, one of each a draw."""
    found = []
    for draw in range(draws):
        weights = ScaledOrthogonal(seed=keras.random.SeedGenerator(draw))
        x = np.random.default_rng(draw).normal(size=(16, width)).astype("float32")
        for _ in range(depth):
            x = activation(x @ np.asarray(weights((width, width))))
        y = np.asarray(x, dtype="float64")
        unit = y / np.linalg.norm(y, axis=1, keepdims=True)
        found.append((np.log(np.mean(y**2)), (unit @ unit.T)[np.triu_indices(16, 1)].mean()))
    return np.array(found).T


def test_fifty_layers_end_at_the_correlation_that_the_transformation_was_chosen_for():
    slope, by = tat_leaky_relu(50, 0.9)
    tailored = TransformedActivation(keras.layers.LeakyReLU(slope), **asdict(by))
    log_q, c = _deep(tailored)
    # A log-normal of mean 1 has its median at exp(-variance / 2).
    error = log_q.std(ddof=1) / np.sqrt(log_q.size)
    assert log_q.mean() == pytest.approx(-log_q.var(ddof=1) / 2, abs=4 * error)
    assert c.mean() == pytest.approx(0.9, abs=0.01 + 4 * c.std(ddof=1) / np.sqrt(c.size))
    plain = _deep(ScaledActivation("relu"))[1]
    assert plain.mean() == pytest.approx(0.98786194, abs=0.01)  # examples have become one
    assert plain.min() > c.max()


def test_fifty_layers_of_tanh_keep_examples_apart_under_deep_kernel_shaping():
    by = dks(nonlinearity("tanh"), 50)
    log_q, c = _deep(TransformedActivation("tanh", **asdict(by)))
    assert np.abs(log_q).max() < 0.5
    assert np.abs(c).max() < 0.2
