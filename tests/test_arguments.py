"""No public initializer or layer takes what it can do nothing with; all are found by scan."""

import inspect
from fractions import Fraction

import keras
import numpy as np
import pytest

from keras_initscope import initializers, layers

KINDS = {name: getattr(initializers, name) for name in initializers.__all__} | {
    name: getattr(layers, name) for name in layers.__all__
}
REQUIRED = {
    "Critical": {"activation": "tanh"},
    "CriticalBias": {"activation": "tanh"},
    "Fixup": {"branches": 5},
    "GainScaling": {"activation": "gelu"},
    "Kumar": {"activation": "sigmoid"},
    "ResidualScaling": {"branches": 5},
    "ScaledActivation": {"activation": "gelu"},
    "TransformedActivation": {"activation": "gelu"},
}
NAN, INF = float("nan"), float("inf")
NO_NUMBERS = ("relu", None, True, False, NAN, INF, -INF, [1.0], 1j, np.array([1.0]), 10**400)
NO_COUNTS = (0, -3, 2.0, "4", True, NAN, [2])
NO_AXES = ("01", 0, [0.5], [True], {0})
BEYOND_SQUARES = (1e200, 1e-200)  # refused where the gain is squared
BAD = {  # of each parameter, what it must not be
    "activation": (3, True, NAN, [], {}, {"a": 1}, "rellu", b"relu", keras.layers.ReLU, object()),
    "alpha": (*NO_NUMBERS, 0.05, -1.0),
    "beta": (*NO_NUMBERS, 0.05, -1.0),
    "bias_variance": (*(each for each in NO_NUMBERS if each is not None), -0.1),
    "branch_layers": (*NO_COUNTS, None, 1),
    "branches": (*NO_COUNTS, None),
    "center": ("yes", None, 1, 0.0, NAN),
    "connections": (*NO_COUNTS, None),
    "distribution": ("normale", 3, None, True, ["uniform"]),
    "fans": (3, (3, -1), (0, 2), (1, 2, 3), "ab", (True, 2), (NAN, 2), (2, INF), (None, 2), ()),
    "gain": (*NO_NUMBERS, 0, -1.0, *BEYOND_SQUARES),
    "gates": NO_COUNTS,
    "groups": (*NO_COUNTS, None),
    "inner": (3, None, True, "zeroz", [], ["zeros", None], ["zeros", 1], {}, keras.layers.Dense),
    "input_axes": NO_AXES,
    "input_scale": (*NO_NUMBERS, 0, 0.0),
    "input_shift": NO_NUMBERS,
    "lower": (*NO_NUMBERS, -0.1, 0.5, 2),
    "mode": ("FAN_IN", "fan", 3, None, ["fan_in"]),
    "output_axes": NO_AXES,
    "output_scale": (*NO_NUMBERS, 0, 0.0),
    "output_shift": NO_NUMBERS,
    "seed": (True, False, 1.5, "one", [1], NAN),
    "upper": (*NO_NUMBERS, -0.1, 0.05, 2),
}
PAIR = {"input_axes": {"output_axes": [1]}, "output_axes": {"input_axes": [0]}}


def _parameters(kind):
    return [name for name in inspect.signature(kind).parameters if name != "kwargs"]


PLACES = [(kind, name) for kind in KINDS for name in _parameters(KINDS[kind])]


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_bad_values_are_refused_where_they_are_given(kind, name):
    for value in BAD[name]:
        if kind == "Dirac" and name == "gain" and value in BEYOND_SQUARES:
            continue
        given = {**REQUIRED.get(kind, {}), **PAIR.get(name, {}), name: value}
        with pytest.raises(ValueError, match=r"(?s)Received: .*") as refusal:
            KINDS[kind](**given)
        said = str(refusal.value)
        assert any(words in said for words in ("Expected", "should be", "must be")), (value, said)


@pytest.mark.parametrize("name", ["input_axes", "output_axes"])
@pytest.mark.parametrize("kind", [kind for kind, name in PLACES if name == "input_axes"])
def test_axes_come_in_pairs(kind, name):
    with pytest.raises(ValueError, match="or neither"):
        KINDS[kind](**REQUIRED.get(kind, {}), **{name: (0,)})


@pytest.mark.parametrize("number", [2, np.float32(2), np.int64(2), Fraction(2)])
def test_numbers_of_every_type_are_taken_and_saved_as_plain_ones(number):
    for made in (
        initializers.ScaledOrthogonal(number),
        initializers.Sparse(gain=number),
        initializers.Dirac(number),
        initializers.Critical("tanh", bias_variance=number),
        layers.ParametricELU(number, number),
        layers.TransformedActivation("tanh", number, number, number, number),
    ):
        config = made.get_config()
        found = [
            config[key]
            for key in ("gain", "alpha", "output_scale", "bias_variance")
            if key in config
        ]
        assert [type(each) for each in found] == [float]
        assert found == [2.0]
    counted = initializers.Fixup(np.int64(3), np.int64(2)).get_config()
    assert type(counted["branches"]) is type(counted["branch_layers"]) is int


def test_it_is_said_how_to_mend_it():
    with pytest.raises(ValueError, match=r"gain='relu'. `keras_initscope.gain\('relu'\)` gives"):
        initializers.ScaledOrthogonal(gain="relu")
