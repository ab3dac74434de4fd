"""The picture of numbers along an axis: panels of measured lines, those of theory dashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

# Of Okabe and Ito's colours, which the colour-blind tell apart; the markers say it once more.
_STYLES = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#D55E00", "marker": "s"},
    {"color": "#009E73", "marker": "^"},
    {"color": "#E69F00", "marker": "D"},
    {"color": "#CC79A7", "marker": "v"},
    {"color": "#56B4E9", "marker": "P"},
    {"color": "#000000", "marker": "x"},
)
_GREY = "#777777"
#: Of more points than these only some get a marker.
_MARKERS = 16

Values = Sequence[float] | NDArray[np.float64]
Points = tuple[Values, Values]


class Curve(NamedTuple):
    """What was measured, and what theory says.

    Args:
        measured: Abscissae and ordinates of points; both empty where nothing was measured.
        theory: Those of a dashed line; both empty where theory says nothing.
        joined: Whether the measured points are joined.
    """

    measured: Points = ((), ())
    theory: Points = ((), ())
    joined: bool = True


class Panel(NamedTuple):
    """One panel.

    Args:
        title: What it shows.
        x: Label of the horizontal axis.
        y: Label of the vertical one.
        curves: Name to curve.
        logarithmic: Which axes are logarithmic: `""`, `"x"`, `"y"` or `"xy"`.
        limit: A level to be marked, and what it is.
    """

    title: str
    x: str
    y: str
    curves: Mapping[str, Curve]
    logarithmic: str = ""
    limit: tuple[float, str] | None = None


def draw_curves(path: Path, title: str, panels: Sequence[Panel]) -> Path:
    """Draw panels side by side and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        panels: From left to right. Those that show the same have one vertical axis.

    Returns:
        The path.
    """
    figure = Figure(figsize=(4.9 * len(panels) + 0.4, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    share = len({(panel.y, panel.logarithmic) for panel in panels}) == 1
    grid = figure.subplots(1, len(panels), sharey=share, squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    figure.suptitle(title)
    figure.savefig(path, format="png")
    return path


def _draw(axes: Any, panel: Panel) -> None:
    for number, (name, curve) in enumerate(panel.curves.items()):
        _draw_curve(axes, name, curve, _STYLES[number % len(_STYLES)])
    if any(len(curve.theory[0]) for curve in panel.curves.values()):
        axes.plot([], [], color=_GREY, linestyle="--", label="theory")
    if panel.limit is not None:
        level, words = panel.limit
        axes.axhline(level, color=_GREY, linewidth=1, linestyle=":", label=words)
    if "x" in panel.logarithmic:
        axes.set_xscale("log")
    elif all(x == int(x) for curve in panel.curves.values() for x in curve.measured[0]):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "y" in panel.logarithmic:
        axes.set_yscale("log")
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axes.grid(alpha=0.3)
    axes.legend(frameon=True, framealpha=0.85, fontsize="small")


def _draw_curve(axes: Any, name: str, curve: Curve, style: Mapping[str, str]) -> None:
    color = style["color"]
    if len(curve.theory[0]):
        label = None if len(curve.measured[0]) else name
        axes.plot(*curve.theory, color=color, linestyle="--", linewidth=1.2, label=label)
    if len(curve.measured[0]):
        axes.plot(
            *curve.measured,
            label=name,
            linewidth=1.5 if curve.joined else 0,
            markersize=5,
            markevery=max(1, len(curve.measured[0]) // _MARKERS),
            **style,
        )
