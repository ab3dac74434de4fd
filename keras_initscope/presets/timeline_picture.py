"""The picture of a story: a row for each start, what it keeps at first, its images, its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Of Okabe and Ito's colours, which the colour-blind tell apart.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#777777"
_LEFT = {"signal": (_BLUE, "o"), "gradient": (_ORANGE, "s")}
#: What is smaller is drawn here.
_FOOT = 1e-9


class Line(NamedTuple):
    """One row of the picture.

    Args:
        name: What it is.
        images: Side by side, as one picture.
        error: After training; `None` of the data themselves.
        left: `"signal"` and `"gradient"`, the shares left at the start; empty without a network.
    """

    name: str
    images: NDArray[np.float32]
    error: float | None = None
    left: Mapping[str, float] = {}


def draw_timeline(path: Path, title: str, lines: Sequence[Line]) -> Path:
    """Draw the rows from top to bottom and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        lines: The rows. The errors of those without a network are marked through all rows.

    Returns:
        The path.
    """
    figure = Figure(figsize=(14, 0.5 * len(lines) + 1.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, 3, sharey=True, width_ratios=(3, 5, 3))
    for draw, axes in zip((_draw_left, _draw_images, _draw_errors), grid, strict=True):
        draw(axes, lines)
    grid[0].set_ylim(len(lines) - 0.5, -0.5)
    grid[0].set_yticks(range(len(lines)), [line.name for line in lines])
    figure.suptitle(title)
    figure.savefig(path, format="png")
    return path


def _draw_left(axes: Any, lines: Sequence[Line]) -> None:
    for name, (color, marker) in _LEFT.items():
        places = [row for row, line in enumerate(lines) if line.left]
        shares = [max(lines[row].left[name], _FOOT) for row in places]
        axes.plot(shares, places, marker, color=color, label=name)
    axes.set_xscale("log")
    axes.axvline(1, color=_GREY, linestyle=":")
    axes.set_xlabel(f"share left at the start\n(least: {_FOOT:g} or less)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")


def _draw_images(axes: Any, lines: Sequence[Line]) -> None:
    for row, line in enumerate(lines):
        height, width = line.images.shape
        half = 0.42
        extent = (0, width / height * 2 * half, row + half, row - half)
        axes.imshow(line.images, cmap="gray_r", vmin=0, vmax=1, extent=extent, aspect="auto")
    axes.set_xlim(0, extent[1])
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("images to test on, as each gives them back after training")


def _draw_errors(axes: Any, lines: Sequence[Line]) -> None:
    errors = [line.error or 0.0 for line in lines]
    for row, line in enumerate(lines):
        if line.error is None:
            continue
        color = _BLUE if line.left else _GREY
        axes.plot(line.error, row, "o", color=color)
        axes.annotate(
            f"{line.error:.2f}", (line.error, row), (8, 0), textcoords="offset points", va="center"
        )
        if not line.left:
            axes.axvline(line.error, color=_GREY, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlim(0.7, 2.2 * max(errors))
    axes.set_xlabel("squared error of an image\n(dotted: without a network)")
    axes.grid(alpha=0.3)
