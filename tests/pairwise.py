"""Few cases in which every two values of any two factors meet."""

from collections import Counter
from itertools import combinations


def pairwise(factors, allowed=lambda case: True):
    """Cover all pairs, greedily and always in the same way.

    Args:
        factors: Name of each factor to its values; the first value is taken where any would do.
        allowed: Whether a case, perhaps of some of the factors only, makes sense.

    Returns:
        Cases, each a dictionary of one value a factor.
    """
    wanted = {}  # in order
    for first, second in combinations(factors, 2):
        for a in factors[first]:
            for b in factors[second]:
                if allowed({first: a, second: b}):
                    wanted[(first, a), (second, b)] = True
    cases = []
    while wanted:
        case = dict(next(iter(wanted)))
        for name in factors:
            if name not in case:
                fitting = [v for v in factors[name] if allowed({**case, name: v})]
                case[name] = max(fitting, key=lambda v: _met(case, name, v, wanted, factors))
        case = {name: case[name] for name in factors}
        for pair in combinations(case.items(), 2):
            wanted.pop(pair, None)
        cases.append(case)
    return cases


def _met(case, name, value, wanted, factors):
    """How many pairs that nobody has met a value would let meet."""
    order = list(factors)
    pairs = [
        sorted([(name, value), other], key=lambda p: order.index(p[0])) for other in case.items()
    ]
    return sum(tuple(pair) in wanted for pair in pairs)


def covering(cases, names, dear=()):
    """Some of the cases, in which every value of some factors occurs.

    Args:
        cases: As `pairwise` gives them.
        names: Of those factors.
        dear: Values that are taken as seldom as can be; the others take turns.
    """
    unseen = {(name, case[name]) for case in cases for name in names}
    chosen, used = [], Counter()

    def worth(case):
        is_dear = any(value in dear for value in case.values())
        return len(unseen & case.items()), not is_dear, -sum(used[item] for item in case.items())

    while unseen:
        chosen.append(max(cases, key=worth))
        unseen -= chosen[-1].items()
        used.update(chosen[-1].items())
    return chosen
