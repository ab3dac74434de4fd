"""What the rules find, as a column of a table, and claims about it that can fail."""

import keras
import numpy as np
import pytest

from keras_initscope.presets.findings import findings, is_found, nothing_is_found

ROWS = (
    {"network": "ill", "findings": "F1 U2"},
    {"network": "well", "findings": "-"},
)


@pytest.mark.parametrize(
    ("code", "network", "met"),
    [
        ("F1", "ill", True),
        ("U2", "ill", True),
        ("F3", "ill", False),
        ("F", "ill", False),
        ("F3 or U2", "ill", True),
        ("F3 or B1", "ill", False),
        ("F1", "well", False),
        ("-", "well", False),
    ],
)
def test_a_code_is_found_or_not(code, network, met):
    verdict = is_found(code, "why", network=network).check(ROWS)
    assert verdict.met == met
    assert verdict.measured == met


def test_nothing_is_found_in_a_healthy_network_alone():
    verdict = nothing_is_found("why", network="ill").check(ROWS)
    assert (verdict.measured, verdict.met) == (2, False)
    assert nothing_is_found("why", network="well").check(ROWS).met


def test_the_row_must_be_there():
    with pytest.raises(KeyError, match="Received: 0"):
        is_found("F1", "why", network="other").check(ROWS)


def test_findings_are_those_of_a_look():
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    for start, expected in (("ones", "U3"), ("glorot_normal", "-")):
        hidden = keras.layers.Dense(16, "tanh", kernel_initializer=start)
        model = keras.Sequential([keras.Input((8,)), hidden, keras.layers.Dense(2)])
        assert expected in findings(model, x).split()
