"""Rules of the signal on its way forward (F1-F3) and of the gradient on its way back (B1, B2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import copysign, exp, log10

from keras_initscope.diagnosis.case import (
    LEAST,
    Case,
    concerned,
    energy,
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


def _on_routes(
    case: Case, entries: list[TensorStats], judge: Callable[[list[TensorStats]], Evidence | None]
) -> Evidence | None:
    """What is seen on the first route where anything is, of the layers of all such routes."""
    chosen = ([e for e in entries if e.tap.layer in route] for route in case.routes)
    found = [evidence for each in chosen if each and (evidence := judge(each))]
    if not found:
        return None
    concerned = {path for evidence in found for path in evidence.layers}
    layers = tuple(path for path in paths(entries) if path in concerned)
    return replace(found[0], layers=layers)


def _factor(change: float) -> str:
    """By what a root mean square changes where the logarithm of its square does so."""
    return f"{10 ** abs(change / 2 * log10(exp(1))):.2g}"


@rule("F1", needs=_FORWARD, silent_for=("N1", "U2", "U3"), trend=True)
def vanishing_signal(case: Case) -> Evidence | None:
    """Vanishing signal.

    The root mean square of the preactivations shrinks from layer to layer, until the last layers
    see next to nothing of their inputs and the first ones move the output by next to nothing.

    Remedy: Start with weights that keep the signal: He's for ReLU, Glorot's or LeCun's for tanh and
    SELU, `keras_initscope.calibrate(model, x)` or `autoinit(model)` for any model.
    """
    entries = unnormalized(case, hidden(case, Quantity.PREACTIVATION))
    judge = partial(_of_signal, sign=-1.0, verb="shrink")
    return _on_routes(case, behind_the_input(case, entries), judge)


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
    return _on_routes(case, entries, partial(_of_signal, sign=1.0, verb="grow"))


def _of_signal(entries: list[TensorStats], *, sign: float, verb: str) -> Evidence | None:
    values: Sequence[float] = [second_moment(entry) for entry in entries]
    if sign < 0:
        values = until_gone(values)
    return _trend(entries, values, sign * _limit(values), f"to {{}} the preactivations {verb}")


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
    return _on_routes(case, entries, _collapses)


def _collapses(entries: list[TensorStats]) -> Evidence | None:
    values = until_gone([signal_share(entry) or 0.0 for entry in entries], _ROUNDING)
    change = rise(values)
    if change >= -_limit(values):
        return None
    places = concerned(values, -_SEEN)
    return Evidence(
        value=values[-1],
        threshold=exp(-_limit(values)) * values[0],
        layers=paths([*(entries[place] for place in places), *entries[len(values) :]]),
        message=(
            f"Of the mean square of {entries[0].tap.layer} {100 * values[0]:.3g} % tell examples "
            f"apart, of that of {entries[len(values) - 1].tap.layer} {100 * values[-1]:.3g} %."
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
    return _on_routes(case, _with_gradient(case), partial(_of_gradient, sign=-1.0, verb="shrinks"))


@rule("B2", needs=_BACKWARD, silent_for=("N1", "F2", "D1", "U1", "U3"), trend=True)
def exploding_gradient(case: Case) -> Evidence | None:
    """Exploding gradient.

    On its way back the gradient by the preactivations grows from layer to layer: a step that is
    right for the last layers throws the first ones off.

    Remedy: Start with smaller weights or orthogonal ones, use residual connections where many
    normalization layers follow each other, and clip the gradient (`clipnorm`) meanwhile.
    """
    is_normalized = any(layer.kind.endswith("Normalization") for layer in case.model.layers)
    allowed = NORMALIZED if is_normalized else 1.0
    judge = partial(_of_gradient, sign=1.0, verb="grows", allowed=allowed)
    return _on_routes(case, _with_gradient(case), judge)


def _with_gradient(case: Case) -> list[TensorStats]:
    return [entry for entry in gradients(case) if energy(entry) > LEAST]


def _of_gradient(
    entries: list[TensorStats], *, sign: float, verb: str, allowed: float = 1.0
) -> Evidence | None:
    """A trend of the energy on the way back, which a change of the width leaves as it is."""
    back = entries[::-1]
    values = [energy(entry) for entry in back]
    limit = sign * allowed * _limit(values)
    return _trend(back, values, limit, f"back to {{}} the gradient {verb}")


def _trend(
    entries: list[TensorStats], values: Sequence[float], limit: float, what: str
) -> Evidence | None:
    """A change over depth beyond a limit, in its direction.

    Args:
        entries: Tensors one behind another.
        values: A positive number each, of the first of them if nothing is left of the others.
        limit: Of the change of the logarithm, negative for a fall.
        what: What does what from the first to which layer.
    """
    change = rise(values)
    if abs(change) <= abs(limit) or change * limit < 0:
        return None
    places = concerned(values, copysign(_SEEN, limit))
    each, last = change / (len(values) - 1), places[-1]
    return Evidence(
        value=change,
        threshold=limit,
        layers=paths([*(entries[place] for place in places), *entries[len(values) :]]),
        message=(
            f"From {entries[0].tap.layer} {what.format(entries[last].tap.layer)} by a factor of "
            f"{_factor(each * last)}, about {_factor(each)} at each of {last + 1} layers."
        ),
    )
