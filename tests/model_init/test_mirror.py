"""Mirror images are transposes, to the last row of the padding: <y, A x> = <A' y, x>."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope.model_init.mirror import mirror, transposed

RNG = np.random.default_rng(0)
GEOMETRIES = [
    (size, width, stride, rate)
    for size, width, stride, rate in product((7, 8), (1, 3), (1, 2, 3), (1, 2))
    if stride == 1 or rate == 1
]


def _assert_transposed(layer, shape):
    x = RNG.normal(size=shape).astype("float32")
    y = layer(x)
    u = RNG.normal(size=y.shape).astype("float32")
    back = u
    for part in mirror(layer, shape, use_bias=False):
        if not part.built:
            part.build(back.shape)
        if part.weights:
            part.kernel.assign(layer.kernel)
        back = part(back)
    assert back.shape == shape
    there, here = float(np.sum(u * np.asarray(y))), float(np.sum(x * np.asarray(back)))
    scale = float(np.linalg.norm(x) * np.linalg.norm(back))
    assert there == pytest.approx(here, abs=1e-6 * scale)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("size", "width", "stride", "rate"), GEOMETRIES)
def test_the_mirror_image_of_a_convolution_is_its_transpose(size, width, stride, rate, padding):
    options = {"strides": stride, "dilation_rate": rate, "padding": padding, "use_bias": False}
    _assert_transposed(L.Conv1D(4, width, **options), (2, size, 3))


def test_that_of_a_dense_layer_too():
    layer = L.Dense(4, use_bias=False)
    x, u = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5, 4))
    layer(x)
    (part,) = mirror(layer, x.shape, use_bias=False)
    part.build(u.shape)
    part.kernel.assign(transposed(layer, layer.kernel))
    np.testing.assert_allclose(part(u), u @ np.asarray(layer.kernel.value).T, atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_over_two_axes_of_different_kinds_too(padding):
    layer = L.Conv2D(4, (3, 2), strides=(2, 3), padding=padding, use_bias=False)
    _assert_transposed(layer, (2, 8, 7, 3))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_over_three_axes_of_different_kinds_too(padding):
    layer = L.Conv3D(4, (3, 2, 1), strides=(2, 1, 3), padding=padding, use_bias=False)
    _assert_transposed(layer, (2, 8, 5, 7, 3))


@pytest.mark.parametrize(("size", "window"), [(8, 2), (9, 2), (10, 3)])
def test_average_pooling_is_undone_by_its_transpose_but_for_the_factor(size, window):
    pool, few = L.AveragePooling2D(window), size // window
    x, back = RNG.normal(size=(2, size, size, 3)), RNG.normal(size=(2, few, few, 3))
    there = float(np.sum(back * np.asarray(pool(x))))
    for part in mirror(pool, x.shape):
        back = part(back)
    assert there == pytest.approx(float(np.sum(x * np.asarray(back))) / window**2, abs=1e-3)


@pytest.mark.parametrize("kind", [L.MaxPooling1D, L.AveragePooling3D])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_comes_back_to_any_shape(kind, padding):
    shape = (2, *(7,) * (1 if "1D" in kind.__name__ else 3), 3)
    back = kind(3, strides=2, padding=padding)(RNG.normal(size=shape))
    for part in mirror(kind(3, strides=2, padding=padding), shape):
        back = part(back)
    assert back.shape == shape


def test_padding_is_cut_off():
    x = RNG.normal(size=(2, 4, 5, 3)).astype("float32")
    layer = L.ZeroPadding2D(((1, 2), (0, 3)))
    (part,) = mirror(layer, x.shape)
    np.testing.assert_array_equal(part(layer(x)), x)


def test_sizes_that_are_not_known_stay_open():
    conv = L.Conv2D(4, 3, strides=2, padding="same")
    (part,) = mirror(conv, (None, None, None, 3))
    assert part(keras.Input((None, None, 4))).shape == (None, None, None, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "says"),
    [
        (L.Conv2D(4, 3, groups=2), (2, 8, 8, 4), "in groups"),
        (L.Conv1D(4, 3, strides=2, data_format="channels_first"), (2, 3, 8), "channels first"),
    ],
)
def test_what_keras_has_no_layer_for_is_said(layer, shape, says):
    with pytest.raises(ValueError, match=says):
        mirror(layer, shape)
