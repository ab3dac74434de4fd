"""A report as a Markdown file with pictures.

Owns its files and which pictures belong to which report. Computes no statistic.
"""

from __future__ import annotations

from pathlib import Path

from keras_initscope.records import FitReport, LayerRow, Report
from keras_initscope.writers.depth_picture import depth_picture
from keras_initscope.writers.heatmap import heatmap

_CAPTIONS = {
    "depth.png": "Signal and gradient over depth",
    "heatmap.png": "Signal and gradient by layer and training step",
}


def write_report(report: Report | FitReport, directory: str | Path) -> tuple[Path, ...]:
    """Write a report as `report.md`, with its pictures beside it.

    Args:
        report: What `inspect`, `VarianceMonitor.report` or `fit_report` returned.
        directory: Where to; made if it is not there.

    Returns:
        The paths of `report.md`, `depth.png` and, of a fit of more than one look, `heatmap.png`.

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
    return save_report(report, pictures_of(report), directory)


def save_report(
    report: Report | FitReport, pictures: dict[str, bytes], directory: str | Path
) -> tuple[Path, ...]:
    """As `write_report`, with pictures that are already drawn."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in pictures.items():
        (folder / name).write_bytes(png)
    text = folder / "report.md"
    text.write_text(_page(report, list(pictures)), encoding="utf-8")
    return text, *(folder / name for name in pictures)


def _page(report: Report | FitReport, pictures: list[str]) -> str:
    """What is wrong stays first; the pictures come right after it."""
    first, *others = (f"## {each.title}\n\n{each.markdown}" for each in report.sections)
    shown = [f"![{_CAPTIONS[name]}]({name})" for name in pictures]
    parts = [f"# {report.model.name}", report.headline, first, *shown, *others]
    return "\n\n".join(parts) + "\n"


def pictures_of(report: Report | FitReport) -> dict[str, bytes]:
    """Draw the pictures of a report.

    Args:
        report: What `inspect`, `VarianceMonitor.report` or `fit_report` returned.

    Returns:
        Name of the file to PNG: `depth.png` and, of a fit of more than one look, `heatmap.png`.
    """
    marked = {path for finding in report.findings for path in finding.layers}
    if isinstance(report, Report):
        title = f"{report.model.name}: {report.loss}"
        rows, fresh = report.shown, report.measured.step == 0
        return {
            "depth.png": depth_picture(title, rows, {"measured": rows}, marked=marked, fresh=fresh)
        }
    first, last = _shown(report)
    lines = {f"measured at step {report.snapshots[0].step}": first}
    if len(report.snapshots) > 1:
        lines[f"measured at step {report.snapshots[-1].step}"] = last
    title = f"{report.model.name}: signal and gradient over depth"
    fresh = report.snapshots[0].step == 0
    drawn = {"depth.png": depth_picture(title, first, lines, marked=marked, fresh=fresh)}
    map_of_looks = heatmap(report)
    return drawn if map_of_looks is None else {**drawn, "heatmap.png": map_of_looks}


def _shown(report: FitReport) -> tuple[list[LayerRow], list[LayerRow]]:
    """The rows of the first and the last look that say something at either."""
    pairs = list(zip(report.first, report.last, strict=True))
    kept = [(a, b) for a, b in pairs if not (a.is_empty and b.is_empty)] or pairs
    return [a for a, _ in kept], [b for _, b in kept]
