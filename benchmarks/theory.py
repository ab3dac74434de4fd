"""Cost and accuracy of the theory: `python -m benchmarks.theory`."""

import time

import numpy as np
from scipy.special import erf

from keras_initscope.theory import gains
from keras_initscope.theory.callables import from_callable
from keras_initscope.theory.criticality import criticality
from keras_initscope.theory.fixedpoints import variance_fixed_point
from keras_initscope.theory.lines import critical_line
from keras_initscope.theory.meanfield import correlation_map
from keras_initscope.theory.moments import cross_moment, second_moment
from keras_initscope.theory.nonlinearities import TABLE, nonlinearity
from keras_initscope.theory.pairs import pair_expectation

ROWS = [nonlinearity(name) for name in sorted(set(TABLE) - {"threshold"})]
LINE = np.geomspace(0.01, 100, 200)


def milliseconds(call, repeats=20):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(times))


def slowest(measure, rows=ROWS):
    times = {phi.name: measure(phi) for phi in rows}
    name = max(times, key=times.get)
    return f"median {np.median(list(times.values())):.3f} ms, worst {times[name]:.3f} ms ({name})"


def kernel_errors():
    c = np.concatenate([np.linspace(-1, 1, 41), 1 - np.geomspace(1e-12, 0.1, 12)])
    angle = np.arccos(c)
    arccos = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
    relu = pair_expectation(lambda x: np.maximum(x, 0), c, kinks=[0.0])
    arcsin = 2 / np.pi * np.arcsin(2 * c / 3)
    return np.abs(relu - arccos).max(), np.abs(pair_expectation(erf, c) - arcsin).max()


def main():
    relu, smooth = nonlinearity("relu"), nonlinearity("tanh")
    arccos, arcsin = kernel_errors()
    q = np.random.default_rng(0).uniform(0.1, 4, (64, 64))
    print(f"{len(ROWS)} nonlinearities")
    print(
        "gain                        ", slowest(lambda phi: milliseconds(lambda: gains.gain(phi)))
    )
    print(
        "critical line, 200 points   ",
        slowest(lambda phi: milliseconds(lambda: critical_line(phi, LINE), 5)),
    )
    print(
        "correlation map, one point  ",
        slowest(lambda phi: milliseconds(lambda: correlation_map(phi, 0.4, 1.0, 1.5), 5)),
    )
    print(
        "fixed point of the variance ",
        slowest(lambda phi: milliseconds(lambda: variance_fixed_point(phi, 1.3, 0.1), 3)),
    )
    print(
        "criticality, not cached     ",
        slowest(lambda phi: milliseconds(lambda: criticality.__wrapped__(phi), 3)),
    )
    print(
        "a row from a bare function  ",
        slowest(lambda phi: milliseconds(lambda: from_callable(phi.f, phi.name), 1)),
    )
    maps = milliseconds(lambda: second_moment(smooth, q), 5)
    print(f"second moments of a 64x64 map of distinct variances: {maps:.1f} ms")
    interior = np.where(np.indices((56, 56)).min(axis=0) > 0, 1.0, 0.7)
    crossed = milliseconds(lambda: cross_moment(relu, interior, 0.3 * interior), 5)
    print(f"cross moments of a 56x56 map of two distinct variances: {crossed:.1f} ms")
    print(
        f"largest error of the arc-cosine kernel {arccos:.1e}, of the arc-sine kernel {arcsin:.1e}"
    )


if __name__ == "__main__":
    main()
