"""The rule of gradients that do not arrive (B3)."""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case, second_moment
from keras_initscope.diagnosis.chain import paths
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity, TensorStats


@rule(
    "B3",
    needs=(Quantity.KERNEL, Quantity.KERNEL_GRADIENT, Quantity.ACTIVATION),
    silent_for=("N1", "D1", "F1", "F2", "U1", "U2", "D4", "D5"),
    whole=True,
)
def no_gradient(case: Case) -> Evidence | None:
    """No gradient.

    The gradient by a layer's kernel is exactly zero, and no weight that is to be trained first
    stands before it: the layer will never learn.

    Remedy: Draw the weights at random instead of setting them to zero; look for units that are all
    dead, and for operations that cut the gradient off (`stop_gradient`, rounding, `argmax`).
    """
    kernels = [e for e in case.of(Quantity.KERNEL) if case.layers[e.tap.layer].trainable]
    sizes = {e.tap.layer: second_moment(e) for e in case.of(Quantity.KERNEL_GRADIENT)}
    waiting = _waiting(case)
    last = max((e.tap.depth for e in kernels if sizes.get(e.tap.layer)), default=-1)
    called = {entry.tap.layer for entry in case.of(Quantity.ACTIVATION)}

    def is_cut_off(entry: TensorStats) -> bool:
        """Without any gradient, where a deeper layer has one: of outputs some may have no loss."""
        size = sizes.get(entry.tap.layer)
        is_missed = size is None and entry.tap.layer in called and entry.tap.depth < last
        return is_missed and entry.tap.layer not in case.outputs

    dead = [
        entry
        for entry in kernels
        if (sizes.get(entry.tap.layer) == 0 and entry.tap.layer not in waiting) or is_cut_off(entry)
    ]
    if not dead:
        return None
    zero = [entry for entry in dead if second_moment(entry) == 0]
    cause = f" {_listed(paths(zero))} zero throughout." if zero else ""
    return Evidence(
        value=float(len(dead)),
        threshold=0.0,
        layers=paths(zero or dead),
        message=f"No gradient reaches the kernels of {len(dead)} of {len(kernels)} layers.{cause}",
    )


def _listed(layers: tuple[str, ...]) -> str:
    if len(layers) == 1:
        return f"The kernel of {layers[0]} is"
    return f"The kernels of {layers[0]} and {len(layers) - 1} more are"


def _waiting(case: Case) -> set[str]:
    """Layers before a kernel that is zero and will open: it has a gradient, and sees a signal."""
    moved = {e.tap.layer for e in case.of(Quantity.KERNEL_GRADIENT) if second_moment(e) > 0}
    activations = case.of(Quantity.ACTIVATION)

    def sees_signal(depth: int) -> bool:
        before = [entry for entry in activations if entry.tap.depth < depth]
        return not before or before[-1].values["signal"] > 0

    gates = [
        entry.tap
        for entry in case.of(Quantity.KERNEL)
        if second_moment(entry) == 0 and entry.tap.layer in moved and sees_signal(entry.tap.depth)
    ]
    return {path for tap in gates for path in case.network.before(tap.layer) - {tap.layer}}
