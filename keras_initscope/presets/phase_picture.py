"""The picture of a phase diagram: a measured map over a variance and depth, and theory over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

_INK = [withStroke(linewidth=3.5, foreground="white")]
_HALF = 0.5
_ORANGE = "#D55E00"

Array = NDArray[np.float64]


class Phases(NamedTuple):
    """What is drawn.

    Args:
        across: Values on the horizontal axis, increasing.
        depths: Those on the vertical one, increasing.
        accuracy: `(depths, across)`.
        critical: Where on the horizontal axis theory has the critical line.
        line: Points of the depth that theory predicts: abscissae and ordinates, of which some may
            be infinite.
        label: What the horizontal axis is.
        line_label: What that depth is.
    """

    across: Sequence[float]
    depths: Sequence[int]
    accuracy: Array
    critical: float
    line: tuple[Array, Array]
    label: str
    line_label: str


def draw_phases(path: Path, title: str, phases: Phases) -> Path:
    """Draw the map, a cell a point of the grid, the predicted lines and where half is reached.

    Both axes are logarithmic. The colours are those of cividis, made for the colour-blind.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        phases: What is drawn.

    Returns:
        The path.
    """
    figure = Figure(figsize=(8.2, 5.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    x, y = edges(phases.across), edges(phases.depths)
    shown = axes.pcolormesh(x, y, phases.accuracy, cmap="cividis", vmin=0, vmax=1)
    bar = figure.colorbar(shown, ax=axes, pad=0.02)
    bar.set_label("accuracy on test images after training")
    _draw_theory(axes, phases, float(y[-1]))
    _draw_half(axes, phases)
    axes.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.set(title=title, xlabel=phases.label, ylabel="hidden layers")
    _tick(axes.xaxis, _spaced(phases.across, 0.055))
    _tick(axes.yaxis, list(phases.depths))
    axes.legend(loc="lower right", framealpha=0.92, fontsize="small")
    figure.savefig(path, format="png")
    return path


def edges(centres: Sequence[float]) -> Array:
    """The borders of cells about values, half-way on a logarithmic axis."""
    logs = np.log(np.asarray(centres, dtype=float))
    if logs.size == 1:
        return np.asarray(np.exp(logs + np.array([-0.1, 0.1])))
    between = (logs[1:] + logs[:-1]) / 2
    ends = (2 * logs[0] - between[0], 2 * logs[-1] - between[-1])
    return np.asarray(np.exp(np.concatenate([[ends[0]], between, [ends[1]]])))


def _draw_theory(axes: Any, phases: Phases, top: float) -> None:
    style: dict[str, Any] = {"color": "#000000", "path_effects": _INK}
    axes.axvline(
        phases.critical,
        linestyle="--",
        linewidth=1.8,
        label=f"theory: critical at {phases.critical:.4g}",
        **style,
    )
    where, depth = phases.line
    cut = np.where(np.isfinite(depth), depth, 1e3 * top)  # up to where the line leaves the picture
    axes.plot(where, cut, linewidth=2.0, label=f"theory: {phases.line_label}", **style)


def _draw_half(axes: Any, phases: Phases) -> None:
    """Where the accuracy falls through one half, between the points of the grid."""
    low, high = phases.accuracy.min(), phases.accuracy.max()
    if min(phases.accuracy.shape) < 2 or not low < _HALF < high:
        return
    style: dict[str, Any] = {"colors": _ORANGE, "linewidths": 2.2, "linestyles": "dotted"}
    axes.contour(phases.across, phases.depths, phases.accuracy, levels=[_HALF], **style)
    label = f"measured: accuracy {_HALF:g}"
    axes.plot([], [], color=_ORANGE, linewidth=2.2, linestyle="dotted", label=label)


def _spaced(values: Sequence[float], least: float) -> list[float]:
    """Of some values those that have room for a label on a logarithmic axis."""
    room = least * np.log(values[-1] / values[0])
    chosen = [values[0]]
    for value in values[1:]:
        if np.log(value / chosen[-1]) >= room:
            chosen.append(value)
    return chosen


def _tick(axis: Any, values: Sequence[float]) -> None:
    axis.set_ticks(list(values), [f"{value:g}" for value in values])
    axis.set_ticks([], minor=True)
