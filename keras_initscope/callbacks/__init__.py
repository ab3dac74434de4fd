"""Callbacks for `model.fit`.

Owns when to look and what happens to the result. Knows no formula.
"""

from keras_initscope.callbacks.variance_monitor import VarianceMonitor

__all__ = ["VarianceMonitor"]
