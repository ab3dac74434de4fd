"""How far the units of a layer have drifted between two looks at the same examples.

Owns the distance. Reads records only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_initscope.records import Snapshot, Tap, TensorStats, Units


def drifted(snapshot: Snapshot, before: Snapshot, first: Snapshot) -> Snapshot:
    """The snapshot with what has drifted in each layer, in standard deviations (sigmas).

    The drift of a unit is the shift of its mean over the examples, divided by its standard
    deviation over them at the earlier look; that of a layer is the root mean square over its units.
    Units that gave the same for every example have no such scale and are left out.

    Args:
        snapshot: What was measured, unit by unit.
        before: The look before, at the same examples.
        first: The first look at them.

    Returns:
        The same with the statistics `drift` (since the look before) and `drift_from_start`, which
        are absent where no unit has a scale.

    Reference: what Ioffe & Szegedy 2015 (arXiv:1502.03167, section 2) call internal covariate
    shift, measured where they define it: the change of the distribution of a layer's activations.
    """
    earlier = {"drift": before, "drift_from_start": first}
    known = {name: {s.tap: s for s in each.stats} for name, each in earlier.items()}
    stats = tuple(
        replace(entry, values={**entry.values, **_drifts(entry, known)}) for entry in snapshot.stats
    )
    return replace(snapshot, stats=stats)


def _drifts(entry: TensorStats, known: dict[str, dict[Tap, TensorStats]]) -> dict[str, float]:
    found = {}
    for name, earlier in known.items():
        other = earlier.get(entry.tap)
        if entry.units is not None and other is not None and other.units is not None:
            distance = _distance(entry.units, other.units)
            if np.isfinite(distance):
                found[name] = distance
    return found


def _distance(units: Units, earlier: Units) -> float:
    scaled = earlier.deviations > 0
    if not scaled.any():
        return float("nan")
    shift = (units.means - earlier.means)[scaled] / earlier.deviations[scaled]
    return float(np.sqrt(np.mean(np.square(shift))))
