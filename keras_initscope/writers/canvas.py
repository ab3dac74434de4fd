"""Pictures as PNG, and what all pictures of layers share.

Owns the making of a figure, its bytes, and how layers are named along an axis. Matplotlib takes
long to import, and measuring does not need it: it is imported here, when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from keras_initscope.text import shortened

_DPI = 110
_NAMED = 40  # layers that can be named along an axis
_LONGEST = 20  # characters of a name


def figure_of(width: float, height: float) -> Any:
    """An empty figure of so many inches, that no window and no other thread knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    return figure


def frame(
    figure: Any, panels: int, *, left: float, right: float, bottom: float, top: float, gap: float
) -> None:
    """Set the margins and the gap between panels above each other, in inches.

    Matplotlib's own layout measures every label of every axis twice, which takes longer than to
    draw the picture.
    """
    width, height = figure.get_size_inches()
    panel = (height - top - bottom - (panels - 1) * gap) / panels
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        hspace=gap / panel,
    )


def room_for(names: Sequence[str]) -> float:
    """Inches that the longest of some small names takes."""
    return 0.2 + 0.062 * max(map(len, names), default=0)


def png_of(figure: Any) -> bytes:
    """The figure as a PNG file, drawn in a thread of its own.

    Matplotlib's parser of labels leaves exceptions in reference cycles, and they hold on to all
    that called it: at the end of a fit to the fit, its data and the iterators over it. TensorFlow
    makes whoever frees such an iterator late wait, up to half a minute. Nobody calls a thread.
    """
    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_drawn, figure).result()
    except RuntimeError:  # an interpreter on its way out starts no thread
        return _drawn(figure)


def _drawn(figure: Any) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def label(text: str) -> str:
    """A name as Matplotlib's own font can show it, and not as a formula."""
    known = text.encode("latin-1", "replace").decode("latin-1")
    return "".join(c if c.isprintable() else "?" for c in known).replace("$", "S")


def layer_ticks(paths: Sequence[str], places: Sequence[int]) -> tuple[list[int], list[str]] | None:
    """Where along an axis which layer is named; `None` of so many that numbers have to do."""
    if len(paths) > _NAMED:
        return None
    names = (label(path.rsplit("/", 1)[-1]) for path in paths)
    return list(places), [shortened(name, _LONGEST) for name in names]
