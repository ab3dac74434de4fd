"""What a preset claims beforehand, what it gives back, and the verdict on both."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import inf
from pathlib import Path

from keras_initscope.text import cell_text, table_text

Cell = str | int | float
Row = Mapping[str, Cell]


class PresetError(ValueError):
    """What was asked of a preset cannot be done; the message says why and what can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A closed interval of numbers.

    Args:
        low: The smallest number in it.
        high: The largest number in it.

    Example:

    ```python
    from keras_initscope.presets import Interval

    assert 1.05 in Interval.around(1.0, relative=0.1)
    assert float("nan") not in Interval(low=0.0)
    ```
    """

    low: float = -inf
    high: float = inf

    @classmethod
    def around(cls, value: float, *, relative: float = 0.0, absolute: float = 0.0) -> Interval:
        """The interval around a value, as wide as the larger of two tolerances.

        Args:
            value: Its centre.
            relative: Half its width as a share of the value.
            absolute: Half its width.

        Returns:
            The interval.
        """
        width = max(abs(value) * relative, absolute)
        return cls(low=value - width, high=value + width)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if (self.low, self.high) == (-inf, inf):
            return "any number"
        if self.low == self.high:
            return cell_text(self.low)
        if self.low == -inf:
            return f"at most {cell_text(self.high)}"
        if self.high == inf:
            return f"at least {cell_text(self.low)}"
        return f"{cell_text(self.low)} to {cell_text(self.high)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """A number that a preset measures, and where theory puts it.

    Args:
        claim: What the number is, e.g. `"E h^2 of layer 1"`.
        source: Why it must lie in the interval.
        interval: Where theory and its tolerance put it.
        measure: Takes the rows of the result's table, returns the number.
        about: Of parameters that take several values, those that it needs, e.g. `{"depth": (30,)}`:
            it holds with others beside them as well, since they do not touch its rows. Where a
            parameter is not named here, it holds for the value of the protocol alone.
    """

    claim: str
    source: str
    interval: Interval
    measure: Callable[[Sequence[Row]], float]
    about: Mapping[str, Sequence[object]] = field(default_factory=dict)

    def check(self, rows: Sequence[Row]) -> Verdict:
        """Hold the claim against a table.

        Args:
            rows: The rows of the preset's table.

        Returns:
            The verdict.
        """
        measured = float(self.measure(rows))
        return Verdict(
            claim=self.claim, source=self.source, interval=self.interval, measured=measured
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """An expectation after the run.

    Args:
        claim: What the number is.
        source: Why it must lie in the interval.
        interval: Where it was expected.
        measured: What it turned out to be.
        seed: That of the run; `None` where there was one run only.
    """

    claim: str
    source: str
    interval: Interval
    measured: float
    seed: int | None = None

    @property
    def met(self) -> bool:
        """Whether the measured number lies in the interval; a NaN never does."""
        return self.measured in self.interval

    def __str__(self) -> str:
        mark = "met   " if self.met else "FAILED"
        seed = "" if self.seed is None else f", seed {self.seed}"
        return (
            f"{mark} {self.claim}{seed}: {cell_text(self.measured)}, "
            f"expected {self.interval} ({self.source})"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the function of a preset returns.

    Args:
        rows: The table; every row has the same columns.
        files: Files written for the user to look at.
    """

    rows: Sequence[Row]
    files: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a run of a preset gave.

    `print(result)` shows the table and the verdicts; a notebook shows the pictures as well.

    Args:
        preset: Name of the preset.
        seed: The seed it ran with.
        parameters: The values of all its parameters.
        rows: The table; every row has the same columns.
        verdicts: One for each expectation that is about the protocol that was run: with values of
            your own for parameters some are not, or none is.
        files: Files written.
        seconds: How long the run took.
        quick: Whether it was the shorter protocol.
        seeds: From how many seeds the whole preset was run, `seed` the first of them.
        pictures: Names to PNG files, in memory. A notebook shows them below the table.
    """

    preset: str
    seed: int
    parameters: Mapping[str, object]
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    files: tuple[Path, ...]
    seconds: float = 0.0
    quick: bool = False
    seeds: int = 1
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def met(self) -> bool:
        """Whether no expectation failed."""
        return all(verdict.met for verdict in self.verdicts)

    def __str__(self) -> str:
        verdicts = "\n".join(str(verdict) for verdict in self.verdicts)
        return table_text(self.rows) + (f"\n\n{verdicts}" if verdicts else "")

    def _repr_html_(self) -> str:
        images = [
            f'<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}"/>'
            for name, png in self.pictures.items()
        ]
        return "\n".join([f"<pre>{escape(str(self))}</pre>", *images])


def cell(column: str, **where: Cell) -> Callable[[Sequence[Row]], float]:
    """A measure for an `Expectation`: one cell of the table.

    Args:
        column: The column it is in.
        **where: Values of other columns that single out its row.

    Returns:
        A function from rows to the number. It raises `KeyError` where not exactly one row fits.

    Example:

    ```python
    from keras_initscope.presets import cell

    rows = [{"layer": 1, "variance": 0.5}, {"layer": 2, "variance": 0.25}]
    assert cell("variance", layer=2)(rows) == 0.25
    ```
    """
    return lambda rows: float(row_of(rows, where)[column])


def row_of(rows: Sequence[Row], where: Row) -> Row:
    """The row that some of its cells single out.

    Args:
        rows: The rows of a table.
        where: Column to value.

    Returns:
        The row.

    Raises:
        KeyError: Where not exactly one row fits.
    """
    found = [row for row in rows if where.items() <= row.items()]
    if len(found) != 1:
        raise KeyError(f"Expected one row with {dict(where)}. Received: {len(found)} of them.")
    return found[0]
