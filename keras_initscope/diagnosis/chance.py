"""Rules of weights that are not what initializers draw (F)."""

from __future__ import annotations

from math import exp, log, log1p, sqrt

from keras_initscope.diagnosis.case import Case, second_moment, signal_share
from keras_initscope.diagnosis.chain import FEW, examples, hidden
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.records import Quantity, TensorStats

#: Mean of the preactivations in units of their standard deviation over the examples from which on
#: examples differ by next to nothing: kappa = 1 + n mu^2 / Var of the first layer's Hessian is then
#: above n 10^4 (LeCun, Kanter & Solla 1991).
FAR = 100.0
#: Standard deviations that a network of its width is from what theory says, and by what factor.
IMPROBABLE, TENFOLD = 6.0, 10.0


@rule(
    "F4",
    needs=(Quantity.KERNEL, Quantity.PREACTIVATION),
    silent_for=("N1", "D1", "D2", "F3", "U1", "U2", "U3", "B3"),
)
def off_centre(case: Case) -> Evidence | None:
    """Off-centre activations.

    The preactivations of a layer have a mean that is a hundred times what examples make them differ
    by: inputs with a large offset, or biases far too large. The gradients of all examples are
    nearly the same, and only a tiny learning rate can follow what is different.

    Remedy: Subtract the mean of each feature (`keras.layers.Normalization`), start with biases of
    zero, or put a BatchNormalization behind the layer.
    """
    found = {
        entry.tap.layer: off
        for entry in hidden(case, Quantity.PREACTIVATION)
        if (off := _offset(case, entry)) > FAR and not _is_centred(case, entry)
    }
    if not found:
        return None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=FAR,
        layers=tuple(found),
        message=f"The preactivations of {first} have a mean of {found[first]:.3g} times their "
        "standard deviation over the examples.",
    )


def _offset(case: Case, entry: TensorStats) -> float:
    share = signal_share(entry)
    if not share or examples(case, entry) < FEW:
        return 0.0
    return sqrt(max(0.0, 1 - share) / share)


def _is_centred(case: Case, entry: TensorStats) -> bool:
    after = [layer for layer in case.model.layers if layer.depth > entry.tap.depth]
    return bool(after) and after[0].kind == "BatchNormalization"


@rule("F5", needs=(Quantity.ACTIVATION,), silent_for=("N1", "D2", "U3", "B3"), whole=True)
def wrong_initialization(case: Case) -> Evidence | None:
    """Wrong initialization.

    The signal is not what weights of this size give that were drawn independently with mean zero,
    by far more than networks of this width differ: the weights have a common sign, repeat each
    other, or follow the data.

    Remedy: Draw the weights with an initializer of mean zero, such as
    `keras.initializers.HeNormal()`; a `RandomUniform` needs `minval=-maxval`.
    """
    if case.predicted is None or not case.is_fresh:
        return None
    expected = {e.tap: e for e in case.predicted.stats if e.tap.quantity is Quantity.ACTIVATION}
    for entry in case.of(Quantity.ACTIVATION):
        theory = expected.get(entry.tap)
        off = None if theory is None else _deviation(entry, theory)
        if off is not None and abs(off[0]) > log(TENFOLD) and abs(off[1]) > IMPROBABLE:
            return Evidence(
                value=off[1],
                threshold=IMPROBABLE,
                layers=(entry.tap.layer,),
                message=f"The mean square of what {entry.tap.layer} gives is {exp(off[0]):.2g} "
                f"times that of theory, {abs(off[1]):.0f} standard deviations of networks of this "
                "width.",
            )
    return None


def _deviation(entry: TensorStats, theory: TensorStats) -> tuple[float, float] | None:
    """Logarithm of measured over expected mean square, and that in standard deviations."""
    expected = second_moment(theory) * theory.values.get("relative_median", 1.0)
    measured, error = second_moment(entry), theory.values.get("relative_error", 0.0)
    if not (expected > 0 and measured > 0 and error > 0):
        return None
    ratio = log(measured / expected)
    return ratio, ratio / sqrt(log1p(error**2))
