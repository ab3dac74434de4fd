"""Rules of numbers that a type of numbers cannot hold (N)."""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity

_FORWARD = (Quantity.KERNEL, Quantity.BIAS, Quantity.PREACTIVATION, Quantity.ACTIVATION)


@rule("N1")
def not_finite(case: Case) -> Evidence | None:
    """Numbers that are not finite.

    A tensor holds NaN or infinite values. They spread to the loss, to all gradients and with the
    next step to all weights.

    Remedy: Look at the first layer that is named. If its weights are finite, look at its inputs: at
    missing values in the data, at divisions and logarithms of zero; else lower the learning rate or
    clip the gradient (`clipnorm`), and start with smaller weights.
    """
    broken = [e for e in case.snapshot.stats if e.values.get("nonfinite_count", 0.0) > 0]
    if not broken:
        return None
    # What was there first: weights before signals, signals forward, then gradients.
    first = min(broken, key=lambda e: (e.tap.quantity not in _FORWARD, e.tap.depth))
    count = sum(e.values["nonfinite_count"] for e in broken)
    paths = dict.fromkeys(e.tap.layer for e in (first, *broken))
    return Evidence(
        value=count,
        threshold=0.0,
        layers=tuple(paths),
        certain=True,
        message=(
            f"{first.values['nonfinite_count']:.0f} of {first.tap.size} elements of the "
            f"{first.tap.quantity} of {first.tap.layer} are not finite; there are more in "
            f"{len(broken) - 1} other tensors."
        ),
    )
