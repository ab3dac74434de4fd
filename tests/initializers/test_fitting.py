"""Every layer kind whose fans Keras takes from a misleading shape, cured by the true ones."""

import keras
import numpy as np
import pytest
from initializers.reading import gram, numbers

from keras_initscope.fans import fans_of
from keras_initscope.initializers import (
    DeltaOrthogonal,
    Dirac,
    GainScaling,
    ScaledOrthogonal,
)
from keras_initscope.initializers.fitting import fitted

L = keras.layers


DEFECTS = {  # layer, shape of its inputs: Keras' variance scaling gives .01 to .43 instead of 1
    "depthwise 64": (lambda: L.DepthwiseConv2D(3), (10, 10, 64)),
    "depthwise 1d": (lambda: L.DepthwiseConv1D(5), (20, 64)),
    "separable 64": (lambda: L.SeparableConv2D(64, 3), (10, 10, 64)),
    "separable 1d": (lambda: L.SeparableConv1D(64, 5), (20, 64)),
    "transposed": (lambda: L.Conv2DTranspose(64, 3), (10, 10, 16)),
    "transposed by 2": (lambda: L.Conv2DTranspose(32, 4, strides=2), (9, 9, 16)),
    "transposed 1d": (lambda: L.Conv1DTranspose(64, 4, strides=2), (20, 32)),
    "transposed 3d": (lambda: L.Conv3DTranspose(16, 2, strides=2), (5, 5, 5, 16)),
    "grouped": (lambda: L.Conv2D(64, 3, groups=8), (10, 10, 64)),
    "attention": (lambda: L.EinsumDense("abc,cde->abde", (None, 8, 16)), (6, 64)),
    "expanding": (lambda: L.Dense(256), (64,)),
    "embedding": (lambda: L.Embedding(1000, 64), None),
}
CURES = {
    "lecun": keras.initializers.LecunNormal,
    "gain": lambda seed: GainScaling(None, "fan_in", "uniform", seed=seed),
    "orthogonal": keras.initializers.Orthogonal,
}
STANDARD_ERROR = 0.0125  # .05 is four of them


