"""The statistics of a tensor, each one row of a table, computed in the graph for many at once.

Each row says which power of a view's scale brings its result to the tensor's own units, which
happens on the host in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_initscope.measurement.views import View, share
from keras_initscope.records import Quantity

_SIGNALS = frozenset({Quantity.PREACTIVATION, Quantity.ACTIVATION})


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistic:
    """One row of the table.

    Args:
        name: Its name in `TensorStats.values`.
        of: `View` to `(tensors,)`.
        power: On the host the result is multiplied by this power of the view's scale.
        signals_only: Whether it only makes sense where examples pass through units.
        needs_slope: Whether it needs the slopes of an activation function.
    """

    name: str
    of: Callable[[View], Any]
    power: int = 0
    signals_only: bool = False
    needs_slope: bool = False


STATISTICS: tuple[Statistic, ...] = (
    Statistic(name="mean", of=lambda view: view.mean, power=1),
    Statistic(name="variance", of=lambda view: view.moments[2], power=2),
    Statistic(name="skewness", of=lambda view: view.moments[3] / view.moments[2] ** 1.5),
    Statistic(name="kurtosis", of=lambda view: view.moments[4] / view.moments[2] ** 2),
    Statistic(name="minimum", of=lambda view: view.minimum, power=1),
    Statistic(name="maximum", of=lambda view: view.maximum, power=1),
    Statistic(
        name="root_mean_square",
        of=lambda view: ops.sqrt(view.moments[2] + ops.square(view.mean)),
        power=1,
    ),
    Statistic(name="zero_fraction", of=lambda view: share(view.zeros, view.size)),
    Statistic(name="nonfinite_count", of=lambda view: view.nonfinite),
    Statistic(
        name="signal",
        of=lambda view: ops.mean(view.unit_variances, axis=1),
        power=2,
        signals_only=True,
    ),
    Statistic(
        name="constant",
        of=lambda view: ops.mean(ops.square(view.unit_means), axis=1),
        power=2,
        signals_only=True,
    ),
    Statistic(name="duplicate_fraction", of=lambda view: view.duplicates, signals_only=True),
    Statistic(name="relative_slope", of=lambda view: view.relative_slope, needs_slope=True),
    Statistic(name="dead_fraction", of=lambda view: view.dead, needs_slope=True),
    Statistic(name="saturated_fraction", of=lambda view: view.saturated, needs_slope=True),
)


def is_signal(quantity: Quantity) -> bool:
    """Whether the quantity's tensors are examples passing through units."""
    return quantity in _SIGNALS


def rows(*, signal: bool, sloped: bool) -> tuple[Statistic, ...]:
    """The rows that apply to a kind of tensor."""
    return tuple(
        row
        for row in STATISTICS
        if (signal or not row.signals_only) and (sloped or not row.needs_slope)
    )


def table(statistics: Sequence[Statistic], view: View) -> Any:
    """Scale and statistics of a batch of tensors.

    Args:
        statistics: Rows of the table.
        view: The tensors.

    Returns:
        `(tensors, 1 + rows)` float32 tensor, the scale first.
    """
    return ops.stack([view.scale, *(row.of(view) for row in statistics)], axis=1)
