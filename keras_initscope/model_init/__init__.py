"""Whole models changed in place before they train: new weights, scales and activations.

Owns what is done to a model as a whole, and says what it did as `Changes`. Never diagnoses.
"""

from keras_initscope.model_init.analysis import autoinit
from keras_initscope.model_init.calibration import calibrate
from keras_initscope.model_init.pretraining import pretrain
from keras_initscope.model_init.reinitialization import reinitialize
from keras_initscope.model_init.tailoring import tailor
from keras_initscope.model_init.unrolling import unroll

__all__ = ["autoinit", "calibrate", "pretrain", "reinitialize", "tailor", "unroll"]
