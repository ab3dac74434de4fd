"""Each rule on a network that it is made for, and all of them on networks that are well."""

import pytest
from diagnosis_networks import FAULTY, HEALTHY, ONE_CAUSE

from keras_initscope import inspect
from keras_initscope.diagnosis import RULES

#: Rules that need a course of training, or a probe: see `test_training.py`.
_IN_COURSE = {"D3", "W4"}


def _codes(network):
    return [finding.code for finding in inspect(*network.compiled()).findings]


def test_every_rule_has_its_network():
    assert set(FAULTY) | _IN_COURSE == set(RULES)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.parametrize("code", FAULTY)
def test_a_fault_is_named_once(code):
    assert _codes(FAULTY[code]) == [code]


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning")
@pytest.mark.parametrize("name", ONE_CAUSE)
def test_one_cause_is_one_finding(name):
    code, network = ONE_CAUSE[name]
    assert _codes(network) == [code]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_network_is_left_alone(name):
    assert _codes(HEALTHY[name]) == []
