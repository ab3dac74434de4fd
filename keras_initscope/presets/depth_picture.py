"""The picture of variance over depth: a grid of panels, one line an initializer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_initscope.writers.log_axis import decades, foot_of, height, label_decades

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


def draw_depth_picture(
    path: Path, title: str, rows: Mapping[str, Mapping[str, Lines]], across: str = "hidden layer"
) -> Path:
    """Draw variances over depth on log axes and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        rows: Label of the vertical axis, then title of the column, then name of the line, to one
            value a layer. A zero is drawn at the foot of the panel, labelled 0; what is not finite
            is left out.
        across: What is counted on the horizontal axis.

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
    figure.supxlabel(across, fontsize="medium")
    figure.suptitle(title)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path


def _draw_row(axes_row: Sequence[Any], label: str, panels: Mapping[str, Lines]) -> None:
    values = [value for lines in panels.values() for line in lines.values() for value in line]
    low, high = decades(values)
    foot = foot_of(low, high)
    for axes, lines in zip(axes_row, panels.values(), strict=True):
        _draw_lines(axes, lines, foot)
        axes.grid(alpha=0.3)
    axes_row[0].set_ylabel(label)
    label_decades(axes_row[0], low, high, foot if 0.0 in values else None)


def _draw_lines(axes: Any, lines: Lines, foot: float) -> None:
    for number, (name, values) in enumerate(lines.items()):
        style = _STYLES[number % len(_STYLES)]
        heights = [height(value, foot) for value in values]
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
