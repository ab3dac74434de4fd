"""Data by name and from arrays; what Keras downloads is replaced by what has its shape."""

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import PresetError, Source
from keras_initscope.presets.sources import AT_HAND, IMAGES, TEXTS

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(3, 2, size=(50, 4, 3))
Y = np.arange(50) % 3


@pytest.mark.parametrize("name", AT_HAND)
def test_what_is_at_hand_is_scaled_and_follows_the_seed(name):
    data = Source.of(name).load(1)
    assert data.train_x.dtype == np.float32
    assert np.mean(data.train_x.astype(float) ** 2) == pytest.approx(1, rel=0.05)
    assert len(data.train_x) == len(data.train_y)
    assert len(data.test_x) == len(data.test_y)
    np.testing.assert_array_equal(data.train_x, Source.of(name).load(1).train_x)
    assert not np.array_equal(data.train_x, Source.of(name).load(2).train_x)


def test_arrays_are_divided_flattened_and_scaled():
    data = Source.of((X, Y)).load(0)
    assert data.train_x.shape == (40, 12)
    assert data.test_x.shape == (10, 12)
    np.testing.assert_allclose(data.train_x.mean(axis=0), 0, atol=1e-6)
    assert np.mean(data.train_x**2) == pytest.approx(1, rel=1e-5)
    assert sorted([*data.train_y, *data.test_y]) == sorted(Y)
    assert data.classes == 3


def test_arrays_that_are_divided_stay_so():
    data = Source.of(((X[:30], Y[:30]), (X[30:], Y[30:, None]))).load(0)
    np.testing.assert_array_equal(data.train_y, Y[:30])
    np.testing.assert_array_equal(data.test_y, Y[30:])
    flat = X.reshape(50, -1)
    mean, size = flat[:30].mean(axis=0), np.sqrt(np.var(flat[:30], axis=0).mean())
    np.testing.assert_allclose(data.test_x, (flat[30:] - mean) / size, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (3, "must be a name such as 'digits', or arrays.*Received: of type int"),
        ((X, Y, Y), "must be a name"),
        ((X, Y[:20]), r"a class for each.*x of shape \(50, 4, 3\)"),
        ((X, Y + 0.5), "an integer from 0 on"),
        ((X, Y - 1), "an integer from 0 on"),
        ((X, np.zeros(50)), "two classes or more"),
        ((np.full_like(X, np.nan), Y), "finite real numbers"),
        ((X[:5], Y[:5]), "at least 10 examples"),
        ((Y, Y), "two axes or more"),
        ((X.astype(str), Y.astype(str)), "an integer from 0 on"),
    ],
)
def test_arrays_that_cannot_be_learnt_are_refused(arrays, message):
    with pytest.raises(PresetError, match=message):
        Source.of(arrays)


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_numbers_of_any_size_are_scaled(factor):
    data, plain = (Source.of((X * each, Y)).load(0) for each in (factor, 1.0))
    np.testing.assert_allclose(data.train_x, plain.train_x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.test_x, plain.test_x, rtol=1e-5, atol=1e-6)


def test_features_that_are_the_same_in_all_examples_are_zero():
    data = Source.of((np.full_like(X, 0.1), Y)).load(0)
    np.testing.assert_allclose(data.train_x, 0, atol=1e-14)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (((X, Y), (X[:, :2], Y)), r"same shape. Received: \(4, 3\) to train on and \(2, 3\)"),
        ((X, np.where(Y, Y, 10**9)), r"3 classes, the largest of which is 1000000000. Number"),
        ((X, Y * 50), r"numbered 0, 1, 2 and so on.*return_inverse=True"),
        (((X, Y), (X, Y + 2)), None),
        (((X, Y), (X, Y + 5)), "6 classes, the largest of which is 7"),
        ((X + 1j, Y), "finite real numbers.*complex128"),
        ((X, Y + 0j), "y a class for each"),
        ((X[:, :0], Y), "finite real numbers"),
    ],
)
def test_examples_and_classes_fit_together(arrays, message):
    if message is None:
        assert Source.of(arrays).load(0).classes == 5
        return
    with pytest.raises(PresetError, match=message):
        Source.of(arrays)


@pytest.mark.parametrize("name", [*IMAGES, *TEXTS])
def test_what_keras_downloads_comes_in_the_same_form(name, monkeypatch):
    def images():
        x = RANDOM.integers(256, size=(40, 8, 8, 3)).astype("uint8")
        y = (np.arange(40) % 4)[:, None].astype("uint8")
        return (x[:30], y[:30]), (x[30:], y[30:])

    def texts(num_words):
        x = np.array([list(RANDOM.integers(num_words, size=n % 7)) for n in range(40)], object)
        return (x[:30], np.arange(30) % 2), (x[30:], np.arange(10) % 2)

    loader = texts if name in TEXTS else images
    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", loader)
    data = Source.of(name).load(0)
    assert data.train_x.shape == (30, 1000 if name in TEXTS else 192)
    assert data.test_x.shape[0] == 10
    assert data.train_y.shape == (30,)
    assert np.mean(data.train_x**2) == pytest.approx(1, rel=1e-4)


def test_without_a_network_it_says_so(monkeypatch):
    def offline():
        raise Exception("URL fetch failure on https://... : None -- [Errno -3] name resolution")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", offline)
    with pytest.raises(PresetError, match=r"downloads once: URL fetch failure.*use 'digits' or"):
        presets.build("he-2015", data="mnist", depth=2).data()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "no data 'digit'. Did you mean 'digits'"),
        ("california_housing", "a table of prices, and the presets learn classes"),
        ("nothing_like_it", "Known without a network: digits, mnist1d"),
    ],
)
def test_names_that_are_none_are_refused(name, message):
    with pytest.raises(PresetError, match=message):
        Source.of(name)


def test_a_preset_learns_what_it_is_given():
    experiment = presets.build("he-2015", data=(X, Y), depth=2, width=5, steps=50)
    assert experiment.model().input_shape == (None, 12)
    assert experiment.model().output_shape == (None, 3)
    assert experiment.expects == ()
    result = presets.run("he-2015", data=(X, Y), depth=2, width=5, steps=50, seeds=1, record=False)
    assert len(result.rows) == 2
    assert presets.build("he-2015").parameters["data"] == Source("digits")
    assert presets.build("he-2015", data="digits").expects


def test_sources_are_equal_by_name_or_by_the_arrays_themselves():
    arrays = (X, Y)
    assert Source.of("digits") == Source("digits")
    assert Source.of(arrays) == Source.of(arrays)
    assert Source.of(arrays) != Source.of((X, Y.copy()))
    assert str(Source.of(arrays)) == "your arrays"
