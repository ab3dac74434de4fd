"""Rules of weights that are not what initializers draw (F)."""

from __future__ import annotations

from math import exp, log, log1p, sqrt

from keras_initscope.diagnosis.case import Case, second_moment, signal_share
from keras_initscope.diagnosis.chain import FEW, examples, hidden, normalized_by
from keras_initscope.diagnosis.engine import Evidence, rule
from keras_initscope.diagnosis.heads import activation
from keras_initscope.diagnosis.recurrent import BOUNDED
from keras_initscope.records import Quantity, TensorStats

#: Mean of the preactivations in units of their standard deviation over the examples from which on
#: examples differ by next to nothing: kappa = 1 + n mu^2 / Var of the first layer's Hessian is then
#: above n 10^4 (LeCun, Kanter & Solla 1991).
FAR = 100.0
#: Biases in units of the same standard deviation from which on a unit is on one side of zero for
#: all examples, of which a Gaussian leaves one in 10^23 on the other: a rectifier is then linear.
ASIDE = 10.0
#: Standard deviations that a network of its width is from what theory says, and by what factor.
IMPROBABLE, TENFOLD = 6.0, 10.0
#: Share of a kernel's root mean square that its mean makes up where its weights have one sign (of
#: uniform ones from 0 on it is 0.87), and weights below which that may be chance.
ONE_SIGN, MANY = 0.5, 100


@rule(
    "F4",
    needs=(Quantity.KERNEL, Quantity.PREACTIVATION),
    silent_for=("N1", "D1", "D2", "F3", "U1", "U2", "U3", "B3"),
)
def off_centre(case: Case) -> Evidence | None:
    """Off-centre activations.

    The preactivations of a layer have a mean that is a hundred times what examples make them differ
    by: inputs with a large offset. The gradients of all examples are nearly the same, and only a
    tiny learning rate can follow what is different. Or biases begin ten times as large as that: no
    unit changes sides from example to example, and of a rectifier nothing but a line is left.

    Remedy: Subtract the mean of each feature (`keras.layers.Normalization`), start with biases of
    zero, or put a BatchNormalization behind the layer.
    """
    found = {
        entry.tap.layer: off
        for entry in hidden(case, Quantity.PREACTIVATION)
        if (off := _offset(case, entry)) > FAR
        and not _is_centred(case, entry)
        and _is_activated(case, entry)
    }
    if not found:
        return _of_biases(case) if case.is_fresh else None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=FAR,
        layers=tuple(found),
        message=f"The preactivations of {first} have a mean of {found[first]:.3g} times their "
        "standard deviation over the examples.",
    )


def _of_biases(case: Case) -> Evidence | None:
    """Biases that decide alone on which side of zero a unit is."""
    biases = {entry.tap.layer: second_moment(entry) ** 0.5 for entry in case.of(Quantity.BIAS)}
    found = {
        entry.tap.layer: biases[entry.tap.layer] / deviation
        for entry in hidden(case, Quantity.PREACTIVATION)
        if (deviation := entry.values["signal"] ** 0.5) > 0
        and biases.get(entry.tap.layer, 0.0) > ASIDE * deviation
        and examples(case, entry) >= FEW
        and _is_bent(case, entry)
        and normalized_by(case, entry) is None
    }
    if not found:
        return None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=ASIDE,
        layers=tuple(found),
        message=f"The biases of {first} are {found[first]:.3g} times the standard deviation of its "
        "preactivations over the examples.",
    )


def _is_activated(case: Case, entry: TensorStats) -> bool:
    """Whether an activation function follows: a gate that goes into a product may be a constant."""
    return any(name != "linear" for name in _activations(case, entry))


def _is_bent(case: Case, entry: TensorStats) -> bool:
    """Whether the layer, or the next one for it, is nonlinear without end; others saturate."""
    names = _activations(case, entry)
    return next((name for name in names if name != "linear"), "sigmoid") not in BOUNDED


def _activations(case: Case, entry: TensorStats) -> list[str]:
    near = [case.layers[entry.tap.layer], *case.network.behind(entry.tap.layer)]
    return [activation(each) for each in near]


def _offset(case: Case, entry: TensorStats) -> float:
    share = signal_share(entry)
    if not share or examples(case, entry) < FEW:
        return 0.0
    return sqrt(max(0.0, 1 - share) / share)


def _is_centred(case: Case, entry: TensorStats) -> bool:
    norm = normalized_by(case, entry)
    return norm is not None and norm.kind == "BatchNormalization"


@rule("F5", needs=(Quantity.KERNEL, Quantity.PREACTIVATION), silent_for=("N1", "D2", "U3", "B3"))
def wrong_initialization(case: Case) -> Evidence | None:
    """Wrong initialization.

    The weights are not what an initializer of mean zero draws: a layer's weights have a common
    sign, so that all units see the same sum of their inputs; or the signal is not what weights of
    this size give that were drawn independently, by far more than networks of this width differ.

    Remedy: Draw the weights with an initializer of mean zero, such as
    `keras.initializers.HeNormal()`; a `RandomUniform` needs `minval=-maxval`.
    """
    if not case.is_fresh:
        return None
    return _of_one_sign(case) or _unlike_theory(case)


def _of_one_sign(case: Case) -> Evidence | None:
    recurrent = {e.tap.layer for e in case.snapshot.stats if e.tap.part == "recurrent_kernel"}
    mixing = recurrent | {entry.tap.layer for entry in hidden(case, Quantity.PREACTIVATION)}
    shares = {
        entry.tap.layer: abs(entry.values["mean"]) / entry.values["root_mean_square"]
        for entry in hidden(case, Quantity.KERNEL)
        if entry.tap.layer in mixing and entry.tap.size >= MANY
    }
    found = {path: share for path, share in shares.items() if share > ONE_SIGN}
    if not found:
        return None
    first = next(iter(found))
    return Evidence(
        value=found[first],
        threshold=ONE_SIGN,
        layers=tuple(found),
        message=f"The mean of the kernel of {first} is {found[first]:.2g} of its root mean square.",
    )


def _unlike_theory(case: Case) -> Evidence | None:
    """The first layer that theory knows and is far off."""
    stats = case.predicted.stats if case.predicted else ()
    expected = {e.tap: e for e in stats if e.tap.quantity is Quantity.ACTIVATION}
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
