"""A logarithmic axis with a place for zero."""

import math

import pytest

from keras_initscope.writers.log_axis import decades, height


def test_zero_is_at_the_foot_and_what_is_not_finite_is_left_out():
    assert height(0.0, foot=-7.0) == -7.0
    assert height(100.0, foot=-7.0) == pytest.approx(2.0)
    assert math.isnan(height(math.inf, foot=-7.0))
    assert math.isnan(height(math.nan, foot=-7.0))


def test_the_axis_holds_all_positive_values():
    assert decades([0.0, 3e-5, 0.2, math.nan]) == (-5, 0)
    assert decades([1.0]) == (0, 1)
    assert decades([0.0]) == (0, 1)
