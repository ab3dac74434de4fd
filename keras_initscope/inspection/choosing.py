"""The initializer that suits an activation and a depth: the simplest of those that do least harm.

Owns the choice. `pairings` says what there is to choose from.
"""

from __future__ import annotations

from math import inf
from typing import Any

from keras_initscope.diagnosis.signal import DEEP
from keras_initscope.inspection.pairings import Candidate, candidates, paired, saturates
from keras_initscope.records import Pairing
from keras_initscope.theory.nonlinearity import Nonlinearity

#: Strains that are as good as none: in 2 nats a root mean square changes by a factor of e.
GOOD = 2.0
#: A simpler initializer is taken where it strains no more than this beyond the best.
AS_GOOD = 1.0
#: What saturation counts for beside a strain.
_FLAT = 3.0


def choice_of(
    activation: Any, phi: Nonlinearity, depth: int, structure: str
) -> tuple[Candidate, tuple[Pairing, ...]]:
    """Walk through the network of each candidate.

    Args:
        activation: What `as_nonlinearity` reads.
        phi: What it has read.
        depth: Number of layers or branches.
        structure: As in `propagation`.

    Returns:
        The candidate that is chosen, and what becomes of each.
    """
    found = candidates(activation, _written(activation, phi), depth, structure)
    pairings = tuple(paired(phi, each, depth, structure) for each in found)
    harms = [_harm(each) for each in pairings]
    enough = _enough(phi, min(harms))
    first = next(i for i, harm in enumerate(harms) if harm <= enough)
    return found[first], pairings


def _harm(pairing: Pairing) -> float:
    return pairing.strain + (_FLAT if saturates(pairing) else 0.0)


def _enough(phi: Nonlinearity, best: float) -> float:
    """The harm up to which a simpler initializer is taken, where the best does so much."""
    if phi.is_scale_invariant:  # what is exact costs nothing there
        return best + 0.1
    return max(GOOD, best, min(best + AS_GOOD, DEEP / 2))


def chosen_of(activation: Any, phi: Nonlinearity, depth: int, structure: str) -> Pairing:
    """The pairing that `choice_of` chooses; what cannot be it is not walked through."""
    found = candidates(activation, _written(activation, phi), depth, structure)
    bounds = [_harm(paired(phi, each, depth, structure, correlated=False)) for each in found]
    known: dict[int, Pairing] = {}
    best = inf
    for i in sorted(range(len(found)), key=lambda i: bounds[i]):
        if bounds[i] < best:
            known[i] = paired(phi, found[i], depth, structure)
            best = min(best, _harm(known[i]))
    enough = _enough(phi, best)
    for i, each in enumerate(found):
        if bounds[i] <= enough:
            own = known.get(i) or paired(phi, each, depth, structure)
            if _harm(own) <= enough:
                return own
    raise AssertionError("the best one does no more harm than enough")


def _written(activation: Any, phi: Nonlinearity) -> str:
    """How one writes the activation as an argument."""
    return f'"{activation}"' if isinstance(activation, str) else "activation"
