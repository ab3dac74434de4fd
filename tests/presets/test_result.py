"""Intervals, cells and tables."""

import math

import pytest

from keras_initscope.presets import Interval, Result, cell

ROWS = (
    {"name": "a", "layer": 1, "value": 0.123456},
    {"name": "bb", "layer": 20, "value": math.nan},
)


def test_interval_is_closed_and_holds_no_nan():
    assert 1 in Interval(low=1, high=2)
    assert 2 in Interval(low=1, high=2)
    assert 2.0000001 not in Interval(low=1, high=2)
    assert math.inf in Interval(low=1)
    assert math.nan not in Interval()


def test_interval_around_takes_the_wider_tolerance():
    assert Interval.around(-2, relative=0.5, absolute=0.1) == Interval(low=-3, high=-1)
    assert Interval.around(2, relative=0.01, absolute=0.5) == Interval(low=1.5, high=2.5)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(low=1, high=2.5), "1 to 2.5"),
        (Interval(low=0.25), "at least 0.25"),
        (Interval(high=1e-20), "at most 1e-20"),
        (Interval(), "any number"),
        (Interval.around(0.0), "0"),
    ],
)
def test_interval_reads_as_words(interval, text):
    assert str(interval) == text


def test_cell_wants_exactly_one_row():
    assert cell("value", name="a", layer=1)(ROWS) == 0.123456
    with pytest.raises(KeyError, match="Received: 0"):
        cell("value", name="c")(ROWS)
    with pytest.raises(KeyError, match="Received: 2"):
        cell("value")(ROWS)


def test_a_result_prints_as_an_aligned_table():
    result = Result(preset="p", seed=0, parameters={}, rows=ROWS, verdicts=(), files=())
    assert str(result).splitlines() == [
        "name  layer   value",
        "----  -----  ------",
        "a         1  0.1235",
        "bb       20     nan",
    ]
