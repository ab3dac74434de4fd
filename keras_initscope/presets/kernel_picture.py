"""The picture of kernels: one panel each, a column of pixels for each unit's incoming weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_kernels(path: Path, title: str, kernels: Mapping[str, np.ndarray]) -> Path:
    """Draw kernels as pixels, red above zero and blue below, and save the picture.

    Args:
        path: Where to save it, as PNG.
        title: What it shows.
        kernels: Title of the panel to its kernel, `(inputs, units)`. Each has a scale of its own,
            which is symmetric about zero.

    Returns:
        The path.
    """
    columns = 2 if len(kernels) in (2, 4) else 3
    rows = ceil(len(kernels) / columns)
    figure = Figure(figsize=(3.0 * columns, 3.4 * rows + 0.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(kernels) :]:
        axes.set_axis_off()
    for axes, (name, kernel) in zip(grid, kernels.items(), strict=False):
        _draw_kernel(figure, axes, name, kernel)
    figure.supxlabel("unit", fontsize="medium")
    figure.supylabel("input", fontsize="medium")
    figure.suptitle(title)
    figure.savefig(path, format="png")
    return path


def _draw_kernel(figure: Figure, axes: Any, name: str, kernel: np.ndarray) -> None:
    finite = np.abs(kernel[np.isfinite(kernel)])
    largest = float(finite.max(initial=0.0)) or 1.0
    image = axes.imshow(
        kernel, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
    )
    ends = (-largest, 0.0, largest)
    figure.colorbar(image, ax=axes, location="bottom", shrink=0.9, ticks=ends, format="%.2g")
    axes.set_title(name, fontsize="medium")
    axes.set_xticks([])
    axes.set_yticks([])
