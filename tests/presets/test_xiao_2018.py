"""xiao-2018 in small: its loops against automatic differentiation, and claims that can fail."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_initscope import presets
from keras_initscope.presets import xiao_2018
from keras_initscope.presets.circular_convs import DELTA, GAUSSIAN
from keras_initscope.presets.xiao_2018 import COSINE
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.meanfield import chi_1, correlation_map
from keras_initscope.theory.nonlinearities import nonlinearity

DEPTH = 6


@pytest.fixture(scope="module")
def experiment():
    return presets.build("xiao-2018", seed=2, depth=DEPTH)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return presets.run("xiao-2018", tmp_path_factory.mktemp("xiao"), seed=2, depth=DEPTH)


@pytest.mark.parametrize("start", [GAUSSIAN, DELTA])
def test_table_and_gradient_are_those_of_the_model(experiment, result, start):
    trial = experiment.trials[start](2)
    x = tf.constant(trial.data.train_x)
    image, hidden = trial.model.layers
    kernel, bias = (tf.convert_to_tensor(weight) for weight in hidden.weights)
    with tf.GradientTape() as tape:
        tape.watch(x)
        state = image(x)
        for number in range(DEPTH):
            state = _circular(state, kernel[number]) + bias[number]
            state = tf.tanh(state)
        noise = xiao_2018._noise(state.shape, 2)
        loss = tf.reduce_sum(state * noise)
    np.testing.assert_allclose(trial.model(x), state, rtol=1e-4, atol=1e-5)
    gradient = tape.gradient(loss, x)
    row = next(row for row in result.rows if row["kernels"] == start)
    assert row["signal"] == pytest.approx(_mean_square(state) / _mean_square(x), rel=1e-4)
    expected = _mean_square(gradient) / _mean_square(noise)
    assert row["gradient"] == pytest.approx(expected, rel=1e-4)


def test_a_saved_model_reloads(experiment, tmp_path):
    model = experiment.model(DELTA)
    model.save(tmp_path / "deep.keras")
    again = keras.models.load_model(tmp_path / "deep.keras")
    x = experiment.data().train_x
    np.testing.assert_array_equal(again(x), model(x))
    assert again.layers[-1].get_config() == model.layers[-1].get_config()


def _circular(images, kernel):
    """By the definition: each tap of the window multiplies the image rolled its way."""
    return sum(
        tf.roll(images, (1 - i, 1 - j), (1, 2)) @ kernel[i, j] for i in range(3) for j in range(3)
    )


def _mean_square(values):
    return float(np.mean(np.square(values, dtype="float64")))


def test_the_kernels_are_critical(experiment):
    gaussian, delta = (
        experiment.model(start).get_layer("hidden").get_weights()[0] for start in (GAUSSIAN, DELTA)
    )
    phi = nonlinearity("tanh")
    for kernel, spread in ((gaussian, np.sqrt(2 / gaussian.size)), (delta, 1e-6)):
        weights = 9 * 32 * np.mean(kernel.astype("float64") ** 2)
        assert float(chi_1(phi, 1 / DEPTH, weights)) == pytest.approx(1, rel=4 * spread)
    middle = delta[:, 1, 1]
    assert np.sum(delta**2) == pytest.approx(np.sum(middle**2))
    for number in range(DEPTH):
        gram = middle[number] @ middle[number].T
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(32), atol=1e-5)
        assert number == 0 or np.max(np.abs(middle[number] - middle[0])) > 0.1


def test_inputs_have_the_cosine(experiment, result):
    x = experiment.data().train_x.astype("float64")
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (x @ x.T)[np.triu_indices(16, 1)]
    assert np.mean(cosines) == pytest.approx(COSINE, abs=4 * (1 - COSINE**2) / np.sqrt(2048))
    assert result.rows[0]["cosine_before"] == pytest.approx(np.mean(cosines), rel=1e-5)


def test_theory_keeps_the_cosine_at_any_depth():
    """The correlation map at the critical point moves it by less than a thousandth in all."""
    phi = nonlinearity("tanh")
    for depth in (2000, 10_000):
        q = 1 / depth
        point = critical_line(phi, q)
        variances = (float(point.weight_variance), float(point.bias_variance))
        step = float(correlation_map(phi, COSINE, q, *variances)) - COSINE
        assert abs(depth * step) < 1e-3


@pytest.mark.parametrize(("depth", "decades", "spread"), [(2000, -6.9, 1.6), (10_000, -53, 4)])
def test_the_law_of_gaussian_kernels_that_the_preset_quotes(depth, decades, spread):
    """Of 64 frequencies of an 8 x 8 image 4 are real; the others are 30 conjugate pairs.

    A vector grows by the square of a Gaussian one of as many numbers, real or complex, over their
    number; critical weights add 2 / L a layer.
    """
    random, drawn = np.random.default_rng(0), []
    for _ in range(60):
        pairs = np.log(random.gamma(32, 1 / 32, size=(30, depth))).sum(axis=1)
        real = np.log(random.gamma(16, 1 / 16, size=(4, depth))).sum(axis=1)
        logs = np.concatenate([pairs, pairs, real])
        top = logs.max()
        drawn.append((top + np.log(np.mean(np.exp(logs - top))) + 2) / np.log(10))
    assert np.mean(drawn) == pytest.approx(decades, abs=4 * spread / np.sqrt(60))
    assert np.std(drawn) == pytest.approx(spread, rel=4 / np.sqrt(2 * 60))


def test_a_gradient_of_nothing_is_infinitely_off():
    assert xiao_2018._factor([1.0, 0.0]) == float("inf")
    assert xiao_2018._factor([1.0, 0.5, 4.0]) == 4.0
    assert xiao_2018._factor([1.0, 0.125, 4.0]) == 8.0


@pytest.mark.parametrize("value", [1e-4, 0.87, 10.0])
def test_its_claims_tell_one_kind_of_kernels_from_the_other(value):
    columns = ("signal_factor", "gradient", "gradient_factor", "cosine")
    rows = [{"kernels": start, **dict.fromkeys(columns, value)} for start in (GAUSSIAN, DELTA)]
    met = [claim.check(rows).met for claim in presets.get("xiao-2018").expects]
    assert not all(met)


def test_depths_that_the_points_do_not_divide(tmp_path, monkeypatch):
    """Segments of two lengths give what one segment gives."""
    monkeypatch.setattr(xiao_2018, "POINTS", 4)
    several = presets.run("xiao-2018", tmp_path, seed=2, depth=DEPTH)
    monkeypatch.setattr(xiao_2018, "POINTS", 1)
    one = presets.run("xiao-2018", tmp_path, seed=2, depth=DEPTH)
    for a, b in zip(several.rows, one.rows, strict=True):
        for column in ("signal", "gradient", "cosine"):
            assert a[column] == pytest.approx(b[column], rel=1e-4)
