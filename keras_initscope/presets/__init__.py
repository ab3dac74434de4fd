"""The catalogue of experiments: each with typed parameters, a seed, and what theory expects of it.

Owns the presets, one family a file, and the way to find and run them. Uses the rooms below as any
user would; never reaches into them, and never prints: a run reports progress to whoever asked.
"""

from keras_initscope.presets.data import Data
from keras_initscope.presets.experiment import Experiment, Networks, Trial
from keras_initscope.presets.parameters import Choice, Parameter, Recording
from keras_initscope.presets.registry import Preset, Run, get, names, preset
from keras_initscope.presets.result import (
    Expectation,
    Interval,
    Outcome,
    PresetError,
    Result,
    Verdict,
    cell,
)
from keras_initscope.presets.running import build, parsed, run
from keras_initscope.presets.sources import Source

__all__ = [
    "Choice",
    "Data",
    "Expectation",
    "Experiment",
    "Interval",
    "Networks",
    "Outcome",
    "Parameter",
    "Preset",
    "PresetError",
    "Recording",
    "Result",
    "Run",
    "Source",
    "Trial",
    "Verdict",
    "build",
    "cell",
    "get",
    "names",
    "parsed",
    "preset",
    "run",
]
