"""The picture of variance over depth: a grid of panels, one line an initializer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart; the markers say it once more.
_STYLES = (
    {"color": "#000000", "marker": "x"},
    {"color": "#E69F00", "marker": "v"},
    {"color": "#D55E00", "marker": "^"},
    {"color": "#56B4E9", "marker": "o"},
    {"color": "#0072B2", "marker": "s"},
    {"color": "#009E73", "marker": "D"},
    {"color": "#CC79A7", "marker": "P"},
)

Lines = Mapping[str, Sequence[float]]


def draw_depth_picture(path: Path, title: str, rows: Mapping[str, Mapping[str, Lines]]) -> Path:
    """Draw variances over depth on log axes and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        rows: Label of the vertical axis, then title of the column, then name of the line, to one
            value a layer. A zero is drawn at the foot of the panel, labelled 0; what is not finite
            is left out.

    Returns:
        The path.
    """
    columns = list(next(iter(rows.values())))
    figure = Figure(figsize=(3.6 * len(columns) + 1.2, 3.2 * len(rows) + 1.2), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
    for axes_row, (label, panels) in zip(grid, rows.items(), strict=True):
        _draw_row(axes_row, label, panels)
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column)
    figure.supxlabel("hidden layer", fontsize="medium")
    figure.suptitle(title)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path


def _draw_row(axes_row: Sequence[Any], label: str, panels: Mapping[str, Lines]) -> None:
    values = [value for lines in panels.values() for line in lines.values() for value in line]
    low, high = _decades(values)
    foot = low - max(1.0, 0.07 * (high - low))
    for axes, lines in zip(axes_row, panels.values(), strict=True):
        _draw_lines(axes, lines, foot)
        axes.grid(alpha=0.3)
    first = axes_row[0]
    first.set_ylabel(label)
    first.set_ylim(foot - 0.03 * (high - foot), high + 0.05 * (high - foot))
    _label_decades(first, low, high, foot if 0.0 in values else None)


def _draw_lines(axes: Any, lines: Lines, foot: float) -> None:
    for number, (name, values) in enumerate(lines.items()):
        style = _STYLES[number % len(_STYLES)]
        heights = [_height(value, foot) for value in values]
        start = number % 3  # lines on top of each other show their markers at different layers
        axes.plot(
            range(1, len(heights) + 1),
            heights,
            label=name,
            linewidth=1.5,
            markersize=5,
            markevery=(start, 3),
            **style,
        )


def _height(value: float, foot: float) -> float:
    if value == 0:
        return foot
    return float(np.log10(value)) if 0 < value < np.inf else float("nan")


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """The whole decades that hold all positive finite values."""
    logs = [np.log10(value) for value in values if 0 < value < np.inf] or [0.0]
    low, high = int(np.floor(min(logs))), int(np.ceil(max(logs)))
    return low, max(high, low + 1)


def _label_decades(axes: Any, low: int, high: int, foot: float | None) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) <= 7 * step)
    decades = [decade for decade in range(low, high + 1) if decade % step == 0]
    ticks = [(float(decade), f"$10^{{{decade}}}$") for decade in decades]
    if foot is not None:
        ticks.insert(0, (foot, "0"))
    axes.set_yticks([height for height, _ in ticks], [text for _, text in ticks])
