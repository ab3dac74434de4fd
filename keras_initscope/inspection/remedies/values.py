"""The number that a finding was judged by, in a network in which it is not found any more.

Owns that number for each rule that has one.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_initscope.diagnosis.case import Case, energy, rise, second_moment, signal_share
from keras_initscope.diagnosis.chain import weighted
from keras_initscope.records import Quantity, Report


def value_of(code: str, report: Report) -> float | None:
    """The number, or `None` where it cannot be told."""
    read = _READ.get(code)
    case = Case(model=report.model, snapshot=report.measured, predicted=report.predicted)
    return None if read is None else read(case)


def _signal(case: Case) -> float:
    return rise([second_moment(each) for each in weighted(case, Quantity.PREACTIVATION)])


def _gradient(case: Case) -> float:
    found = [energy(each) for each in weighted(case, Quantity.PREACTIVATION_GRADIENT)]
    return -rise([each for each in found if each > 0])


def _share(case: Case) -> float | None:
    chain = weighted(case, Quantity.PREACTIVATION)
    return signal_share(chain[-1]) if chain else None


def _first(case: Case) -> float | None:
    chain = weighted(case, Quantity.PREACTIVATION)
    return second_moment(chain[0]) ** 0.5 if chain else None


def _without_gradient(case: Case) -> float:
    return float(sum(second_moment(each) == 0 for each in case.of(Quantity.KERNEL_GRADIENT)))


def _largest(quantity: Quantity, statistic: str) -> Callable[[Case], float]:
    return lambda case: max((e.values.get(statistic, 0.0) for e in case.of(quantity)), default=0.0)


def _nonfinite(case: Case) -> float:
    return float(sum(e.values.get("nonfinite_count", 0.0) for e in case.snapshot.stats))


def _speed(case: Case) -> float | None:
    sizes = {e.tap.name: second_moment(e) for e in case.of(Quantity.KERNEL)}
    steps = max(1, case.snapshot.info.updates)
    found = [
        (second_moment(e) / sizes[e.tap.name]) ** 0.5 / steps
        for e in case.of(Quantity.KERNEL_UPDATE)
        if sizes.get(e.tap.name)
    ]
    return max(found, default=None)


_READ: dict[str, Callable[[Case], float | None]] = {
    "F1": _signal,
    "F2": _signal,
    "F3": _share,
    "B1": _gradient,
    "B2": _gradient,
    "B3": _without_gradient,
    "U1": _largest(Quantity.ACTIVATION, "saturated_fraction"),
    "U2": _largest(Quantity.ACTIVATION, "dead_fraction"),
    "U3": _largest(Quantity.PREACTIVATION, "duplicate_fraction"),
    "D1": _first,
    "N1": _nonfinite,
    "W3": _speed,
}
