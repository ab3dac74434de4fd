"""See whether a deep Keras network can train, start it right, and watch it while it trains."""

__version__ = "0.1.0"

from keras_initscope import initializers, layers, presets, sweeps
from keras_initscope.callbacks import VarianceMonitor
from keras_initscope.inspection import advise, inspect
from keras_initscope.model_init import autoinit, calibrate, pretrain, reinitialize, tailor, unroll
from keras_initscope.prediction.gains import criticality, gain
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.sweeps import compare

__all__ = [
    "VarianceMonitor",
    "advise",
    "autoinit",
    "calibrate",
    "compare",
    "criticality",
    "gain",
    "initializers",
    "inspect",
    "layers",
    "predict_signal",
    "presets",
    "pretrain",
    "reinitialize",
    "sweeps",
    "tailor",
    "unroll",
]
