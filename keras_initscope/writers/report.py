"""A report as a Markdown file with a picture.

Owns the picture of signal and gradient over depth. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, isfinite, log1p, nan
from pathlib import Path
from typing import Any

from keras_initscope.records import LayerRow, Report
from keras_initscope.text import shortened
from keras_initscope.writers.log_axis import decades, foot_of, height, label_decades

# Okabe and Ito's colours, which the colour-blind tell apart.
_MEASURED, _PREDICTED = "#0072B2", "#D55E00"
_PANELS = {
    "q": ("activation\nmean square", "predicted_q", "q_error", "q_median", "measured_q"),
    "g": (
        "gradient\nmean square",
        "predicted_gradient",
        "gradient_error",
        "gradient_median",
        "measured_gradient",
    ),
}
_BAND = "two out of three networks of this width"
_BAND_TRAINED = f"{_BAND}, if their weights were fresh"
_NAMED = 40  # layers that can be named below the picture
_LONGEST = 20  # characters of a name below the picture
_MARKED = 60  # layers that can each bear a marker


def write_report(report: Report, directory: str | Path) -> tuple[Path, Path]:
    """Write a report as `report.md`, with the picture `depth.png` in it.

    Args:
        report: What `inspect` returned.
        directory: Where to; made if it is not there.

    Returns:
        The paths of both files.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_initscope as initscope
    from keras_initscope.writers import write_report

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "tanh")])
    report = initscope.inspect(model, np.eye(8))
    text, picture = write_report(report, "look")
    assert text.read_text().startswith("# ") and picture.name == "depth.png"
    ```
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    picture = draw_report(report, folder / "depth.png")
    text = folder / "report.md"
    body = f"# {report.model.name}\n\n![Signal and gradient over depth]({picture.name})\n\n"
    text.write_text(body + report.markdown(), encoding="utf-8")
    return text, picture


def draw_report(report: Report, path: str | Path) -> Path:
    """Draw mean squares of activations and gradients over depth, measured and predicted.

    A prediction is dashed, with the band in which two networks of this width out of three lie. A
    zero is drawn at the foot of the panel, labelled 0; where nothing is known or finite there is a
    gap.

    Args:
        report: What `inspect` returned.
        path: Where to save it, as PNG.

    Returns:
        The path.
    """
    # Matplotlib takes long to import, and measuring does not need it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(report.shown)
    figure = Figure(figsize=(min(14.0, 6.5 + 0.08 * count), 6.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(_PANELS), 1, sharex=True)
    band = _BAND_TRAINED if report.measured.step else _BAND
    for axes, (label, *fields) in zip(panels, _PANELS.values(), strict=True):
        _draw_panel(axes, report.shown, fields, band)
        axes.set_ylabel(label)
    _label_layers(panels[-1], report.shown)
    panels[0].set_title(f"{report.model.name}: {report.loss}", fontsize="medium")
    entries = dict(reversed(entry) for axes in panels for entry in _legend(axes))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.savefig(Path(path), format="png")
    return Path(path)


def _legend(axes: Any) -> list[tuple[Any, str]]:
    return list(zip(*axes.get_legend_handles_labels(), strict=True))


def _draw_panel(axes: Any, rows: Sequence[LayerRow], fields: Sequence[str], name: str) -> None:
    predicted, errors, medians, measured = (_column(rows, name) for name in fields)
    lower, upper = _band(predicted, errors, medians)
    values = [*predicted, *measured, *lower, *upper]
    low, high = decades(values)
    foot = foot_of(low, high)
    places = [row.layer.depth for row in rows]

    def heights(line: Sequence[float]) -> list[float]:
        return [height(value, foot) for value in line]

    few = len(rows) <= _MARKED
    style = {"color": _MEASURED, "marker": "o" if few else "", "markersize": 4.0}
    axes.plot(places, heights(measured), label="measured", linewidth=1.5, **style)
    style = {"color": _PREDICTED, "marker": "_" if few else "", "markersize": 7.0}
    style["markeredgewidth"] = 2.0
    axes.plot(places, heights(predicted), "--", label="theory", linewidth=1.5, **style)
    if _has_width(heights(lower), heights(upper)):
        band = {"color": _PREDICTED, "alpha": 0.2, "linewidth": 0}
        axes.fill_between(places, heights(lower), heights(upper), label=name, **band)
    axes.grid(alpha=0.3)
    label_decades(axes, low, high, foot if 0.0 in values else None)


def _column(rows: Sequence[LayerRow], name: str) -> list[float]:
    found = [getattr(row, name) for row in rows]
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


def _label_layers(axes: Any, rows: Sequence[LayerRow]) -> None:
    if len(rows) > _NAMED:
        axes.set_xlabel("layer")
        return
    names = [shortened(row.layer.path.rsplit("/", 1)[-1], _LONGEST) for row in rows]
    axes.set_xticks([row.layer.depth for row in rows], names, rotation=90, fontsize="small")
