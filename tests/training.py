"""Trainings with a monitor and without, and what they leave."""

import random
import warnings
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops


@dataclass
class Trained:
    """A model after training, all of its numbers in exact bits and what was said meanwhile."""

    model: object
    state: list
    history: list
    said: list


def train(model, compiled, fits, monitors=()):
    """Compile a fresh model and fit it.

    Args:
        model: A model that is not compiled.
        compiled: Arguments of `compile`.
        fits: Arguments of each `fit`.
        monitors: Callbacks.
    """
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        model.compile(**compiled)
        history = [
            repr(model.fit(**each, verbose=0, callbacks=list(monitors)).history) for each in fits
        ]
    said = [str(each.message) for each in recorded]
    said = [each for each in said if "VarianceMonitor" in each or "not measured" in each]
    return Trained(model, state_of(model), history, said)


def fresh(build, policy="float32", seed=7):
    """A model from the same seeds and under the same names each time."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def state_of(model):
    """Weights, seeds, metrics and what optimizers hold, and where the global generators stand."""
    variables = [*model.variables, *model.optimizer.variables]
    variables += getattr(model, "second", model.optimizer).variables
    state = [np.asarray(ops.convert_to_tensor(variable)) for variable in variables]
    state.append(np.asarray(keras.random.randint((4,), 0, 1 << 30)))
    state.append(np.asarray([np.random.random(), random.random()]))  # noqa: NPY002
    return state


def assert_same_training(watched, plain):
    """Bit for bit."""
    assert watched.history == plain.history
    assert len(watched.state) == len(plain.state)
    for mine, theirs in zip(watched.state, plain.state, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_nothing_left(watched, plain):
    """A model that was watched is in nothing unlike its twin that was not."""
    assert type(watched.model.train_function) is type(plain.model.train_function)
    mine, theirs = (_parts(each.model) for each in (watched, plain))
    assert list(map(_description, mine)) == list(map(_description, theirs))
    if isinstance(plain.model, keras.Sequential) or hasattr(plain.model, "operations"):
        assert _json(watched.model) == _json(plain.model)


def _json(model):
    try:
        return model.to_json()
    except NotImplementedError as error:  # Keras' word on classes that define no `get_config`
        return type(error).__name__


def _parts(model):
    return [model, model.optimizer, *model._flatten_layers(include_self=False)]


def _description(part):
    """What hangs on an object, and what of it is called."""
    held = {key: type(value) for key, value in vars(part).items()}
    paths = [variable.path for variable in getattr(part, "variables", [])]
    activation = getattr(part, "activation", None)
    return held, paths, getattr(activation, "__qualname__", type(activation))


def class_attributes():
    """The functions of the classes that are hooked while a step is traced."""
    classes = [keras.layers.Layer, *keras.optimizers.Adam.__mro__, keras.optimizers.SGD]
    classes += [keras.optimizers.LossScaleOptimizer, *keras.Variable.__mro__]
    return {(c, name): value for c in classes for name, value in vars(c).items() if callable(value)}
