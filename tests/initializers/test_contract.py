"""What every initializer of the package can do, found by scan."""

import inspect

import keras
import numpy as np
import pytest

from keras_initscope import initializers

# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates; saving does so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = [getattr(initializers, name) for name in initializers.__all__]


def test_all_initializers_are_exported():
    assert {"HeAverageNormal", "HeAverageUniform"} <= set(initializers.__all__)


@pytest.mark.parametrize("kind", KINDS)
def test_an_integer_seed_fixes_the_values(kind):
    np.testing.assert_array_equal(kind(seed=1)((20, 30)), kind(seed=1)((20, 30)))
    assert np.any(np.asarray(kind(seed=1)((20, 30))) != np.asarray(kind(seed=2)((20, 30))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_generator_gives_new_values_at_each_call(kind):
    initializer = kind(seed=keras.random.SeedGenerator(1))
    assert np.any(np.asarray(initializer((20, 30))) != np.asarray(initializer((20, 30))))


@pytest.mark.parametrize("kind", KINDS)
def test_unseeded_instances_differ(kind):
    assert np.any(np.asarray(kind()((20, 30))) != np.asarray(kind()((20, 30))))


@pytest.mark.parametrize("kind", KINDS)
def test_keras_takes_it_as_object_name_class_and_config(kind):
    name = f"keras_initscope>{kind.__name__}"
    config = keras.saving.serialize_keras_object(kind(seed=3))
    for identifier in (kind(seed=3), name, kind, config):
        assert type(keras.initializers.get(identifier)) is kind
        layer = keras.layers.Dense(3, kernel_initializer=identifier)
        layer.build((None, 4))
        assert np.std(layer.kernel) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip_gives_the_same_values(kind):
    original = kind(seed=4, input_axes=[0], output_axes=[1])
    copy = kind.from_config(original.get_config())
    assert copy.get_config() == original.get_config()
    assert set(original.get_config()) == set(inspect.signature(kind).parameters)
    np.testing.assert_array_equal(copy((6, 7)), original((6, 7)))


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip_keeps_a_seed_generator(kind):
    original = kind(seed=keras.random.SeedGenerator(5))
    config = keras.saving.serialize_keras_object(original)
    copy = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(copy((6, 7)), original((6, 7)))


@pytest.mark.parametrize("kind", KINDS)
def test_keras_file_round_trip(kind, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, kernel_initializer=kind(seed=6)),
            keras.layers.Dense(2, kernel_initializer=f"keras_initscope>{kind.__name__}"),
        ]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    copy = keras.saving.load_model(path)
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine.value, theirs.value)
    first = copy.layers[0].kernel_initializer
    assert type(first) is kind
    assert first.get_config() == kind(seed=6).get_config()


@pytest.mark.parametrize("kind", KINDS)
def test_documented_as_keras_does(kind):
    text = inspect.getdoc(kind)
    for section in ("Formula:", "Args:", "Example:", "Reference:", "```python"):
        assert section in text
