"""Tables and numbers as text."""

import pytest

from keras_initscope.text import aligned, bulleted, fitted, markdown_table, number_text, shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (1.0, "1.00"),
        (0.1234, "0.123"),
        (123.4, "123"),
        (1234.5, "1.23e+03"),
        (1.2e-30, "1.20e-30"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number_text(value) == text


def test_columns_are_aligned():
    table = aligned(["name", "n"], [["a", "10"], ["long one", "2"]], [True, False])
    assert table.splitlines() == ["name       n", "--------  --", "a         10", "long one   2"]


def test_markdown_does_not_break_at_a_bar():
    table = markdown_table(["name", "n"], [["a|b", "1"]], [True, False])
    assert table.splitlines() == ["| name | n |", "| :-- | --: |", "| a\\|b | 1 |"]


def test_both_ends_of_a_long_text_are_kept():
    assert shortened("block2/residual/dense_1", 12) == "block2…nse_1"
    assert shortened("dense", 5) == "dense"


@pytest.mark.parametrize("length", [5, 30, 200])
def test_a_fitted_table_is_as_wide_as_it_may_be(length):
    cells = [["x" * length, "y" * length, "1"]]
    rows = fitted(["a", "b", "number"], cells, (0, 1), 60)
    width = len(aligned(["a", "b", "number"], rows, [True] * 3).splitlines()[1])
    assert width == min(60, 2 * length + 10)
    assert rows[0][2] == "1"


def test_narrow_columns_give_way_no_further():
    rows = fitted(["a", "b"], [["x" * 50, "y" * 50]], (0,), 20)
    assert rows == [["xxxxx…xxxx", "y" * 50]]


def test_points_are_wrapped_where_asked():
    assert bulleted(["one two three"]) == "- one two three"
    assert bulleted(["one two three"], 9) == "- one two\n  three"
