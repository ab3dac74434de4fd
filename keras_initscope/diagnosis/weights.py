"""Rules of the weights and their updates (W)."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity

_KERNEL, _UPDATE = (Quantity.KERNEL,), (Quantity.KERNEL_UPDATE,)

#: Share of its own size by which a weight must move in a whole training to have learnt anything.
NOTHING = 0.01
#: Training steps that a fit is taken to have at least: a short one is a trial.
USUAL_STEPS = 10_000
#: Share of its own size by which one step moves a weight at most where steps build on each other.
WHOLE = 0.3
#: Looks back over which the greatest speed counts, for rates that rise and fall.
_BACK = 8
#: Standard deviations by which a layer drifts from look to look, for so many in a row.
OWN, _PERSISTENT = 1.0, 3


def is_fast(case: Case) -> bool:
    """Whether one step moves most kernels by a good part of their own size."""
    speeds = case.snapshot.speeds
    return 2 * len(_fast(speeds)) > len(speeds)


def _fast(speeds: Mapping[str, float]) -> dict[str, float]:
    return {path: speed for path, speed in speeds.items() if WHOLE < speed < inf}


@rule(
    "W2",
    needs=(*_KERNEL, *_UPDATE),
    silent_for=("N1", "B3", "D1", "F1", "B1", "U1", "U2"),
    whole=True,
)
def frozen_weights(case: Case) -> Evidence | None:
    """Frozen weights.

    In all steps that are planned together, and in ten thousand at least, the kernels of all layers
    would move by less than a hundredth of their own size: the network stays what it was.

    Remedy: Raise the learning rate by powers of ten, until the loss falls within the first hundred
    steps.
    """
    steps = max(case.model.planned_steps or 0, USUAL_STEPS)
    reach = {path: speed * steps for path, speed in case.snapshot.speeds.items()}
    if not reach or max(reach.values()) >= NOTHING:
        return None
    looks = reversed(case.earlier[-_BACK:])
    if any(max(look.speeds.values(), default=0.0) * steps >= NOTHING for look in looks):
        return None  # the rate was greater, and has come down
    farthest = max(reach, key=lambda path: reach[path])
    return Evidence(
        value=reach[farthest],
        threshold=NOTHING,
        layers=tuple(reach),
        message=(
            f"At the present rate {steps} steps move the kernel of {farthest}, the fastest, by "
            f"{reach[farthest]:.2g} of its size."
        ),
    )


@rule("W3", needs=(*_KERNEL, *_UPDATE), silent_for=("N1", "F2", "F4", "D1", "D2", "U3"))
def thrashing_weights(case: Case) -> Evidence | None:
    """Thrashing weights.

    One step moves the kernels by a good part of their own size, and the loss does not fall: each
    step undoes what the one before has learnt.

    Remedy: Lower the learning rate by powers of ten, or raise it from a small one over the first
    steps (warm-up).
    """
    fast, tried = _fast(case.snapshot.speeds), case.rehearsed
    is_failing = tried[-1] >= tried[0] if tried else case.is_failing
    if not is_failing or not is_fast(case):
        return None
    seen = (
        ""
        if not tried
        else (
            f" In {len(tried) - 1} steps that were tried on one batch the loss went from "
            f"{tried[0]:.3g} to {tried[-1]:.3g}."
        )
    )
    return Evidence(
        value=max(fast.values()),
        threshold=WHOLE,
        layers=tuple(fast),
        certain=bool(tried),
        message=f"A step moves the kernels of {len(fast)} layers by up to "
        f"{max(fast.values()):.2g} times their own size.{seen}",
    )


@rule("W4", silent_for=("N1", "W3"), probe=True)
def drifting_layers(case: Case) -> Evidence | None:
    """Drifting layers.

    On examples that stay the same, what most layers give moves by more than its own standard
    deviation from look to look, and the loss does not fall: each layer learns from inputs that are
    gone when it has learnt. The examples are the same each time, so that chance has no part in it
    but that of dropout, about one over the root of their number.

    Remedy: Lower the learning rate, put normalization layers before the activations, or warm the
    rate up.
    """
    looks = [look.profile(Quantity.ACTIVATION, "drift") for look in case.probe[-_PERSISTENT:]]
    if len(looks) < _PERSISTENT or not case.is_failing:
        return None
    moved = {path: min(look.get(path, 0.0) for look in looks) for path in looks[-1]}
    far = {path: drift for path, drift in moved.items() if drift > OWN}
    if 2 * len(far) <= len(moved):
        return None
    worst = max(far, key=lambda path: far[path])
    return Evidence(
        value=far[worst],
        threshold=OWN,
        layers=tuple(far),
        message=f"At each of {len(looks)} looks {worst} had moved by {far[worst]:.2g} standard "
        "deviations and more since the one before.",
    )
