"""The picture of training losses: one panel a network, one line a start, pale ones its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from keras_initscope.presets.retraining import smoothed

# Of Okabe and Ito's colours, which the colour-blind tell apart; the dashes say it once more.
_STYLES = (
    {"color": "#E69F00", "linestyle": (0, (5, 2))},
    {"color": "#0072B2", "linestyle": "-"},
    {"color": "#009E73", "linestyle": (0, (7, 1, 1, 1))},
    {"color": "#CC79A7", "linestyle": (0, (2, 1))},
)
_NEIGHBOURS = 15
_GUESSING = float(np.log(10))

Losses = Sequence[NDArray[np.float64]]


def draw_loss_picture(path: Path, title: str, panels: Mapping[str, Mapping[str, Losses]]) -> Path:
    """Draw losses over training steps and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        panels: Title of the panel, then name of the line, to the losses of each seed. What is not
            finite is left out.

    Returns:
        The path.
    """
    figure = Figure(figsize=(3.6 * len(panels) + 1.4, 3.8), dpi=110)
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    handles: dict[str, Any] = {}
    for axes, (panel, lines) in zip(grid, panels.items(), strict=True):
        axes.axhline(_GUESSING, color="#777777", linewidth=1, linestyle=":", zorder=0)
        for name, losses in lines.items():
            style = _STYLES[names.index(name) % len(_STYLES)]
            handles.setdefault(name, _draw_line(axes, losses, style))
        axes.set_title(panel)
        axes.grid(alpha=0.3)
    grid[0].set_ylim(0, 1.4 * _GUESSING)
    grid[0].set_ylabel("loss of a batch, dotted: guessing")
    figure.supxlabel("training step", fontsize="medium")
    figure.suptitle(title)
    ordered = [handles[name] for name in names]
    figure.legend(ordered, names, loc="outside right center", frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, format="png")
    return path


def _draw_line(axes: Any, losses: Losses, style: Mapping[str, Any]) -> Any:
    lines = [smoothed(np.asarray(values), _NEIGHBOURS) for values in losses]
    steps = np.arange(lines[0].size) + _NEIGHBOURS / 2
    for line in lines:
        axes.plot(steps, line, alpha=0.3, linewidth=0.8, color=style["color"])
    return axes.plot(steps, np.mean(lines, axis=0), linewidth=1.8, **style)[0]
