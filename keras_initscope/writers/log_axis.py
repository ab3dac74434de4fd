"""An axis of powers of ten on which a zero has a place too.

Owns where a value lies on it and how it is labelled. Draws no line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def decades(values: Iterable[float]) -> tuple[int, int]:
    """The whole decades that hold all positive finite values."""
    logs = [np.log10(value) for value in values if 0 < value < np.inf] or [0.0]
    low, high = int(np.floor(min(logs))), int(np.ceil(max(logs)))
    return low, max(high, low + 1)


def foot_of(low: int, high: int) -> float:
    """Where a zero is drawn: below the lowest decade."""
    return low - max(1.0, 0.07 * (high - low))


def height(value: float, foot: float) -> float:
    """The logarithm of a value, `foot` for a zero, NaN for what is not finite or negative."""
    if value == 0:
        return foot
    return float(np.log10(value)) if 0 < value < np.inf else float("nan")


def label_decades(axes: Any, low: int, high: int, foot: float | None) -> None:
    """Set limits and ticks of the vertical axis of some axes.

    Args:
        axes: Matplotlib axes that hold logarithms.
        low: The lowest decade.
        high: The highest decade.
        foot: Where zeros are drawn, `None` where there are none.
    """
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) <= 7 * step)
    powers = [decade for decade in range(low, high + 1) if decade % step == 0]
    ticks = [(float(decade), f"$10^{{{decade}}}$") for decade in powers]
    if foot is not None:
        ticks.insert(0, (foot, "0"))
    bottom = low if foot is None else foot
    margin = high - bottom
    axes.set_ylim(bottom - 0.03 * margin, high + 0.05 * margin)
    axes.set_yticks([where for where, _ in ticks], [text for _, text in ticks])
