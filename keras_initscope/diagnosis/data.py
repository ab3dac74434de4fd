"""Rules of what goes in and what comes out (D)."""

from __future__ import annotations

from collections.abc import Iterator

from keras_initscope.diagnosis.case import Case, signal_share
from keras_initscope.diagnosis.chain import FEW, LARGE, examples, normalized_by, weight_gain
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.diagnosis.recurrent import candidates, input_gain, is_first, of_inputs
from keras_initscope.records import LayerInfo, Quantity, TensorStats

#: Share of an output's mean square that tells examples apart, below which it is one number.
ONE = 1e-6
#: Steps before which an output that starts at zero may still be one number.
_BEGUN = 20


@rule("D1", needs=(Quantity.KERNEL, Quantity.PREACTIVATION), silent_for=("N1", "U3"), whole=True)
def unscaled_input(case: Case) -> Evidence | None:
    """Unscaled input.

    The first layer's preactivations are far from the size that activations are made for, and no
    normalization follows: the inputs are not scaled, as pixels from 0 to 255 and columns in
    thousands are not. Saturating activations saturate, others lead to huge outputs, and the first
    layer's gradient is as large.

    Remedy: Scale the inputs to mean 0 and variance 1, each feature by itself:
    `keras.layers.Normalization` adapted to the training data, or `keras.layers.Rescaling(1 / 255)`
    for images, as the first layer.
    """
    if not case.is_fresh:  # later it may be the weights that have grown
        return None
    found = {
        path: size
        for path, size, gain in (*_of_inputs(case), *_of_sequences(case))
        if min(size, size / gain) > LARGE
    }
    if not found:
        return None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=LARGE,
        layers=tuple(found),
        message=f"The preactivations of {first}, which sees the inputs, have a standard deviation "
        f"of {found[first]:.3g} over the examples.",
    )


def _of_inputs(case: Case) -> Iterator[tuple[str, float, float]]:
    """Layers that see the inputs, the size of their preactivations and their weights' gain."""
    kernels = {entry.tap.layer: entry for entry in case.of(Quantity.KERNEL)}
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
    broken = [e for e in case.snapshot.stats if e.values.get("nonfinite_count", 0.0) > 0]
    if not broken or any(entry.tap.quantity in weights for entry in broken):
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
        message=f"{100 * share:.2g} % of what {there[0].tap.layer} computes of the inputs "
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
        message=f"{100 * share:.2g} % of the mean square of {entries[-1].tap.layer} tell examples "
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
        for layer in _output_layers(case)
        if _activation(layer) == "softmax" and entries.get(layer.path, {}).get("minimum") == 1.0
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
    for layer in _output_layers(case):
        name = _activation(layer)
        makes_probabilities = name in ("softmax", "sigmoid", "hard_sigmoid", "sparsemax")
        twice = case.model.from_logits and makes_probabilities
        entry = entries.get(layer.path)
        unfit = not case.model.from_logits and not makes_probabilities and _leaves_unit(entry)
        cut = name == "softmax" and _rectified(case, layer)
        cut = cut or (case.model.from_logits and name in ("relu", "relu6"))
        if cut:
            return Evidence(
                value=1.0,
                threshold=0.0,
                layers=(layer.path,),
                message=f"A ReLU stands before the {case.model.loss}: no class can have a logit "
                "below 0, and none that is at 0 gets a gradient.",
            )
        if twice or unfit:
            wanted = "logits" if case.model.from_logits else "probabilities"
            return Evidence(
                value=1.0 if makes_probabilities else entry.values["maximum"] if entry else 0.0,
                threshold=1.0,
                layers=(layer.path,),
                message=f"The activation of {layer.path} is {name}, and {case.model.loss} takes "
                f"{wanted}.",
            )
    return None


def _rectified(case: Case, layer: LayerInfo) -> bool:
    """Whether a softmax of its own receives what a rectifier gives."""
    before = [each for each in case.model.layers if each.depth < layer.depth]
    is_alone = layer.kind in ("Softmax", "Activation")
    return is_alone and bool(before) and _activation(before[-1]) in ("relu", "relu6")


def _leaves_unit(entry: TensorStats | None) -> bool:
    if entry is None:
        return False
    return entry.values["minimum"] < 0.0 or entry.values["maximum"] > 1.0


def _output_layers(case: Case) -> list[LayerInfo]:
    return [case.layers[path] for path in case.model.outputs if path in case.layers]


def _activation(layer: LayerInfo) -> str:
    return layer.activation or {"Softmax": "softmax", "ReLU": "relu"}.get(layer.kind, "linear")
