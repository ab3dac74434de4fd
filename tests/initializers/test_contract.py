"""What every initializer of the package can do, found by scan."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from initializers.every_kind import DETERMINISTIC, KINDS, REQUIRED, make, takes
from initializers.reading import numbers

from keras_initscope import initializers

# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates; saving does so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RANDOM = [kind for kind in KINDS if kind.__name__ not in DETERMINISTIC]
BY_NAME = [kind for kind in KINDS if kind.__name__ not in REQUIRED]
SHAPE = (20, 32)
DTYPES = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}


def _drawn(kind, *args, **kwargs):
    return numbers(make(kind, *args, **kwargs)(SHAPE))


def test_all_initializers_are_exported():
    assert {"HeAverageNormal", "HeAverageUniform"} <= set(initializers.__all__)
    assert set(REQUIRED) | DETERMINISTIC <= set(initializers.__all__)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_required_is_what_has_no_default(kind):
    parameters = inspect.signature(kind).parameters.values()
    required = {each.name for each in parameters if each.default is inspect.Parameter.empty}
    assert required <= set(REQUIRED.get(kind.__name__, {}))
    assert bool(required) == (kind not in BY_NAME)


@pytest.mark.parametrize("kind", RANDOM)
def test_an_integer_seed_fixes_the_values(kind):
    made = make(kind, 1)
    np.testing.assert_array_equal(made(SHAPE), made(SHAPE))
    np.testing.assert_array_equal(_drawn(kind, 1), _drawn(kind, 1))
    assert np.any(_drawn(kind, 1) != _drawn(kind, 2))


@pytest.mark.parametrize("kind", RANDOM)
def test_a_seed_generator_gives_new_values_at_each_call(kind):
    initializer = make(kind, keras.random.SeedGenerator(1))
    assert np.any(numbers(initializer(SHAPE)) != numbers(initializer(SHAPE)))


@pytest.mark.parametrize("kind", RANDOM)
def test_unseeded_instances_differ(kind):
    assert np.any(_drawn(kind) != _drawn(kind))


@pytest.mark.parametrize("kind", BY_NAME)
def test_keras_takes_it_by_name_and_class(kind):
    for identifier in (f"keras_initscope>{kind.__name__}", kind):
        assert type(keras.initializers.get(identifier)) is kind
        layer = keras.layers.Dense(8, kernel_initializer=identifier)
        layer.build((None, 4))
        assert np.std(layer.kernel) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_keras_takes_it_by_a_dictionary_of_plain_types(kind):
    required = REQUIRED.get(kind.__name__, {})
    named = {"class_name": f"keras_initscope>{kind.__name__}", "config": required}
    made = keras.layers.Dense(8, kernel_initializer=named).kernel_initializer
    assert type(made) is kind
    assert made.get_config() == kind(**required).get_config()


@pytest.mark.parametrize("kind", BY_NAME)
def test_keras_takes_its_bare_name_inside_a_scope_of_custom_objects_alone(kind):
    """If the second half fails, Keras has learnt it, and the docstring of the room wants less."""
    name = kind.__name__
    with keras.saving.custom_object_scope({name: kind}):
        assert type(keras.initializers.get(name)) is kind
    with pytest.raises(ValueError, match=f"initializer identifier: {name}"):
        keras.initializers.get(name)


@pytest.mark.parametrize("kind", KINDS)
def test_keras_takes_it_as_object_and_config(kind):
    config = keras.saving.serialize_keras_object(make(kind, 3))
    for identifier in (make(kind, 3), config):
        assert type(keras.initializers.get(identifier)) is kind
        layer = keras.layers.Dense(8, kernel_initializer=identifier)
        layer.build((None, 4))
        assert np.std(layer.kernel) > 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_come_in_the_dtype_that_is_asked_for(kind, dtype):
    values = make(kind, 3)((64, 64), dtype=dtype)
    assert keras.backend.standardize_dtype(values.dtype) == dtype
    values = numbers(values)
    reference = numbers(make(kind, 3)((64, 64), dtype="float32"))
    # Keras draws other numbers for another dtype: their power is compared, their rounding apart.
    tolerance = 2 * DTYPES[dtype] + (0 if kind.__name__ in DETERMINISTIC else 0.15)
    assert np.mean(values**2) == pytest.approx(np.mean(reference**2), rel=tolerance)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_works_in_a_compiled_function(kind, jit):
    initializer = make(kind, 4)
    compiled = tf.function(lambda: initializer((64, 64)), jit_compile=jit)
    values, eager = compiled().numpy(), numbers(initializer((64, 64)))
    np.testing.assert_array_equal(values, compiled())
    if not jit:
        np.testing.assert_allclose(values, eager, atol=1e-5)
    # XLA has a random generator of its own; for 4096 normal values 0.15 is seven standard errors.
    assert np.mean(values**2) == pytest.approx(np.mean(eager**2), rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip_gives_the_same_values(kind):
    axes = {"input_axes": [0], "output_axes": [1]} if takes(kind, "input_axes") else {}
    fans = {"fans": (20.0, 32.0)} if takes(kind, "fans") else {}
    original = make(kind, 4, **axes, **fans)
    copy = kind.from_config(original.get_config())
    assert copy.get_config() == original.get_config()
    assert set(original.get_config()) == set(inspect.signature(kind).parameters)
    np.testing.assert_array_equal(copy(SHAPE), original(SHAPE))


@pytest.mark.parametrize("kind", RANDOM)
def test_config_round_trip_keeps_a_seed_generator(kind):
    original = make(kind, keras.random.SeedGenerator(5))
    config = keras.saving.serialize_keras_object(original)
    copy = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(copy(SHAPE), original(SHAPE))


@pytest.mark.parametrize("kind", [each for each in KINDS if takes(each, "fans")])
def test_given_fans_replace_those_of_the_shape(kind):
    shape = (32, 32)
    plain = numbers(make(kind, 4)(shape))
    scaled = numbers(make(kind, 4, fans=(8, 8))(shape))
    np.testing.assert_allclose(scaled, 2 * plain, rtol=1e-5)
    with pytest.raises(ValueError, match="two positive numbers"):
        make(kind, fans=(3, -1))


@pytest.mark.parametrize("kind", KINDS)
def test_keras_file_round_trip(kind, tmp_path):
    by_name = f"keras_initscope>{kind.__name__}"
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, kernel_initializer=make(kind, 6)),
            keras.layers.Dense(4, kernel_initializer=by_name if kind in BY_NAME else make(kind)),
        ]
    )
    path = tmp_path / "model.keras"
    model.save(path)
    copy = keras.saving.load_model(path)
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine.value, theirs.value)
    first = copy.layers[0].kernel_initializer
    assert type(first) is kind
    assert first.get_config() == make(kind, 6).get_config()


@pytest.mark.parametrize("kind", KINDS)
def test_documented_as_keras_does(kind):
    text = inspect.getdoc(kind)
    for section in ("Formula:", "Args:", "Example:", "Reference:", "```python"):
        assert section in text
