"""Rules of the signal on its way forward (F) and of the gradient on its way back (B)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log10

from keras_initscope.diagnosis.case import (
    LEAST,
    Case,
    energy,
    onset,
    rise,
    second_moment,
    signal_share,
    until_gone,
)
from keras_initscope.diagnosis.chain import (
    FEW,
    behind_the_input,
    examples,
    gradients,
    hidden,
    paths,
    unnormalized,
    weighted,
)
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity, TensorStats

#: Change of the logarithm of a second moment over the whole depth beyond which a network hardly
#: trains: at most about six times the depth over which a signal falls by a factor e does
#: (Schoenholz et al. 2017, arXiv:1611.01232, section 5).
DEEP = 6.0
#: By how much more a gradient may grow through normalization layers, as it must, by 1.47 a layer of
#: ReLU (Yang et al. 2019, arXiv:1902.08129). The scale of the weights before them does not matter:
#: a step that is too large makes them larger, and the next ones smaller (Arora et al. 2018,
#: arXiv:1812.03981).
NORMALIZED = 2.0
#: A share of the signal that is rounding alone: the square of the relative error of float32.
_ROUNDING = 1e-13
#: The change at which a layer is named as the first.
_SEEN = 2.0

_FORWARD = (Quantity.KERNEL, Quantity.PREACTIVATION)
_BACKWARD = (Quantity.KERNEL, Quantity.PREACTIVATION_GRADIENT)


def _limit(values: Sequence[float]) -> float:
    """How far a trend may go; one over few layers, which may be of several kinds, further."""
    return DEEP * len(values) / max(1, len(values) - 1)


def _decades(change: float) -> str:
    return f"{10 ** abs(change / 2 * log10(exp(1))):.2g}"


@rule("F1", needs=_FORWARD, silent_for=("N1", "U3"), trend=True)
def vanishing_signal(case: Case) -> Evidence | None:
    """Vanishing signal.

    The root mean square of the preactivations shrinks from layer to layer, until the last layers
    see next to nothing of their inputs and the first ones move the output by next to nothing.

    Remedy: Start with weights that keep the signal: He's for ReLU, Glorot's or LeCun's for tanh and
    SELU, `keras_initscope.calibrate(model, x)` or `autoinit(model)` for any model.
    """
    entries = behind_the_input(case, unnormalized(case, hidden(case, Quantity.PREACTIVATION)))
    values = until_gone([second_moment(entry) for entry in entries])
    change = rise(values)
    if change >= -_limit(values):
        return None
    start = onset(values, -_SEEN)
    return Evidence(
        value=change,
        threshold=-_limit(values),
        layers=paths(entries[start:]),
        message=(
            f"From {entries[0].tap.layer} to {entries[-1].tap.layer} the preactivations shrink by "
            f"a factor of {_decades(change)}, about {_decades(change / (len(values) - 1))} at each "
            f"of {len(values)} layers."
        ),
    )


@rule("F2", needs=_FORWARD, silent_for=("N1", "D1", "F5", "U3"), trend=True)
def exploding_signal(case: Case) -> Evidence | None:
    """Exploding signal.

    The root mean square of the preactivations grows from layer to layer. Saturating activations
    are driven into saturation, others lead to outputs and losses without measure, and small changes
    of the first weights to large ones of the output.

    Remedy: Start with smaller weights: He's for ReLU, Glorot's or LeCun's for tanh and SELU,
    `keras_initscope.calibrate(model, x)` or `autoinit(model)` for any model; scale residual
    branches by one over the root of their number.
    """
    # Once trained, outputs are as large as the targets are.
    chosen = weighted if case.is_fresh else hidden
    entries = unnormalized(case, chosen(case, Quantity.PREACTIVATION))
    values = [second_moment(entry) for entry in entries]
    change = rise(values)
    if change <= _limit(values):
        return None
    start = onset(values, _SEEN)
    return Evidence(
        value=change,
        threshold=_limit(values),
        layers=paths(entries[start:]),
        message=(
            f"From {entries[0].tap.layer} to {entries[-1].tap.layer} the preactivations grow by a "
            f"factor of {_decades(change)}, about {_decades(change / (len(values) - 1))} at each "
            f"of {len(values)} layers."
        ),
    )


@rule("F3", needs=_FORWARD, silent_for=("N1", "U1", "U2", "U3"), trend=True)
def collapsed_signal(case: Case) -> Evidence | None:
    """Collapsed signal.

    What the layers give is nearly the same for all examples: the part of the preactivations that
    tells examples apart shrinks from layer to layer, and with it all that could be learnt.

    Remedy: Take an activation centred on zero (tanh in place of sigmoid), or weights and biases at
    the edge of chaos (`keras_initscope.initializers.Critical`); for deep ReLU networks
    `keras_initscope.tailor(model)`, or normalization layers.
    """
    entries = [
        entry
        for entry in hidden(case, Quantity.PREACTIVATION)
        if signal_share(entry) is not None and examples(case, entry) >= FEW
    ]
    values = until_gone([signal_share(entry) or 0.0 for entry in entries], _ROUNDING)
    change = rise(values)
    if change >= -_limit(values):
        return None
    start = onset(values, -_SEEN)
    return Evidence(
        value=values[-1],
        threshold=exp(-_limit(values)) * values[0],
        layers=paths(entries[start:]),
        message=(
            f"Of the mean square of {entries[0].tap.layer} {100 * values[0]:.2g} % tell examples "
            f"apart, of that of {entries[len(values) - 1].tap.layer} {100 * values[-1]:.2g} %."
        ),
    )


@rule("B1", needs=_BACKWARD, silent_for=("N1", "F1", "F3", "B3", "U1", "U3"), trend=True)
def vanishing_gradient(case: Case) -> Evidence | None:
    """Vanishing gradient.

    On its way back the gradient by the preactivations shrinks from layer to layer: the first layers
    learn by next to nothing while the last ones are trained on their noise.

    Remedy: Take an activation whose slope is near 1 (tanh, ReLU or SELU in place of sigmoid) with
    weights that suit it, `keras_initscope.initializers.Kumar` for sigmoid, residual connections, or
    normalization layers.
    """
    return _of_gradient(case, 1.0)


@rule("B2", needs=_BACKWARD, silent_for=("N1", "F2", "D1", "U1", "U3"), trend=True)
def exploding_gradient(case: Case) -> Evidence | None:
    """Exploding gradient.

    On its way back the gradient by the preactivations grows from layer to layer: a step that is
    right for the last layers throws the first ones off.

    Remedy: Start with smaller weights or orthogonal ones, use residual connections where many
    normalization layers follow each other, and clip the gradient (`clipnorm`) meanwhile.
    """
    return _of_gradient(case, -1.0)


def _of_gradient(case: Case, sign: float) -> Evidence | None:
    """The energy of the gradient rises over depth where it vanishes towards the input."""
    entries = [entry for entry in gradients(case) if energy(entry) > LEAST]
    values = [energy(entry) for entry in entries]
    is_normalized = any(layer.kind.endswith("Normalization") for layer in case.model.layers)
    change, limit = rise(values), _limit(values)
    if sign < 0 and is_normalized:
        limit *= NORMALIZED
    if sign * change <= limit:
        return None
    back = entries[::-1]
    start = onset(values[::-1], -sign * _SEEN)
    word = "shrinks" if sign > 0 else "grows"
    return Evidence(
        value=-change,
        threshold=-sign * limit,
        layers=paths(back[start:][::-1]),
        message=(
            f"From {entries[-1].tap.layer} back to {entries[0].tap.layer} the gradient {word} by a "
            f"factor of {_decades(change)}, about {_decades(change / (len(values) - 1))} at each "
            f"of {len(values)} layers."
        ),
    )


@rule(
    "B3",
    needs=(Quantity.KERNEL, Quantity.KERNEL_GRADIENT, Quantity.ACTIVATION),
    silent_for=("N1", "D1", "F1", "U1", "U2", "D4", "D5"),
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
    gates = _gates(case)
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
        if (sizes.get(entry.tap.layer) == 0 and all(gate <= entry.tap.depth for gate in gates))
        or is_cut_off(entry)
    ]
    if not dead:
        return None
    return Evidence(
        value=float(len(dead)),
        threshold=0.0,
        layers=paths(dead),
        message=f"No gradient reaches the kernels of {len(dead)} of {len(kernels)} layers.",
    )


def _gates(case: Case) -> list[int]:
    """Where a kernel starts at zero and will open: it has a gradient, and a signal before it."""
    moved = {e.tap.layer for e in case.of(Quantity.KERNEL_GRADIENT) if second_moment(e) > 0}
    activations = case.of(Quantity.ACTIVATION)

    def sees_signal(depth: int) -> bool:
        before = [entry for entry in activations if entry.tap.depth < depth]
        return not before or before[-1].values["signal"] > 0

    return [
        entry.tap.depth
        for entry in case.of(Quantity.KERNEL)
        if second_moment(entry) == 0 and entry.tap.layer in moved and sees_signal(entry.tap.depth)
    ]
