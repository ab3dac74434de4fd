"""Many trainings beside each other, on all cores or a cluster, and never one of them twice.

Owns sweeps of any function over settings, and the comparison of initializers, activations, depths
and learning rates for a model of the user's own. Knows no preset.
"""

from keras_initscope.sweeps.cells import SweepError
from keras_initscope.sweeps.comparison import Comparison, compare
from keras_initscope.sweeps.grid import Grid, Training
from keras_initscope.sweeps.result import SweepResult
from keras_initscope.sweeps.running import sweep

__all__ = ["Comparison", "Grid", "SweepError", "SweepResult", "Training", "compare", "sweep"]
