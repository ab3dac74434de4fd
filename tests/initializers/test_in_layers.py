"""Every initializer in layers of every kind: dtypes, copies and files of a whole model, seeds."""

import keras
import numpy as np
import pytest
from initializers.every_kind import DETERMINISTIC, KINDS, make
from initializers.reading import numbers

L = keras.layers
# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates; saving does so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# The fast tests take the dtype that most often cannot be drawn; the copies below are float32.
OTHERS = ("float16", "float32", "float64")
DTYPES = ["bfloat16", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in OTHERS)]


def _model(initializer, dtype):
    """Branches with one layer of each kind, which all have the same initializer."""
    given = {"kernel_initializer": initializer, "dtype": dtype}
    gated = {**given, "recurrent_initializer": initializer}
    by_channel = {"depthwise_initializer": initializer, "dtype": dtype}
    image = keras.Input((6, 6, 4), dtype=dtype, name="image")
    steps = keras.Input((5, 8), dtype=dtype, name="steps")
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    outputs = [
        L.Conv2D(8, 3, groups=2, **given)(image),
        L.Conv2DTranspose(8, 3, strides=2, **given)(image),
        L.DepthwiseConv2D(3, depth_multiplier=4, **by_channel)(image),
        L.SeparableConv2D(
            8, 3, depth_multiplier=4, pointwise_initializer=initializer, **by_channel
        )(image),
        L.Conv1D(8, 3, **given)(steps),
        L.TimeDistributed(L.Dense(8, **given))(steps),
        L.LSTM(8, **gated)(steps),
        L.Bidirectional(L.LSTM(4, **gated))(steps),
        L.MultiHeadAttention(2, 4, **given)(steps, steps),
        L.EinsumDense("abc,bcd->abd", (5, 8), **given)(steps),
        L.Embedding(20, 8, embeddings_initializer=initializer, dtype=dtype)(tokens),
    ]
    return keras.Model([image, steps, tokens], outputs)


def _inputs():
    rng = np.random.default_rng(0)
    image, steps = rng.normal(size=(2, 6, 6, 4)), rng.normal(size=(2, 5, 8))
    return [image, steps, rng.integers(0, 20, (2, 5))]


def _same(one, other):
    pairs = zip(one.weights, other.weights, strict=True)
    return all(np.array_equal(numbers(a), numbers(b)) for a, b in pairs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_all_kinds_are_built_and_called_in_every_dtype(kind, dtype):
    model = _model(make(kind, 1), dtype)
    for weight in model.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == dtype
        assert np.isfinite(numbers(weight)).all()
    for output in model(_inputs()):
        assert np.isfinite(numbers(output)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_integer_seed_gives_clones_and_files_the_same_weights(kind, tmp_path):
    model = _model(make(kind, 1), "float32")
    assert _same(keras.models.clone_model(model), model)
    assert _same(keras.models.model_from_json(model.to_json()), model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save(tmp_path / "model.keras")
    assert _same(keras.saving.load_model(tmp_path / "model.keras"), model)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__name__ not in DETERMINISTIC])
def test_without_a_seed_models_differ_unless_keras_random_seed_is_set(kind):
    def drawn(seed):
        if seed is not None:
            keras.utils.set_random_seed(seed)
        initializer = make(kind)
        return [numbers(initializer(shape)) for shape in ((8, 8), (3, 3, 4, 8))]

    for one, other, apart in zip(drawn(7), drawn(7), drawn(None), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.any(one != apart)
