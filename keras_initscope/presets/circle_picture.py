"""The picture of a circle on its way: a row a network, a panel a layer, a colour a place on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[Any]


def draw_circles(
    path: Path, title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Array]]
) -> Path:
    """Draw closed curves in the plane of their two largest principal components.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        columns: Titles of the columns.
        rows: Name of the row to a curve `(points, dimensions)` a column. All panels of a row have
            the scale of its first, over whose length each has its own length written.

    Returns:
        The path.
    """
    figure = Figure(figsize=(2.1 * len(columns) + 0.4, 2.15 * len(rows) + 0.7), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for panels, (name, curves) in zip(grid, rows.items(), strict=True):
        first = projected(curves[0])
        limit = 1.3 * float(np.abs(first).max())
        for axes, curve in zip(panels, curves, strict=True):
            _draw(axes, projected(curve), limit)
            factor = length(curve) / length(curves[0])
            axes.text(0.5, 0.03, f"length x {factor:.3g}", ha="center", transform=axes.transAxes)
        panels[0].set_ylabel(name, fontsize="large")
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column, fontsize="medium")
    figure.suptitle(title)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path


def projected(curve: Array) -> Array:
    """`(points, 2)`: along the directions in which it is widest, about its mean."""
    centred = curve.astype("float64") - curve.mean(axis=0, dtype="float64")
    return np.asarray(centred @ np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1])


def length(curve: Array) -> float:
    """Of the polygon through its points."""
    steps = np.diff(curve.astype("float64"), axis=0)
    return float(np.sum(np.linalg.norm(steps, axis=1)))


def _draw(axes: Any, points: Array, limit: float) -> None:
    ends = np.stack([points[:-1], points[1:]], axis=1)
    places = np.linspace(0, 1, len(ends))
    axes.add_collection(LineCollection(list(ends), array=places, cmap="hsv"))
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
