"""A handful of numbers that say how a whole network stands, from one snapshot.

Owns scalars over all layers. Reads records only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keras_initscope.records import Quantity, Snapshot, TensorStats

_TINY = 1e-76  # the square of the least normal float32: below it a second moment is zero here


def summarize(snapshot: Snapshot) -> dict[str, float]:
    """Scalars over the layers of one snapshot.

    Slopes are changes of the natural logarithm a layer, over the layers that have a kernel, of the
    second moment of the preactivation (forward) and of its gradient (backward): 0 keeps the
    signal, -0.69 halves it at every layer.

    Args:
        snapshot: What was measured.

    Returns:
        Name to value; a number that the snapshot does not hold is absent.
    """
    forward = [_second_moment(s) for s in _of(snapshot, Quantity.PREACTIVATION)]
    backward = [_second_moment(s) for s in _of(snapshot, Quantity.PREACTIVATION_GRADIENT)]
    activations = list(_of(snapshot, Quantity.ACTIVATION))
    found = {
        "forward_slope": _slope(forward),
        "backward_slope": _slope(backward),
        "dead_fraction": _mean(activations, "dead_fraction"),
        "saturated_fraction": _mean(activations, "saturated_fraction"),
        "nonfinite_count": float(sum(s.values["nonfinite_count"] for s in snapshot.stats)),
    }
    shares = {s.tap.depth: _signal_share(s) for s in activations if _signal_share(s) is not None}
    if shares:
        weakest = min(shares, key=lambda depth: shares[depth] or 0.0)
        found["weakest_signal_share"] = shares[weakest]
        found["weakest_signal_depth"] = float(weakest)
    drifts = {s.tap.depth: s.values["drift"] for s in activations if "drift" in s.values}
    if drifts:
        strongest = max(drifts, key=lambda depth: drifts[depth])
        found["largest_drift"] = drifts[strongest]
        found["largest_drift_depth"] = float(strongest)
    return {name: value for name, value in found.items() if value is not None}


def _of(snapshot: Snapshot, quantity: Quantity) -> Iterable[TensorStats]:
    return (s for s in snapshot.stats if s.tap.quantity is quantity and not s.tap.part)


def _second_moment(stats: TensorStats) -> float:
    return stats.values["root_mean_square"] ** 2


def _signal_share(stats: TensorStats) -> float | None:
    signal, constant = stats.values["signal"], stats.values["constant"]
    return signal / (signal + constant) if signal + constant > 0 else None


def _slope(moments: list[float]) -> float | None:
    known = [(i, q) for i, q in enumerate(moments) if np.isfinite(q)]
    if len(known) < 2:
        return None
    depths, values = np.array(known).T
    return float(np.polyfit(depths, np.log(np.maximum(values, _TINY)), 1)[0])


def _mean(stats: list[TensorStats], name: str) -> float | None:
    values = [s.values[name] for s in stats if np.isfinite(s.values.get(name, np.nan))]
    return float(np.mean(values)) if values else None
