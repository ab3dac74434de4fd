"""The picture of signal and gradient over depth: theory dashed, measurements solid.

Owns its lines, the band around theory, the limits of the type of number, and which layers are
marked. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, isfinite, log1p, log10, nan
from typing import Any

from keras_initscope.records import LayerRow
from keras_initscope.writers.canvas import figure_of, frame, label, layer_ticks, png_of, room_for
from keras_initscope.writers.headroom import Headroom, headroom
from keras_initscope.writers.log_axis import decades, foot_of, height, label_decades

# Okabe and Ito's colours, which the colour-blind tell apart.
PREDICTED = "#D55E00"
MEASURED = ("#0072B2", "#009E73", "#CC79A7")
_MARK = "#F0E442"
_LIMIT = "#666666"
_MARKED = 60  # layers that can each bear a marker
_NEAR = 4.0  # decades off the line up to which a limit is drawn
_FRESH = "theory: two out of three networks of this width"
_TRAINED = f"{_FRESH}, if their weights were fresh"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Panel:
    """Which fields of a row a panel shows; only sizes have limits."""

    title: str
    axis: str
    measured: str
    predicted: str = ""
    error: str = ""
    median: str = ""
    fades: str = ""


_PANELS = (
    _Panel(
        title="Signal: how large the numbers are that each layer gives on. "
        "Good: no steady rise or fall.",
        axis="mean square",
        measured="measured_q",
        predicted="predicted_q",
        error="q_error",
        median="q_median",
        fades="{} fades to 0 below",
    ),
    _Panel(
        title="Share of the signal by which examples differ; the rest is the same whatever the "
        "input. Good: not falling to 0.",
        axis="share",
        measured="signal_share",
    ),
    _Panel(
        title="Gradient: how strongly the loss pulls at each layer. Good: no steady rise or fall.",
        axis="mean square",
        measured="measured_gradient",
        predicted="predicted_gradient",
        error="gradient_error",
        median="gradient_median",
        fades="{} fades to 0 below, unless the loss is scaled",
    ),
)


def depth_picture(
    title: str,
    theory: Sequence[LayerRow],
    lines: Mapping[str, Sequence[LayerRow]],
    *,
    marked: Collection[str] = (),
    fresh: bool = True,
) -> bytes:
    """Draw mean squares of activations and gradients over depth, measured and predicted.

    A prediction is dashed, with the band in which two networks of this width out of three lie. A
    zero is drawn at the foot of the panel, labelled 0; where nothing is known or finite there is a
    gap. Where the numbers come near to what their type can hold, its limits are drawn.

    Args:
        title: What the picture is of.
        theory: The rows that hold what theory says, one a layer in forward order.
        lines: Name of each measured line to its rows, of the same layers.
        marked: Paths of the layers that findings name.
        fresh: Whether the weights were fresh at the first line.

    Returns:
        The PNG file.
    """
    ticks = layer_ticks([row.layer.path for row in theory], [row.layer.depth for row in theory])
    below = 0.95 + (0.3 if ticks is None else room_for(ticks[1]))
    figure = figure_of(min(14.0, 8.6 + 0.08 * len(theory)), 8.6 + below)
    panels = figure.subplots(len(_PANELS), 1)
    frame(figure, len(_PANELS), left=0.9, right=0.2, bottom=below, top=0.65, gap=0.45)
    figure.suptitle(label(title), fontsize="medium")
    limits = headroom({row.layer.dtype for row in theory})
    for axes, panel in zip(panels, _PANELS, strict=True):
        _mark(axes, theory, marked)
        _draw_panel(axes, panel, theory, lines, limits, _FRESH if fresh else _TRAINED)
        axes.set_title(panel.title, fontsize="small", loc="left")
        axes.set_ylabel(panel.axis)
    _label_layers(panels, ticks)
    entries = dict(reversed(entry) for axes in panels for entry in _legend(axes))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="lower center",
        ncols=3,
        frameon=False,
        fontsize="small",
    )
    return png_of(figure)


def _legend(axes: Any) -> list[tuple[Any, str]]:
    return list(zip(*axes.get_legend_handles_labels(), strict=True))


def _mark(axes: Any, rows: Sequence[LayerRow], marked: Collection[str]) -> None:
    """A stripe behind each run of layers that findings name."""
    runs: list[list[int]] = []
    for place, row in enumerate(rows):
        if row.layer.path in marked:
            if runs and rows[place - 1].layer.path in marked:
                runs[-1][1] = row.layer.depth
            else:
                runs.append([row.layer.depth, row.layer.depth])
    for first, last in runs:
        name = "layers that a finding names" if first == runs[0][0] else None
        axes.axvspan(first - 0.4, last + 0.4, color=_MARK, alpha=0.25, linewidth=0, label=name)


def _draw_panel(
    axes: Any,
    panel: _Panel,
    theory: Sequence[LayerRow],
    lines: Mapping[str, Sequence[LayerRow]],
    limits: Headroom | None,
    band: str,
) -> None:
    predicted, errors, medians = (
        _column(theory, name) for name in (panel.predicted, panel.error, panel.median)
    )
    measured = {name: _column(rows, panel.measured) for name, rows in lines.items()}
    lower, upper = _band(predicted, errors, medians)
    values = [*predicted, *lower, *upper, *(value for line in measured.values() for value in line)]
    drawn = _near(values, limits, panel)
    low, high = decades([*values, *drawn])
    foot = foot_of(low, high)
    places = [row.layer.depth for row in theory]
    few = len(theory) <= _MARKED

    def heights(line: Sequence[float]) -> list[float]:
        return [height(value, foot) for value in line]

    for color, (name, line) in zip(MEASURED, measured.items(), strict=False):
        style = {"color": color, "marker": "o" if few else "", "markersize": 4.0}
        axes.plot(places, heights(line), label=name, linewidth=1.5, **style)
    if any(isfinite(value) for value in predicted):
        style = {"color": PREDICTED, "marker": "_" if few else "", "markersize": 7.0}
        style["markeredgewidth"] = 2.0
        name = "theory, for the first look" if len(lines) > 1 else "theory"
        axes.plot(places, heights(predicted), "--", label=name, linewidth=1.5, **style)
    if _has_width(heights(lower), heights(upper)):
        shade = {"color": PREDICTED, "alpha": 0.2, "linewidth": 0}
        axes.fill_between(places, heights(lower), heights(upper), label=band, **shade)
    for value, text in drawn.items():
        _draw_limit(axes, log10(value), text)
    axes.grid(alpha=0.3)
    label_decades(axes, low, high, foot if 0.0 in values else None)


def _near(values: Sequence[float], limits: Headroom | None, panel: _Panel) -> dict[float, str]:
    """The limits that some value comes near to, and what lies beyond them."""
    known = [log10(value) for value in values if 0 < value < float("inf")]
    if limits is None or not known or not panel.fades:
        return {}
    found = {}
    if max(known) > log10(limits.greatest) - _NEAR:
        found[limits.greatest] = f"{limits.dtype} is infinite above"
    if min(known) < log10(limits.least) + _NEAR:
        found[limits.least] = panel.fades.format(limits.dtype)
    return found


def _draw_limit(axes: Any, where: float, text: str) -> None:
    axes.axhline(where, color=_LIMIT, linewidth=1.2, linestyle=":")
    axes.annotate(
        text,
        (0.995, where),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=_LIMIT,
        fontsize="small",
    )


def _column(rows: Sequence[LayerRow], name: str) -> list[float]:
    found = [getattr(row, name) if name else None for row in rows]
    return [nan if value is None else value for value in found]


def _band(
    predicted: Sequence[float], errors: Sequence[float], medians: Sequence[float]
) -> tuple[list[float], list[float]]:
    """One standard deviation of the logarithm to both sides of the median.

    A product of many factors is lognormal: with the relative standard deviation `e`,
    `s^2 = log(1 + e^2)` is the variance of its logarithm.
    """
    squares = [log1p(error * error) for error in errors]
    widths = [square**0.5 if isfinite(square) else nan for square in squares]
    middles = [q * median for q, median in zip(predicted, medians, strict=True)]
    pairs = list(zip(middles, widths, strict=True))
    return [q * exp(-width) for q, width in pairs], [q * exp(width) for q, width in pairs]


def _has_width(lower: Sequence[float], upper: Sequence[float]) -> bool:
    """Whether two neighbours have a band between them that can be seen."""
    wide = [high > low for low, high in zip(lower, upper, strict=True)]
    known = [isfinite(low) and isfinite(high) for low, high in zip(lower, upper, strict=True)]
    pairs = pairwise(zip(wide, known, strict=True))
    return any(a[1] and b[1] and (a[0] or b[0]) for a, b in pairs)


def _label_layers(panels: Sequence[Any], ticks: tuple[list[int], list[str]] | None) -> None:
    """Name the layers below the lowest panel, or number them."""
    *upper, lowest = panels
    if ticks is None:
        lowest.set_xlabel("number of the layer, in forward order: input on the left")
    else:
        lowest.set_xticks(*ticks, rotation=90, fontsize="small")
    for axes in upper:
        axes.set_xticks([] if ticks is None else ticks[0])
        axes.tick_params(labelbottom=False)
        axes.set_xlim(lowest.get_xlim())
