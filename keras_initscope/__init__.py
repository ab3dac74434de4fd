"""See whether a deep Keras network can train, start it right, and watch it while it trains."""

from keras_initscope import initializers, layers
from keras_initscope.callbacks import VarianceMonitor

__all__ = ["VarianceMonitor", "initializers", "layers"]
__version__ = "0.1.0"
