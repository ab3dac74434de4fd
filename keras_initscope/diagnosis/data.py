"""Rules of what goes in and what comes out (D)."""

from __future__ import annotations

from collections.abc import Iterator

from keras_initscope.diagnosis.case import Case, signal_share
from keras_initscope.diagnosis.chain import FEW, LARGE, examples, normalized_by, weight_gain
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.diagnosis.heads import activation, output_layers, source
from keras_initscope.diagnosis.recurrent import candidates, input_gain, is_first, of_inputs
from keras_initscope.records import LayerInfo, Quantity, TensorStats

#: Standard deviation of all first preactivations below which nothing of the inputs is felt beside
#: biases that have taken a few steps of Adam at its usual rate of a thousandth.
SMALL = 1e-3
#: Share of an output's mean square that tells examples apart, below which it is one number.
ONE = 1e-6
_PROBABILITIES = frozenset({"softmax", "sigmoid", "hard_sigmoid", "sparsemax"})
_RECTIFIERS = frozenset({"relu", "relu6"})
#: Steps before which an output that starts at zero may still be one number.
_BEGUN = 20


@rule("D1", needs=(Quantity.KERNEL, Quantity.PREACTIVATION), silent_for=("N1", "U3"), whole=True)
def unscaled_input(case: Case) -> Evidence | None:
    """Unscaled input.

    The first layer's preactivations are far from the size that activations are made for, and no
    normalization follows: the inputs are not scaled, as pixels from 0 to 255 and columns in
    thousands are not. Saturating activations saturate, others lead to huge outputs, and the first
    layer's gradient is as large. Of inputs that are next to nothing the first layer learns as
    little.

    Remedy: Scale the inputs to mean 0 and variance 1, each feature by itself:
    `keras.layers.Normalization` adapted to the training data, or `keras.layers.Rescaling(1 / 255)`
    for images, as the first layer.
    """
    if not case.is_fresh:  # later it may be the weights that have grown
        return None
    sizes = {
        path: (size, size / gain)
        for path, size, gain in (*_of_inputs(case), *_of_sequences(case))
        if size > 0
    }
    large = {path: size for path, (size, scaled) in sizes.items() if min(size, scaled) > LARGE}
    small = {path: size for path, (size, scaled) in sizes.items() if max(size, scaled) < SMALL}
    found = large or (small if len(small) == len(sizes) else {})
    if not found:
        return None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=LARGE if large else SMALL,
        layers=tuple(found),
        message=f"The preactivations of {first}, which sees the inputs, have a standard deviation "
        f"of {found[first]:.3g} over the examples.",
    )


def _of_inputs(case: Case) -> Iterator[tuple[str, float, float]]:
    """Layers that see the inputs, the size of their preactivations and their weights' gain."""
    kernels = case.at(Quantity.KERNEL)
    for entry in case.of(Quantity.PREACTIVATION):
        path = entry.tap.layer
        if path in case.inputs & kernels.keys() and normalized_by(case, entry) is None:
            yield path, entry.values["signal"] ** 0.5, weight_gain(case, kernels[path])


def _of_sequences(case: Case) -> Iterator[tuple[str, float, float]]:
    """The same of recurrent cells, without what comes from their state."""
    for entry in candidates(case):
        if is_first(case, entry):
            yield entry.tap.layer, of_inputs(case, entry), input_gain(case, entry)


@rule("D2", whole=True)
def broken_input(case: Case) -> Evidence | None:
    """Inputs that are not finite.

    All weights are finite, and yet the first layer gives NaN or infinite values: they come with the
    data.

    Remedy: Look for missing values and divisions by zero in the data (`np.isnan(x).any()`), and
    drop or replace them before training.
    """
    weights = (Quantity.KERNEL, Quantity.BIAS)
    if not case.broken or any(entry.tap.quantity in weights for entry in case.broken):
        return None
    signals = case.of(Quantity.PREACTIVATION) + case.of(Quantity.ACTIVATION)
    first = min((entry.tap.depth for entry in signals), default=-1)
    there = [
        entry
        for entry in signals
        if entry.values.get("nonfinite_count", 0.0) > 0
        and (entry.tap.layer in case.inputs or entry.tap.depth == first)
    ]
    if not there:
        return None
    share = there[0].values["nonfinite_count"] / there[0].tap.size
    return Evidence(
        value=share,
        threshold=0.0,
        layers=tuple(dict.fromkeys(entry.tap.layer for entry in there)),
        certain=True,
        message=f"{100 * share:.3g} % of what {there[0].tap.layer} computes of the inputs "
        "are NaN or infinite.",
    )


