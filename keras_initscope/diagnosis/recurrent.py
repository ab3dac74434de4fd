"""What a case tells of recurrent cells, whose activation function runs in a loop out of sight.

Owns which of the sums in a cell come from its inputs. Finds nothing.
"""

from __future__ import annotations

from keras_initscope.diagnosis.case import Case, second_moment
from keras_initscope.records import CANDIDATE, Quantity, TensorStats

#: Activations that are flat far out on both sides.
BOUNDED = ("tanh", "sigmoid", "hard_sigmoid", "hard_tanh", "softmax", "softsign", "lecun_tanh")


def candidates(case: Case) -> list[TensorStats]:
    """What the activation function in each recurrent cell receives, in forward order."""
    known = case.snapshot.by_quantity.get(Quantity.PREACTIVATION, ())
    return [entry for entry in known if entry.tap.part == CANDIDATE]


def bounded(case: Case) -> list[TensorStats]:
    """Those of cells of which the activation function saturates."""
    return [e for e in candidates(case) if case.layers[e.tap.layer].activation in BOUNDED]


def is_first(case: Case, entry: TensorStats) -> bool:
    """Whether a cell is of a layer that sees the inputs."""
    return any(entry.tap.layer.startswith(f"{path}/") for path in case.inputs)


def of_inputs(case: Case, entry: TensorStats) -> float:
    """Standard deviation over the examples, at least, of what comes to a cell from its inputs.

    That of a sum is at most the sum of those of its parts. The part of the state `h` is `U h`, of
    mean square `n E u^2 E h^2` for weights `u` of `n` rows.
    """
    loop = _recurrent(case, entry)
    owner = entry.tap.layer.rpartition("/")[0]
    states = [e for e in case.of(Quantity.ACTIVATION) if e.tap.layer == owner]
    units = case.layers[entry.tap.layer].units
    if loop is None or not states or not units:
        return 0.0
    of_state = (units * second_moment(loop) * second_moment(states[0])) ** 0.5
    return max(0.0, entry.values["signal"] ** 0.5 - of_state)


def input_gain(case: Case, entry: TensorStats) -> float:
    """`sqrt(n Var w)` of the kernel of a cell of several gates, for `n` features."""
    kernels = [e for e in case.of(Quantity.KERNEL) if e.tap.layer == entry.tap.layer]
    loop, units = _recurrent(case, entry), case.layers[entry.tap.layer].units
    if loop is None or not kernels or not units or second_moment(kernels[0]) == 0:
        return 1.0
    features = kernels[0].tap.size * units / loop.tap.size  # as many blocks of gates in both
    return float((features * second_moment(kernels[0])) ** 0.5)


def _recurrent(case: Case, entry: TensorStats) -> TensorStats | None:
    wanted = entry.tap.layer, "recurrent_kernel"
    kernels = case.snapshot.by_quantity.get(Quantity.KERNEL, ())
    return next((e for e in kernels if (e.tap.layer, e.tap.part) == wanted), None)
