"""The frozen records that travel between the rooms.

Owns the shapes of the data and views of it. Computes no statistic, reads no model, writes no file.
"""

from keras_initscope.records.advice import Advice, Alternative, Pairing
from keras_initscope.records.changes import Change, Changes
from keras_initscope.records.cost import Cost
from keras_initscope.records.finding import Finding, Severity
from keras_initscope.records.fit_report import FitReport, Sighting
from keras_initscope.records.remedy import Remedy
from keras_initscope.records.report import Report
from keras_initscope.records.rows import LayerRow, rows
from keras_initscope.records.snapshot import (
    CANDIDATE,
    LIMITS,
    Histogram,
    LayerInfo,
    ModelInfo,
    Quantity,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
    Units,
)

__all__ = [
    "CANDIDATE",
    "LIMITS",
    "Advice",
    "Alternative",
    "Change",
    "Changes",
    "Cost",
    "Finding",
    "FitReport",
    "Histogram",
    "LayerInfo",
    "LayerRow",
    "ModelInfo",
    "Pairing",
    "Quantity",
    "Remedy",
    "Report",
    "Severity",
    "Sighting",
    "Snapshot",
    "StepInfo",
    "Tap",
    "TensorStats",
    "Units",
    "rows",
]
