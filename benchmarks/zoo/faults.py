"""What names a fault, and how a row of the tables of faulty networks is made.

A fault may be named by its cause or by what it does first; what else it does is accepted.
"""

from __future__ import annotations

from benchmarks.zoo import data
from benchmarks.zoo.blocks import chain, mlp
from benchmarks.zoo.subject import Subject

DEAD = ("B3", "U2", "D3", "W2")
VANISHING = ("F1", "F3", "B1")
EXPLODING = ("F2", "B2")
BLOWN = (*EXPLODING, "F4", "F5", "U1", "N1", "N2", "W3", *DEAD)
SYMMETRIC = ("U3", "F5")
ALIKE = (*VANISHING, *EXPLODING, "F4", "F5", "U1", *DEAD)
NONFINITE = ("D2", "N1")
ZEROS = ("B3", "U3", "U2")
DYING = (*BLOWN, "F1", "F3", "B1")


def digits(make, wanted, accepted=(), **options):
    build = chain((64,), make)
    return Subject(build=build, data=data.digits, wanted=wanted, accepted=accepted, **options)


def deep(depth, units, activation, init, wanted, accepted=DEAD, fused=True, **options):
    build = mlp((64,), depth, units, 10, activation, init, fused=fused)
    return Subject(build=build, data=data.digits, wanted=wanted, accepted=accepted, **options)


def images(make, wanted, accepted=DEAD, size=8, high=1.0, **options):
    build, draw = chain((size, size, 1), make), data.images(size, high=high)
    return Subject(build=build, data=draw, wanted=wanted, accepted=accepted, **options)


def cancer(make, wanted, accepted=(), **options):
    options = {"data": data.cancer} | options
    return Subject(build=chain((30,), make), wanted=wanted, accepted=accepted, **options)


def rows(make, wanted, accepted=(), **options):
    return Subject(
        build=chain((8, 8), make), data=data.rows, wanted=wanted, accepted=accepted, **options
    )
