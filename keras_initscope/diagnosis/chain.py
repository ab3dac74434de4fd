"""Views of a case along the depth of the network: which layers stand in a row, and what of them.

Owns which layers count for a trend over depth and which have units enough to be judged. Finds
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from keras_initscope.diagnosis.case import Case, second_moment
from keras_initscope.records import LayerInfo, Quantity, TensorStats

_GIVEN_ON = {
    Quantity.PREACTIVATION: Quantity.ACTIVATION,
    Quantity.PREACTIVATION_GRADIENT: Quantity.ACTIVATION_GRADIENT,
}
#: Standard deviation that the preactivations of the first layer have at most where inputs and
#: weights suit each other: ten times of what they are meant to be.
LARGE = 10.0
#: Examples below which nothing is said of how they differ.
FEW = 8


def weighted(case: Case, quantity: Quantity) -> list[TensorStats]:
    """The layers that have a kernel with anything in it, in forward order.

    One that starts at zero, as a head or the end of a residual branch may, takes no part in a
    trend: it grows with the first step.
    """
    known = [entry for path, entry in case.at(quantity).items() if path in case.weighted]
    loops = _of_each_step(case, quantity)
    return sorted([*known, *loops], key=lambda entry: entry.tap.depth) if loops else known


def _of_each_step(case: Case, quantity: Quantity) -> list[TensorStats]:
    """What `TimeDistributed` gives on, in place of what is out of sight in its loop over steps."""
    if quantity not in _GIVEN_ON:
        return []
    loops = {each.path for each in case.model.layers if each.kind == "TimeDistributed"}
    if not loops:
        return []
    seen = {entry.tap.layer.rpartition("/")[0] for entry in case.of(quantity)}
    unseen = loops & {path.rpartition("/")[0] for path in case.weighted} - seen
    return [entry for entry in case.of(_GIVEN_ON[quantity]) if entry.tap.layer in unseen]


def hidden(case: Case, quantity: Quantity) -> list[TensorStats]:
    """The same without the outputs, which may be as small as they like."""
    return [e for e in weighted(case, quantity) if e.tap.layer not in case.outputs]


def unnormalized(case: Case, entries: Iterable[TensorStats]) -> list[TensorStats]:
    """Those of which a normalization does not undo the scale before it matters."""
    return [entry for entry in entries if normalized_by(case, entry) is None]


def gradients(case: Case) -> list[TensorStats]:
    """Gradients by what hidden layers give to their activation functions, in forward order.

    Where a normalization stands between, by what that gives: before it the scale of a gradient is
    one over the arbitrary one of the signal.
    """
    behind = case.at(Quantity.ACTIVATION_GRADIENT)
    found = []
    for entry in hidden(case, Quantity.PREACTIVATION_GRADIENT):
        norm = normalized_by(case, entry)
        found.append(entry if norm is None else behind.get(norm.path, entry))
    return found


def normalized_by(case: Case, entry: TensorStats) -> LayerInfo | None:
    """The normalization that follows before anything that is not linear, or a merge."""
    return case.network.normalized_by.get(entry.tap.layer)


def examples(case: Case, entry: TensorStats) -> float:
    """How many examples or positions a unit was seen for; unknown ones count as one unit."""
    layer = case.layers.get(entry.tap.layer)
    units = layer.units if layer is not None and layer.units else 1
    return entry.tap.size / units


def is_fed(case: Case, entry: TensorStats) -> bool:
    """Whether anything but zeros comes to a layer: of zeros nothing can come alive."""
    kernels, signals = case.at(Quantity.KERNEL), case.at(Quantity.PREACTIVATION)
    nearest = case.network.nearest(entry.tap.layer, kernels)
    return not nearest or any(
        second_moment(kernels[path]) > 0
        and (path not in signals or second_moment(signals[path]) > 0)
        for path in nearest
    )


def weight_gain(case: Case, kernel: TensorStats) -> float:
    """`sqrt(n Var w)` of a kernel, by which it multiplies a signal; 1 where `n` is not known."""
    layer = case.layers.get(kernel.tap.layer)
    if layer is None or not layer.units or second_moment(kernel) == 0:
        return 1.0
    return float((second_moment(kernel) * kernel.tap.size / layer.units) ** 0.5)


def behind_the_input(case: Case, entries: list[TensorStats]) -> list[TensorStats]:
    """Those of a trend: not first ones that are as large as inputs are, nor what is not fed."""
    is_gated = any(second_moment(entry) == 0 for entry in case.of(Quantity.KERNEL))
    return [
        entry
        for entry in entries
        if not (is_gated and second_moment(entry) == 0)
        and not (entry.tap.layer in case.inputs and second_moment(entry) > LARGE**2)
    ]


def paths(entries: Iterable[TensorStats]) -> tuple[str, ...]:
    """The layers, in the order given."""
    return tuple(entry.tap.layer for entry in entries)
