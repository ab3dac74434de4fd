"""Rules of numbers that a type of numbers cannot hold (N)."""

from __future__ import annotations

from math import inf, log10

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.data import output_beside_the_loss
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import LIMITS, Quantity, TensorStats

#: Decades that must lie between the greatest number and that of its type.
HEADROOM = 1.0

_FORWARD = (Quantity.KERNEL, Quantity.BIAS, Quantity.PREACTIVATION, Quantity.ACTIVATION)


_SOUND = (
    " All that the layers give is finite: look at the targets for missing values, and at the loss."
)


@rule("N1", silent_for=("D2",))
def not_finite(case: Case) -> Evidence | None:
    """Numbers that are not finite.

    A tensor holds NaN or infinite values. They spread to the loss, to all gradients and with the
    next step to all weights.

    Remedy: Look at the first layer that is named. If its weights are finite, look at its inputs: at
    missing values in the data, at divisions and logarithms of zero; else lower the learning rate or
    clip the gradient (`clipnorm`), and start with smaller weights.
    """
    broken = case.broken
    if not broken or _comes_from_the_loss(case, broken):
        return None
    # What was there first: weights before signals, signals forward, then gradients.
    first = min(broken, key=lambda e: (e.tap.quantity not in _FORWARD, e.tap.depth))
    count = sum(e.values["nonfinite_count"] for e in broken)
    paths = [first.tap.layer, *(e.tap.layer for e in broken if e.tap.depth >= first.tap.depth)]
    return Evidence(
        value=count,
        threshold=0.0,
        layers=tuple(dict.fromkeys(paths)),
        certain=True,
        message=(
            f"{first.values['nonfinite_count']:.0f} of {first.tap.size} elements of the "
            f"{first.tap.quantity} of {first.tap.layer} are not finite; there are more in "
            f"{len(broken) - 1} other tensors.{_SOUND if _is_forward_sound(broken) else ''}"
        ),
    )


def _is_forward_sound(broken: list[TensorStats]) -> bool:
    return all(entry.tap.quantity not in _FORWARD for entry in broken)


def _comes_from_the_loss(case: Case, broken: list[TensorStats]) -> bool:
    """Whether all is well up to a loss that the outputs do not suit, such as logarithms of zero."""
    return _is_forward_sound(broken) and output_beside_the_loss(case) is not None


@rule("N2", silent_for=("N1", "D1", "D2", "F2"))
def little_headroom(case: Case) -> Evidence | None:
    """Little numeric headroom.

    The greatest values of a layer come within a decade of the greatest that its type of numbers can
    hold: a little more, and they are infinite.

    Remedy: Compute this layer in float32 (`dtype="float32"`) or in bfloat16, put a normalization
    layer before it, or scale what it receives.
    """
    forward = [e for each in _FORWARD for e in case.snapshot.by_quantity.get(each, ())]
    ends = {each.path: LIMITS.get(each.dtype, (0.0, inf))[1] for each in case.model.layers}
    far = {path: end / 10**HEADROOM for path, end in ends.items()}
    near = [e for e in forward if far.get(e.tap.layer, inf) < _greatest(e) < inf]
    if not near:
        return None
    first = min(near, key=lambda entry: entry.tap.depth)
    kind, end = case.layers[first.tap.layer].dtype, ends[first.tap.layer]
    return Evidence(
        value=log10(end / _greatest(first)),
        threshold=HEADROOM,
        layers=tuple(dict.fromkeys(entry.tap.layer for entry in near)),
        message=f"The {first.tap.quantity} of {first.tap.layer} comes up to "
        f"{_greatest(first):.3g}; {kind} ends at {end:.3g}.",
    )


def _greatest(entry: TensorStats) -> float:
    return max(entry.values["maximum"], -entry.values["minimum"])
