"""Each rule on a network that it is made for, and all of them on networks that are well."""

import keras
import numpy as np
import pytest
from diagnosis_networks import FAULTY, HEALTHY, ONE_CAUSE

from keras_initscope import inspect
from keras_initscope.diagnosis import RULES

#: Rules that need a course of training, or a probe: see `test_training.py`.
_IN_COURSE = {"D3", "W4"}
#: Large ones, that take long to trace.
_LARGE = {
    "both ways through padding",
    "convolutions around a bottleneck",
    "gates that begin shut",
    "normalized between recurrent layers",
    "spatial gates",
    "the same at each step",
    "three LSTMs on padded words",
    "GRU on slow trends of 100 steps",
    "attention saturated by what explodes before",
    "bytes into a wide layer",
    "small weights at each step",
    "unscaled inputs before tanh",
    *(name for name in ONE_CAUSE if name.startswith(("GRU", "LSTM"))),
}


def _marked(names):
    return [pytest.param(n, marks=pytest.mark.slow if n in _LARGE else ()) for n in names]


def _codes(network):
    return [finding.code for finding in inspect(*network.compiled()).findings]


def test_every_rule_has_its_network():
    assert set(FAULTY) | _IN_COURSE == set(RULES)
    assert {*HEALTHY, *ONE_CAUSE} > _LARGE


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.parametrize("code", FAULTY)
def test_a_fault_is_named_once(code):
    assert _codes(FAULTY[code]) == [code]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.parametrize("name", _marked(ONE_CAUSE))
def test_one_cause_is_one_finding(name):
    code, network = ONE_CAUSE[name]
    assert _codes(network) == [code]


@pytest.mark.parametrize("name", _marked(HEALTHY))
def test_a_healthy_network_is_left_alone(name):
    assert _codes(HEALTHY[name]) == []


def test_zero_kernels_are_named_and_not_what_is_well_before_them():
    _, network = ONE_CAUSE["zeros in the middle"]
    model, x, y = network.compiled()
    (finding,) = inspect(model, x, y).findings
    assert finding.layers == (model.layers[1].name,)
    assert "zero throughout" in finding.message


def test_targets_are_blamed_where_all_before_them_is_finite():
    model, x, y = FAULTY["F1"].compiled()
    model.compile("sgd", "mse")
    targets = np.eye(model.output_shape[-1])[y]
    targets[0, 0] = np.nan
    (finding,) = inspect(model, x, targets).findings
    assert finding.code == "N1"
    assert "look at the targets" in finding.message


def test_a_few_examples_far_out_say_nothing_of_units():
    """Two of three units are flat for each of them, as by chance in training by single examples."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "tanh")])
    model.add(keras.layers.Dense(1))
    model.layers[0].set_weights([np.eye(3), np.array([9.0, -9.0, 0.0])])
    model.compile("sgd", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    named = [{f.code for f in inspect(model, x[:n], x[:n, :1]).findings} for n in (1, 4, 64)]
    assert ["U1" in codes for codes in named] == [False, False, True]
