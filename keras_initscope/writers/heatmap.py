"""The picture of a fit: depth by step, signal and gradient as colours.

Owns its cells and colours. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_initscope.records import FitReport, Quantity, Snapshot
from keras_initscope.writers.canvas import figure_of, frame, label, layer_ticks, png_of, room_for

# Colours that viridis does not have: the three kinds of cells that have no logarithm.
_ABSENT, _ZERO, _BROKEN = "#BBBBBB", "#FFFFFF", "#D55E00"
_MEANINGS = {
    _BROKEN: "NaN or infinite",
    _ZERO: "exactly zero",
    _ABSENT: "not measured, or not there",
}
_LEAST_SPAN = 4.0  # decades of the colours at least, lest differences that are none be seen
_STEPS_NAMED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class _Map:
    """What a map shows: of the quantities that a layer has, the first."""

    title: str
    quantities: tuple[Quantity, ...]


_MAPS = (
    _Map(
        title="Signal: how large the numbers are that each layer gives on. "
        "Good: no steady change from top to bottom.",
        quantities=(Quantity.ACTIVATION,),
    ),
    _Map(
        title="Gradient: how strongly the loss pulls at each layer. "
        "Good: no steady change from top to bottom.",
        quantities=(Quantity.PREACTIVATION_GRADIENT, Quantity.ACTIVATION_GRADIENT),
    ),
)


def heatmap(report: FitReport) -> bytes | None:
    """Draw the mean squares of activations and gradients by layer and look.

    Layers run in forward order from top to bottom, looks from left to right, a column each. Above
    them the loss.

    Args:
        report: A fit.

    Returns:
        The PNG file, `None` where there are no two looks at any layer.
    """
    paths = _measured(report)
    if len(report.snapshots) < 2 or not paths:
        return None
    ticks = layer_ticks([path for path, _ in paths], range(len(paths)))
    tall = float(np.clip(0.17 * len(paths), 1.6, 5.0))
    figure = figure_of(11.0, 3.2 + 2 * tall)
    panels = figure.subplots(
        1 + len(_MAPS), 2, width_ratios=[1.0, 0.018], height_ratios=[1.0, tall, tall]
    )
    left = 0.8 if ticks is None else room_for(ticks[1])
    frame(figure, len(panels), left=max(0.7, left), right=0.6, bottom=0.85, top=0.65, gap=0.5)
    figure.subplots_adjust(wspace=0.02)
    figure.suptitle(
        label(f"{report.model.name}: signal and gradient while it trains"), fontsize="medium"
    )
    _draw_loss(panels[0][0], report.snapshots)
    panels[0][1].set_axis_off()
    kinds: set[str] = set()
    for (axes, bar), each in zip(panels[1:], _MAPS, strict=True):
        kinds |= _draw_map(figure, axes, bar, each, report, paths)
        _label_layers(axes, paths, ticks)
    for axes, _ in panels:
        _mark_steps(axes, [snapshot.step for snapshot in report.snapshots], axes is panels[-1][0])
    _explain(figure, kinds)
    return png_of(figure)


def _measured(report: FitReport) -> list[tuple[str, int]]:
    """Path and depth of each layer of which anything is drawn."""
    drawn = {quantity for each in _MAPS for quantity in each.quantities}
    looks = (report.snapshots[0], report.snapshots[-1])
    known = {
        entry.tap.layer for look in looks for entry in look.stats if entry.tap.quantity in drawn
    }
    return [(layer.path, layer.depth) for layer in report.model.layers if layer.path in known]


def _cells(
    snapshots: Sequence[Snapshot], paths: Sequence[str], quantities: Sequence[Quantity]
) -> NDArray[np.float64]:
    """`(layers, looks)` mean squares: NaN where there is none, infinite where any value is not."""
    rows = {path: i for i, path in enumerate(paths)}
    cells = np.full((len(paths), len(snapshots)), np.nan)
    for column, snapshot in enumerate(snapshots):
        for quantity in reversed(quantities):
            for entry in reversed(snapshot.stats):  # of several tensors the first one stays
                if entry.tap.quantity is quantity and entry.tap.layer in rows:
                    root = entry.values.get("root_mean_square", np.nan)
                    whole = np.isfinite(root) and not entry.values.get("nonfinite_count")
                    cells[rows[entry.tap.layer], column] = root**2 if whole else np.inf
    return cells


def _draw_map(
    figure: Any,
    axes: Any,
    bar: Any,
    each: _Map,
    report: FitReport,
    layers: Sequence[tuple[str, int]],
) -> set[str]:
    """Draw one map; return the colours of the cells that have no logarithm."""
    cells = _cells(report.snapshots, [path for path, _ in layers], each.quantities)
    is_number = (cells > 0) & np.isfinite(cells)
    logs = np.log10(cells, where=is_number, out=np.full(cells.shape, np.nan))
    low, high = _span(logs[is_number])
    axes.set_facecolor(_ABSENT)
    style = {"aspect": "auto", "interpolation": "nearest"}
    shown = axes.imshow(logs, cmap="viridis", vmin=low, vmax=high, **style)
    kinds = _draw_odd(axes, cells, style)
    ticks, texts = _powers(low, high)
    figure.colorbar(shown, cax=bar).set_ticks(ticks, labels=texts)
    bar.set_title("mean\nsquare", fontsize="x-small")
    axes.set_title(each.title, fontsize="small", loc="left")
    return kinds


def _draw_odd(axes: Any, cells: NDArray[np.float64], style: dict[str, str]) -> set[str]:
    from matplotlib.colors import to_rgba

    colors = {_BROKEN: np.isinf(cells), _ZERO: cells == 0, _ABSENT: np.isnan(cells)}
    image = np.zeros((*cells.shape, 4))
    for color, where in colors.items():
        image[where] = to_rgba(color)
    axes.imshow(image, **style)
    return {color for color, where in colors.items() if where.any()}


def _span(logs: NDArray[np.float64]) -> tuple[float, float]:
    low, high = (float(logs.min()), float(logs.max())) if logs.size else (0.0, 0.0)
    spare = max(0.0, _LEAST_SPAN - (high - low)) / 2
    return low - spare, high + spare


def _powers(low: float, high: float) -> tuple[list[int], list[str]]:
    step = max(1, int(np.ceil((high - low) / 6)))
    ticks = [
        power for power in range(int(np.ceil(low)), int(np.floor(high)) + 1) if power % step == 0
    ]
    return ticks, [f"$10^{{{power}}}$" for power in ticks]


def _draw_loss(axes: Any, snapshots: Sequence[Snapshot]) -> None:
    told = [snapshot.info.loss for snapshot in snapshots]
    losses = np.array([np.nan if loss is None else loss for loss in told])
    finite = losses[np.isfinite(losses)]
    shown = np.where(np.isfinite(losses), losses, np.nan)
    axes.plot(range(len(losses)), shown, color="#000000", marker=".", linewidth=1.2)
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        spare = max(0.08 * (high - low), 0.02 * abs(high))  # noise is not to look like a course
        axes.set_ylim(low - spare, high + spare or 1.0)
    broken = [i for i, loss in enumerate(told) if loss is not None and not np.isfinite(loss)]
    foot = np.full(len(broken), 0.06)
    where = axes.get_xaxis_transform()
    axes.plot(broken, foot, "x", color=_BROKEN, transform=where, label=_MEANINGS[_BROKEN])
    axes.set_xlim(-0.5, len(losses) - 0.5)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title("Loss, on the batch of each look", fontsize="small", loc="left")
    axes.grid(alpha=0.3)


def _label_layers(
    axes: Any, layers: Sequence[tuple[str, int]], ticks: tuple[list[int], list[str]] | None
) -> None:
    if ticks is not None:
        axes.set_yticks(*ticks, fontsize="x-small")
        return
    every = max(1, len(layers) // 10)
    axes.set_yticks(
        range(0, len(layers), every), [str(depth) for _, depth in layers[::every]], fontsize="small"
    )
    axes.set_ylabel("number of the layer")


def _mark_steps(axes: Any, steps: Sequence[int], is_lowest: bool) -> None:
    every = -(-len(steps) // _STEPS_NAMED)
    chosen = list(range(0, len(steps), every))
    axes.set_xticks(chosen, [str(steps[i]) for i in chosen])
    axes.tick_params(labelbottom=is_lowest)
    if is_lowest:
        axes.set_xlabel("training step (one column for each look)")


def _explain(figure: Any, kinds: set[str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=color, edgecolor="#666666", label=meaning)
        for color, meaning in _MEANINGS.items()
        if color in kinds
    ]
    if patches:
        figure.legend(handles=patches, loc="lower center", ncols=3, frameon=False)
