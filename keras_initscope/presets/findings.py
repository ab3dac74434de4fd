"""What the rules find wrong with the networks of a preset, in a table and among its claims.

Owns the column `findings` of a table: the codes of the rules, separated by spaces, or a dash. A
preset that shows a symptom claims that it is found, and that nothing is in its healthy counterpart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_initscope.inspection import inspect
from keras_initscope.presets.result import Cell, Expectation, Interval, Row, row_of
from keras_initscope.records import Report

COLUMN = "findings"
_NOTHING = "-"


def findings(model: Any, x: Any, y: Any = None, loss: Any = None) -> str:
    """What `inspect` finds, as a cell of the column `findings`.

    Args:
        model: A Keras model, trained or not.
        x: Inputs.
        y: Targets, where a loss is to be differentiated.
        loss: That loss, where the model is not compiled with one.

    Returns:
        Codes of the rules, alarms first, or a dash where nothing is wrong.
    """
    return findings_of(inspect(model, x, y, loss))


def findings_of(report: Report) -> str:
    """The same from a look that was taken already."""
    return " ".join(finding.code for finding in report.findings) or _NOTHING


def is_found(code: str, source: str, **where: Cell) -> Expectation:
    """The claim that a rule finds a symptom in the network of a row.

    Args:
        code: Code of the rule; or several, as `"F3 or B1"`, where the same cause has two symptoms
            and the rules speak of the first that they are sure of.
        source: Why it must.
        **where: Values of columns that single out the row.

    Returns:
        An expectation that measures 1 where it is found and 0 where it is not.
    """
    return Expectation(
        claim=f"{code} is found ({_named(where)})",
        source=source,
        interval=Interval.around(1.0),
        measure=lambda rows: float(bool(set(code.split(" or ")) & set(_codes(rows, where)))),
    )


def nothing_is_found(source: str, **where: Cell) -> Expectation:
    """The claim that nothing is wrong with the network of a row.

    Args:
        source: Why nothing must be.
        **where: Values of columns that single out the row.

    Returns:
        An expectation that measures how many rules found something.
    """
    return Expectation(
        claim=f"findings ({_named(where)})",
        source=source,
        interval=Interval.around(0.0),
        measure=lambda rows: float(len(_codes(rows, where))),
    )


def _codes(rows: Sequence[Row], where: Row) -> list[str]:
    return str(row_of(rows, where)[COLUMN]).replace(_NOTHING, "").split()


def _named(where: Row) -> str:
    return ", ".join(f"{column} {value}" for column, value in where.items())
