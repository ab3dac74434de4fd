"""How far predictions are from what networks do, in the mean over several draws of weights."""

from __future__ import annotations

from benchmarks.measuring import Row, say
from benchmarks.montecarlo import deviations, tolerance
from benchmarks.networks import NETWORKS


def run(quick: bool) -> list[Row]:
    """The networks that the slow tests hold to the same tolerance; quick takes fewer draws."""
    draws, batch = (4, 32) if quick else (32, 128)
    return [_row(name, draws, batch) for name in NETWORKS]


def _row(name: str, draws: int, batch: int) -> Row:
    say(f"measuring {name}")
    build, width, weighted, *options = NETWORKS[name]
    rows, snapshot = deviations(build, draws, batch=batch, **(options[0] if options else {}))
    off = [max(abs(row[i] - 1) for row in rows if row[i + 2] > 0) for i in (1, 2)]
    return Row(
        what=f"predicted / measured, {name}: {len(rows)} layers, {draws} draws",
        result=f"q within {off[0]:.1%}, g within {off[1]:.1%}, {len(snapshot.unknown)} unknown",
        target=f"{tolerance(width, weighted, draws):.0%}",
    )
