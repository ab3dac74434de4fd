"""Rules of single units (U): saturated and dead ones."""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.chain import FEW, examples, is_fed
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.diagnosis.recurrent import bounded, candidates
from keras_initscope.records import Quantity, TensorStats

#: Share of a layer's units beyond which it is the layer that is saturated, or dead.
MOST = 0.5
#: Share of a layer's units that are dead on one batch beyond which it will not come back: half of
#: them are where a deep rectified signal has nearly collapsed.
NEARLY_ALL = 0.9
#: Mean slope of a layer, as a share of the greatest one, that is too little to start with: of tanh
#: where preactivations have a standard deviation of 5.
STEEP_ENOUGH = 0.15
#: Looks in a row at which units must be dead, and by how much more than at the start.
_LOOKS, _MORE = 3, 0.25
#: Examples below which a unit may be dead by chance: fewer fire on it than three in so many.
_MANY = 16


@rule("U1", needs=(Quantity.ACTIVATION,), silent_for=("N1", "D1", "F2", "F5", "U2", "U3"))
def saturated_units(case: Case) -> Evidence | None:
    """Saturated units.

    The units of a layer sit where their activation function is flat, in a recurrent layer that of
    what it adds to its state. Next to no gradient comes through them.

    Remedy: Start with smaller weights, scale the inputs to unit variance, or put a normalization
    layer before the activation.
    """
    flat = [
        entry
        for entry in case.of(Quantity.ACTIVATION)
        if not _rests_at_zero(entry) and entry.tap.layer not in case.outputs
    ]
    flat = sorted([*flat, *bounded(case)], key=lambda entry: entry.tap.depth)
    seen = [entry for entry in flat if examples(case, entry) >= FEW]  # one may be far out by chance
    found = _beyond(seen, "saturated_fraction", MOST, "saturated")
    return found or (_of_slope(flat) if case.is_fresh else None)


def _of_slope(entries: list[TensorStats]) -> Evidence | None:
    """What is flat from the start, the layer as a whole."""
    slopes = {e.tap.layer: e.values.get("relative_slope", float("nan")) for e in entries}
    found = {path: slope for path, slope in slopes.items() if slope < STEEP_ENOUGH}
    if not found:
        return None
    worst = min(found, key=lambda path: found[path])
    return Evidence(
        value=found[worst],
        threshold=STEEP_ENOUGH,
        layers=tuple(found),
        message=f"The mean slope of the activation of {worst} is {100 * found[worst]:.3g} % of the "
        f"greatest; it is below {100 * STEEP_ENOUGH:.0f} % in {len(found)} layers.",
    )


@rule("U2", needs=(Quantity.ACTIVATION,), silent_for=("N1",))
def dead_units(case: Case) -> Evidence | None:
    """Dead units.

    Nearly all units of a layer have slope zero for every example of the batch, or most of them have
    at one look after another and did not at first: no gradient comes through them, and none will
    move their weights.

    Remedy: Lower the learning rate, start with biases at zero and with He's weights, or take an
    activation that is nowhere flat (ELU, LeakyReLU, GELU).
    """
    rectified = [
        entry
        for entry in case.of(Quantity.ACTIVATION)
        if entry.values.get("dead_fraction", 0.0) > MOST  # asked first: the rest takes longer
        and _rests_at_zero(entry)
        and examples(case, entry) >= _MANY
        and is_fed(case, entry)
    ]
    found = _beyond(rectified, "dead_fraction", NEARLY_ALL, "dead")
    return found or _beyond(_dying(case, rectified), "dead_fraction", MOST, "dead")


def _dying(case: Case, entries: list[TensorStats]) -> list[TensorStats]:
    """Those of which most units have been dead for some looks, and were not at the first.

    Not of what only scales what passes beside it: a gate of a few units may well shut some.
    """
    before = case.earlier[1 - _LOOKS :]
    if len(case.earlier) < _LOOKS:
        return []
    start, *looks = (
        look.profile(Quantity.ACTIVATION, "dead_fraction") for look in (case.earlier[0], *before)
    )
    return [
        entry
        for entry in entries
        if entry.tap.layer in case.handing_on
        and entry.values.get("dead_fraction", 0.0) > start.get(entry.tap.name, 1.0) + _MORE
        and all(look.get(entry.tap.name, 0.0) > MOST for look in looks)
    ]


@rule("U3", needs=(Quantity.KERNEL, Quantity.ACTIVATION), silent_for=("N1",))
def symmetric_units(case: Case) -> Evidence | None:
    """Symmetric units.

    Units of a layer do the same for every example. Unless what follows tells them apart, the same
    comes back to them as well, and the layer is as good as one unit for ever.

    Remedy: Draw the weights at random, with an initializer of its own for each layer; constants are
    for biases.
    """
    signals = case.of(Quantity.ACTIVATION) + case.of(Quantity.PREACTIVATION) + candidates(case)
    known = {entry.tap.layer: entry for entry in signals}  # preactivations, where there are any
    kernels = {entry.tap.layer for entry in case.of(Quantity.KERNEL)} - case.outputs
    found = [
        entry
        for path, entry in known.items()
        if path in kernels
        and not case.layers[path].kind.endswith("Normalization")  # which make all units alike
        and entry.values.get("duplicate_fraction", 0.0) > MOST
        and examples(case, entry) >= FEW
    ]
    found.sort(key=lambda entry: entry.tap.depth)
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
    flat = entry.values.get("saturated_fraction", 0.0)  # a sigmoid gives 0 too, far out
    return entry.values.get("zero_fraction", 0.0) > 0.5 * flat


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
