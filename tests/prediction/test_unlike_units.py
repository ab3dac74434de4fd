"""Units of unlike variance under a nonlinearity: each has its own, not that of the mean."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction.signal import predict_signal
from keras_initscope.theory.moments import second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import nonlinearity

L = keras.layers
TANH = nonlinearity("tanh")


def _wide(stddev):
    return keras.initializers.RandomNormal(stddev=stddev)


def _square(snapshot, layer, kind="activation"):
    return snapshot.find(kind, layer).values["root_mean_square"] ** 2


@pytest.mark.parametrize(
    ("between", "factor"),
    [(L.Dropout(0.5), 2.0), (L.Rescaling(3.0), 9.0), (L.ActivityRegularization(), 1.0)],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_stands_between_keeps_units_apart(between, factor):
    inputs = keras.Input((64,))
    beside = [L.Dense(256, kernel_initializer=_wide(s))(inputs) for s in (0.01, 1.0)]
    made = L.Activation("tanh", name="t")(between(L.Concatenate()(beside)))
    snapshot = predict_signal(keras.Model(inputs, made), weights="initializers")
    variances = factor * np.array([64 * 1e-4, 64.0])
    assert _square(snapshot, "t") == pytest.approx(
        np.mean(second_moment(TANH, variances)), rel=1e-3
    )


def test_branches_of_unlike_scale_side_by_side():
    inputs = keras.Input((64,))
    small, large = (L.Dense(256, kernel_initializer=_wide(s))(inputs) for s in (0.01, 1.0))
    made = L.Activation("tanh", name="t")(L.Concatenate(name="c")([small, large]))
    snapshot = predict_signal(keras.Model(inputs, made), weights="initializers")
    variances = np.array([64 * 1e-4, 64.0])
    squares, slopes = second_moment(TANH, variances), slope_second_moment(TANH, variances)
    assert _square(snapshot, "t") == pytest.approx(np.mean(squares), rel=1e-3)
    assert _square(snapshot, "c", "activation_gradient") == pytest.approx(np.mean(slopes), rel=1e-3)


@pytest.mark.parametrize("kind", ["kernel", "gamma"])
def test_scales_that_differ_between_units(kind):
    keras.utils.set_random_seed(0)
    layers = [L.Dense(512, name="d"), L.BatchNormalization(name="n")][: 1 + (kind == "gamma")]
    model = keras.Sequential([keras.Input((64,)), *layers, L.Activation("tanh", name="t")])
    factors = np.exp(1.5 * np.random.default_rng(0).normal(size=512))
    layer = model.layers[-2]
    variable = layer.kernel if kind == "kernel" else layer.gamma
    variable.assign(keras.ops.convert_to_numpy(variable.value) * factors)
    kernel = keras.ops.convert_to_numpy(model.layers[0].kernel.value).astype(float)
    variances = 64 * np.mean(kernel**2, axis=0) if kind == "kernel" else factors**2
    snapshot = predict_signal(model)
    # 24 groups of units in place of 512, and columns of 64 weights that differ by chance.
    assert _square(snapshot, "t") == pytest.approx(
        np.mean(second_moment(TANH, variances)), rel=0.02
    )
    slopes = slope_second_moment(TANH, variances)
    at = layer.name
    assert _square(snapshot, at, "activation_gradient") == pytest.approx(np.mean(slopes), rel=0.05)
    if kind == "gamma":
        expected = np.mean(slopes * factors**2) / (64 * np.mean(kernel**2))
        assert _square(snapshot, "d", "activation_gradient") == pytest.approx(expected, rel=0.05)
