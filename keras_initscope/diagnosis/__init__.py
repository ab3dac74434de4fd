"""What is wrong with a network, where, why, and what to change.

Owns the rules, one function each, and what asks them. Reads records; writes and prints nothing.
"""

from keras_initscope.diagnosis import chance, data, numerics, reach, signal, units, weights
from keras_initscope.diagnosis.case import Case
from keras_initscope.diagnosis.engine import RULES, Evidence, Rule, diagnose, rule
from keras_initscope.diagnosis.fit import fit_report
from keras_initscope.diagnosis.scope import coverage

__all__ = [
    "RULES",
    "Case",
    "Evidence",
    "Rule",
    "chance",
    "coverage",
    "data",
    "diagnose",
    "fit_report",
    "numerics",
    "reach",
    "rule",
    "signal",
    "units",
    "weights",
]
