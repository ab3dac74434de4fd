"""The frozen records that travel between the rooms.

Owns the shapes of the data and views of it. Computes no statistic, reads no model, writes no file.
"""

from keras_initscope.records.changes import Change, Changes
from keras_initscope.records.finding import Finding, Severity
from keras_initscope.records.report import LayerRow, Report
from keras_initscope.records.snapshot import (
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
    "Change",
    "Changes",
    "Finding",
    "Histogram",
    "LayerInfo",
    "LayerRow",
    "ModelInfo",
    "Quantity",
    "Report",
    "Severity",
    "Snapshot",
    "StepInfo",
    "Tap",
    "TensorStats",
    "Units",
]