@rule("D3", needs=(Quantity.ACTIVATION,), silent_for=("N1", "B3", "F1", "F3", "U2"), whole=True)
def constant_output(case: Case) -> Evidence | None:
    """Constant output.

    After some training the network gives the same for all examples: it has learnt the mean of the
    targets and nothing about the inputs.

    Remedy: Look for the layer at which examples become alike, lower the learning rate, and check
    that inputs and targets are in the same order.
    """
    entries = case.of(Quantity.ACTIVATION)
    share = signal_share(entries[-1]) if entries else None
    if share is None or share >= ONE or case.snapshot.step < _BEGUN:
        return None
    if examples(case, entries[-1]) < FEW:
        return None
    return Evidence(
        value=share,
        threshold=ONE,
        layers=(entries[-1].tap.layer,),
        message=f"{100 * share:.3g} % of the mean square of {entries[-1].tap.layer} tell examples "
        "apart.",
    )


@rule("D4", needs=(Quantity.ACTIVATION,))
def softmax_of_one(case: Case) -> Evidence | None:
    """Softmax of one unit.

    A softmax over a single unit gives 1 for every example, whatever the weights: nothing can be
    learnt.

    Remedy: For two classes take one unit with a sigmoid and `binary_crossentropy`, or two units
    with a softmax; for a number take no activation.
    """
    entries = {e.tap.layer: e.values for e in case.of(Quantity.ACTIVATION)}
    found = [
        layer.path
        for layer in output_layers(case)
        if activation(layer) == "softmax" and entries.get(layer.path, {}).get("minimum") == 1.0
    ]
    if not found:
        return None
    return Evidence(
        value=1.0,
        threshold=2.0,
        layers=tuple(found),
        certain=True,
        message=f"The output of {found[0]} is 1 for every example.",
    )


@rule("D5", needs=(Quantity.ACTIVATION,), silent_for=("D4",))
def output_beside_the_loss(case: Case) -> Evidence | None:
    """Output that does not suit the loss.

    A crossentropy takes probabilities, or logits if it is told so by `from_logits=True`. Of outputs
    that are neither it clips away all below 0 and above 1, gradients with them; of probabilities
    that it takes for logits it makes probabilities a second time, which are never near 0 or 1.

    Remedy: Leave the last layer without an activation and take the loss with `from_logits=True`; or
    give it a softmax (a sigmoid for `binary_crossentropy`) and leave the loss as it is.
    """
    if case.model.from_logits is None:
        return None
    entries = {e.tap.layer: e for e in case.of(Quantity.ACTIVATION)}
    for layer in output_layers(case):
        entry, makes_probabilities = entries.get(layer.path), activation(layer) in _PROBABILITIES
        unfit = not case.model.from_logits and not makes_probabilities and _leaves_unit(entry)
        told = _cut(case, layer) or _twice(case, layer)
        if not told and (unfit or (case.model.from_logits and makes_probabilities)):
            wanted = "logits" if case.model.from_logits else "probabilities"
            told = f"The activation of {layer.path} is {activation(layer)}, and {case.model.loss} "
            told += f"takes {wanted}."
        if told:
            return Evidence(
                value=entry.values["maximum"] if unfit and entry else 1.0,
                threshold=1.0 if unfit else 0.0,
                layers=(layer.path,),
                message=told,
            )
    return None


def _cut(case: Case, layer: LayerInfo) -> str:
    """What is said where no logit can be below 0."""
    before = source(case, layer)
    softened = before is not None and activation(layer) in _PROBABILITIES
    logits = before if softened else layer if case.model.from_logits else None
    if logits is None or activation(logits) not in _RECTIFIERS:
        return ""
    return (
        f"A ReLU stands before the {case.model.loss}: no class can have a logit below 0, and none "
        "that is at 0 gets a gradient."
    )


def _twice(case: Case, layer: LayerInfo) -> str:
    """What is said where probabilities are made of probabilities."""
    before = source(case, layer)
    if before is None or not {activation(before), activation(layer)} <= _PROBABILITIES:
        return ""
    return (
        f"{layer.path} makes probabilities of the probabilities of {before.path}: they are never "
        "near 0 or 1."
    )


def _leaves_unit(entry: TensorStats | None) -> bool:
    if entry is None:
        return False
    return entry.values["minimum"] < 0.0 or entry.values["maximum"] > 1.0
