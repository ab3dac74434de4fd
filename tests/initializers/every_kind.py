"""Every initializer of the package, found by scan, and how to make one."""

import inspect

import keras

from keras_initscope import initializers

KINDS = [getattr(initializers, name) for name in initializers.__all__]
REQUIRED = {  # what a class cannot guess; the others are usable by their name alone
    "Critical": {"activation": "tanh", "bias_variance": 0.05},
    "CriticalBias": {"activation": "tanh", "bias_variance": 0.05},
    "Fixup": {"branches": 5},
    "GainScaling": {"activation": "gelu"},
    "Kumar": {"activation": "sigmoid"},
    "ResidualScaling": {"branches": 5},
}
DETERMINISTIC = {"Dirac"}


def takes(kind, name):
    """Whether its constructor has this parameter."""
    return name in inspect.signature(kind).parameters


def make(kind, seed=None, **more):
    """One of each kind; a seed goes where the numbers are drawn."""
    more = {**REQUIRED.get(kind.__name__, {}), **more}
    if takes(kind, "seed"):
        return kind(seed=seed, **more)
    if kind is initializers.Gated:
        return kind(keras.initializers.Orthogonal(seed=seed), **more)
    return kind(**more)
