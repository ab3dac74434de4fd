"""The catalogue of experiments: each with typed parameters, a seed, and what theory expects of it.

Owns the presets, one family a file, and the way to find and run them. Uses the rooms below as any
user would; never reaches into them, and never prints: a run reports progress to whoever asked.
"""

from keras_initscope.presets.parameters import Parameter
from keras_initscope.presets.registry import Preset, Run, get, names, preset, run
from keras_initscope.presets.result import (
    Expectation,
    Interval,
    Outcome,
    PresetError,
    Result,
    Verdict,
    cell,
)

__all__ = [
    "Expectation",
    "Interval",
    "Outcome",
    "Parameter",
    "Preset",
    "PresetError",
    "Result",
    "Run",
    "Verdict",
    "cell",
    "get",
    "names",
    "preset",
    "run",
]