def _interior(y, layer):
    if "Transpose" not in type(layer).__name__:
        return y
    stride = layer.strides[0]
    margin = -(-(layer.kernel_size[0] - 1) // stride) * stride
    for axis in range(1, y.ndim - 1):
        size = (y.shape[axis] - 2 * margin) // stride * stride
        y = np.take(y, np.arange(margin, margin + size), axis=axis)
    return y


def _output_variances(kind, cure):
    """One number a draw of the weights, as many as bring their mean close enough."""
    make, shape = DEFECTS[kind]
    layer, rng = make(), np.random.default_rng(1)
    layer.build(None if shape is None else (None, *shape))
    found = []
    while len(found) < 8 or np.std(found) / np.sqrt(len(found)) > STANDARD_ERROR:
        for weight in fans_of(layer):
            if weight.fans is not None:
                seed = int(rng.integers(2**31))
                initializer = fitted(CURES[cure](seed=seed), weight.fans)
                weight.variable.assign(initializer(weight.variable.shape))
        x = np.arange(1000) if shape is None else rng.normal(size=(16, *shape)).astype("float32")
        found.append(np.mean(_interior(np.asarray(layer(x)), layer) ** 2))
    return found


@pytest.mark.parametrize("cure", CURES)
@pytest.mark.parametrize("kind", DEFECTS)
def test_with_true_fans_the_output_variance_is_one(kind, cure):
    assert 0.95 <= np.mean(_output_variances(kind, cure)) <= 1.05


IN_PLACE = {  # what a user passes, who knows the layout of the kernel
    "depthwise": (
        lambda **axes: L.DepthwiseConv2D(3, depthwise_initializer=ScaledOrthogonal(**axes)),
        {"input_axes": (0, 1), "output_axes": (3,)},
    ),
    "transposed": (
        lambda **axes: L.Conv2DTranspose(64, 3, kernel_initializer=GainScaling(None, **axes)),
        {"input_axes": (0, 1, 3), "output_axes": (2,)},
    ),
    "transposed by 2": (
        lambda **fans: L.Conv2DTranspose(
            64, 4, strides=2, kernel_initializer=GainScaling(None, **fans)
        ),
        {"fans": (4 * 4 * 16 / (2 * 2), 4 * 4 * 64)},
    ),
}


@pytest.mark.parametrize("kind", IN_PLACE)
def test_axes_and_fans_can_be_given_where_the_layer_is_made(kind):
    make, known = IN_PLACE[kind]
    found = {}
    for given in (True, False):
        samples = []
        for draw in range(12):
            keras.utils.set_random_seed(draw)
            layer = make(**(known if given else {}))
            x = keras.random.normal((8, 11, 11, 16), seed=draw)
            samples.append(np.mean(_interior(np.asarray(layer(x)), layer) ** 2))
        found[given] = np.mean(samples)
        error = np.std(samples, ddof=1) / np.sqrt(len(samples))
        if given:
            assert found[given] == pytest.approx(1, abs=4 * error + 1e-6)
    assert abs(found[False] - 1) > 0.25


def test_grouped_convolutions_are_scaled_by_the_outputs_of_a_group():
    layer = L.Conv2D(64, 3, groups=8)
    layer.build((None, 10, 10, 64))
    kernel = fans_of(layer)[0]
    initializer = keras.initializers.VarianceScaling(1.0, "fan_out", seed=1)
    values = numbers(fitted(initializer, kernel.fans)(kernel.variable.shape))
    assert np.mean(values**2) * 9 * 64 / 8 == pytest.approx(1, abs=4 * np.sqrt(2 / values.size))


@pytest.mark.parametrize("inner", [keras.initializers.Orthogonal, ScaledOrthogonal])
def test_fitted_to_gates_an_orthogonal_kernel_is_orthogonal_in_each(inner):
    layer = L.LSTM(24)
    layer.build((None, 5, 7))
    for weight in fans_of(layer):
        if weight.fans is not None:
            values = numbers(fitted(inner(seed=1), weight.fans)(weight.variable.shape))
            for part in np.split(values, 4, axis=1):
                assert np.mean(np.sum(part**2, axis=0)) == pytest.approx(1, rel=1e-5)
    for part in np.split(values, 4, axis=1):
        np.testing.assert_allclose(gram(part), np.eye(24), atol=1e-5)


WINDOWS = {
    "conv": (lambda: L.Conv1D(24, 3), (20, 16)),
    "grouped": (lambda: L.Conv2D(24, 3, groups=2), (9, 9, 16)),
    "depthwise": (lambda: L.DepthwiseConv2D(3), (9, 9, 16)),
    "transposed": (lambda: L.Conv2DTranspose(24, 3), (9, 9, 16)),
    "attention": (lambda: L.EinsumDense("abcd,cde->abe", (None, 24)), (6, 4, 8)),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_delta_orthogonal_is_told_which_axes_are_a_window(kind):
    make, shape = WINDOWS[kind]
    layer = make()
    layer.build((None, *shape))
    kernel = fans_of(layer)[0]
    values = numbers(fitted(DeltaOrthogonal(seed=1), kernel.fans)(kernel.variable.shape))
    squares = np.sum(values**2, axis=kernel.fans.input_axes)
    assert np.mean(squares) == pytest.approx(1, rel=1e-5)
    assert np.all(values[0] == 0) == (kind != "attention")


HANDING_ON = {
    "plain": (lambda: L.Conv2D(16, 3, padding="same"), (9, 9, 16)),
    "even": (lambda: L.Conv1D(16, 4, padding="same"), (9, 16)),
    "grouped": (lambda: L.Conv2D(16, 3, padding="same", groups=4), (9, 9, 16)),
    "depthwise": (lambda: L.DepthwiseConv2D(3, padding="same"), (9, 9, 16)),
    "transposed": (lambda: L.Conv2DTranspose(16, 3, padding="same"), (9, 9, 16)),
    "separable": (lambda: L.SeparableConv2D(16, 3, padding="same"), (9, 9, 16)),
    "heads": (lambda: L.EinsumDense("abc,cde->abde", (None, 4, 4)), (9, 16)),
}


@pytest.mark.parametrize("initializer", [Dirac(), keras.initializers.Identity()])
@pytest.mark.parametrize("kind", HANDING_ON)
def test_fitted_an_identity_hands_on_all_channels(kind, initializer):
    """By the shape alone a grouped kernel hands on one group, a depthwise one a single channel."""
    make, shape = HANDING_ON[kind]
    layer = make()
    layer.build((None, *shape))
    for weight in fans_of(layer):
        if weight.fans is not None:
            weight.variable.assign(fitted(initializer, weight.fans)(weight.variable.shape))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_array_equal(np.reshape(layer(x), x.shape), x)


def test_groups_that_a_user_gave_stay_as_they_are():
    layer, given = L.Conv2D(16, 3, groups=4), Dirac(groups=4)
    layer.build((None, 9, 9, 16))
    fans = fans_of(layer)[0].fans
    np.testing.assert_array_equal(fitted(given, fans)((3, 3, 4, 16)), given((3, 3, 4, 16)))
    plain = L.Conv2D(16, 3)
    plain.build((None, 9, 9, 16))
    assert fitted(given, fans_of(plain)[0].fans) is given


def test_fitted_an_identity_is_one_in_each_gate_and_each_channel_has_its_own():
    layer = L.GRU(5, dtype="bfloat16", recurrent_initializer="zeros")
    layer.build((None, 3, 2))
    recurrent = next(w for w in fans_of(layer) if w.variable.name == "recurrent_kernel")
    values = fitted(keras.initializers.Identity(0.5), recurrent.fans)((5, 15), "bfloat16")
    np.testing.assert_array_equal(numbers(values), np.tile(0.5 * np.eye(5), 3))
    several = L.DepthwiseConv1D(3, depth_multiplier=2)
    several.build((None, 9, 4))
    kernel = numbers(fitted(Dirac(2.0), fans_of(several)[0].fans)((3, 4, 2)))
    assert np.count_nonzero(kernel) == 4
    np.testing.assert_array_equal(kernel[1, :, 0], [2, 2, 2, 2])


def test_what_has_no_fans_stays_and_a_generator_is_shared():
    layer = L.Dense(3)
    layer.build((None, 4))
    fans = fans_of(layer)[0].fans
    normal = keras.initializers.RandomNormal(seed=1)
    assert fitted(normal, fans) is normal
    generator = keras.random.SeedGenerator(1)
    assert fitted(GainScaling("relu", seed=generator), fans).seed is generator
    unseeded = GainScaling("relu")
    np.testing.assert_array_equal(fitted(unseeded, fans)((4, 3)), unseeded((4, 3)))


def test_without_a_seed_query_and_key_differ_with_one_they_do_not():
    """Keras copies the initializer for each projection, with its seed: leave the seed out."""
    for seed, same in ((1, True), (keras.random.SeedGenerator(1), True), (None, False)):
        layer = L.MultiHeadAttention(2, 4, kernel_initializer=GainScaling(None, seed=seed))
        layer.build((None, 5, 8), (None, 5, 8))
        equal = np.array_equal(layer.query_dense.kernel, layer.key_dense.kernel)
        assert equal == same
