"""Rules of the weights and their updates (W)."""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case, second_moment
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity

#: Share of its own size by which a weight must move in a whole training to have learnt anything.
NOTHING = 1e-4
#: Training steps that a fit of unknown length is taken to have.
USUAL_STEPS = 10_000
#: Of its own size, by which one step moves a weight at most: beyond it nothing of it is left.
WHOLE = 1.0


def _speeds(case: Case) -> dict[str, float]:
    """By what share of its own size one step moves each kernel that is not zero."""
    sizes = {e.tap.name: second_moment(e) ** 0.5 for e in case.of(Quantity.KERNEL)}
    steps = max(1, case.snapshot.info.updates)
    return {
        entry.tap.layer: second_moment(entry) ** 0.5 / steps / sizes[entry.tap.name]
        for entry in case.of(Quantity.KERNEL_UPDATE)
        if sizes.get(entry.tap.name, 0.0) > 0
    }


@rule("W2", needs=(Quantity.KERNEL, Quantity.KERNEL_UPDATE), silent_for=("N1", "B3", "F1", "B1"))
def frozen_weights(case: Case) -> Evidence | None:
    """Frozen weights.

    In all steps that are planned together the kernels of all layers would move by less than a ten
    thousandth of their own size: the network stays what it was.

    Remedy: Raise the learning rate by powers of ten, until the loss falls within the first hundred
    steps.
    """
    steps = case.model.planned_steps or USUAL_STEPS
    reach = {path: speed * steps for path, speed in _speeds(case).items()}
    if not reach or max(reach.values()) >= NOTHING:
        return None
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


@rule("W3", needs=(Quantity.KERNEL, Quantity.KERNEL_UPDATE), silent_for=("N1",))
def thrashing_weights(case: Case) -> Evidence | None:
    """Thrashing weights.

    One step moves the kernels by more than their own size, and the loss does not fall: each step
    undoes what the one before has learnt.

    Remedy: Lower the learning rate by powers of ten, or raise it from a small one over the first
    steps (warm-up).
    """
    speeds = _speeds(case)
    fast = {path: speed for path, speed in speeds.items() if speed > WHOLE}
    if not case.is_failing or 2 * len(fast) <= len(speeds):
        return None
    return Evidence(
        value=max(fast.values()),
        threshold=WHOLE,
        layers=tuple(fast),
        message=f"A step moves the kernels of {len(fast)} layers by up to "
        f"{max(fast.values()):.2g} times their own size.",
    )
