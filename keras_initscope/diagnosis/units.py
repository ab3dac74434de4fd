"""Rules of single units (U): saturated and dead ones."""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity, TensorStats

#: Share of a layer's units beyond which it is the layer that is saturated.
MOST = 0.5
#: Share of a layer's units that are dead on one batch beyond which it will not come back: half of
#: them are where a deep rectified signal has nearly collapsed.
NEARLY_ALL = 0.9


@rule("U1", needs=(Quantity.ACTIVATION,), silent_for=("N1", "D1", "F2", "U2", "U3"))
def saturated_units(case: Case) -> Evidence | None:
    """Saturated units.

    More than half of the units of a layer sit where their activation function is flat: their mean
    slope over the examples is below 5 % of the greatest. Next to no gradient comes through.

    Remedy: Start with smaller weights, scale the inputs to unit variance, or put a normalization
    layer before the activation.
    """
    flat = [e for e in case.of(Quantity.ACTIVATION) if not _rests_at_zero(e)]
    return _beyond(flat, "saturated_fraction", MOST, "saturated")


@rule("U2", needs=(Quantity.ACTIVATION,), silent_for=("N1",))
def dead_units(case: Case) -> Evidence | None:
    """Dead units.

    Nearly all units of a layer have slope zero for every example of the batch: no gradient comes
    through them, and none will move their weights.

    Remedy: Lower the learning rate, start with biases at zero and with He's weights, or take an
    activation that is nowhere flat (ELU, LeakyReLU, GELU).
    """
    rectified = [e for e in case.of(Quantity.ACTIVATION) if _rests_at_zero(e)]
    return _beyond(rectified, "dead_fraction", NEARLY_ALL, "dead")


@rule("U3", needs=(Quantity.KERNEL, Quantity.PREACTIVATION), silent_for=("N1",))
def symmetric_units(case: Case) -> Evidence | None:
    """Symmetric units.

    Units of a layer do the same for every example. Unless what follows tells them apart, the same
    comes back to them as well, and the layer is as good as one unit for ever.

    Remedy: Draw the weights at random, with an initializer of its own for each layer; constants are
    for biases.
    """
    outputs = set(case.model.outputs)
    kernels = {entry.tap.layer for entry in case.of(Quantity.KERNEL)}
    found = [
        entry
        for entry in case.of(Quantity.PREACTIVATION)
        if entry.tap.layer in kernels - outputs
        and entry.values.get("duplicate_fraction", 0.0) > MOST
    ]
    if not found:
        return None
    first = found[0]
    return Evidence(
        value=first.values["duplicate_fraction"],
        threshold=MOST,
        layers=tuple(e.tap.layer for e in found),
        message=(
            f"{100 * first.values['duplicate_fraction']:.0f} % of the units of {first.tap.layer} "
            "have another one that gives the same."
        ),
    )


def _rests_at_zero(entry: TensorStats) -> bool:
    """Whether the activation is flat where it gives zero, as rectifiers are and no sigmoid."""
    return entry.values.get("zero_fraction", 0.0) > 0.5 * entry.values.get("dead_fraction", 0.0)


def _beyond(entries: list[TensorStats], statistic: str, share: float, word: str) -> Evidence | None:
    found = [e for e in entries if e.values.get(statistic, 0.0) > share]
    if not found:
        return None

    def height(entry: TensorStats) -> float:
        return entry.values[statistic]

    worst = max(found, key=height)
    return Evidence(
        value=height(worst),
        threshold=share,
        layers=tuple(e.tap.layer for e in found),
        message=(
            f"{100 * height(worst):.0f} % of the units of {worst.tap.layer} are {word}; so are "
            f"more than {100 * share:.0f} % in {len(found)} layers."
        ),
    )
