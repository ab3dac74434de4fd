"""Activation layers that Keras lacks, as ordinary Keras layers.

Owns subclasses of `keras.Layer`, registered for saving under `"keras_initscope>..."`. Never looks
at a model or at a framework: `keras.ops` and `keras.random` only, on every Keras backend.
"""

from keras_initscope.layers.lecun_tanh import LeCunTanh
from keras_initscope.layers.parametric_elu import ParametricELU
from keras_initscope.layers.rrelu import RReLU
from keras_initscope.layers.transformed import ScaledActivation, TransformedActivation

__all__ = [
    "LeCunTanh",
    "ParametricELU",
    "RReLU",
    "ScaledActivation",
    "TransformedActivation",
]
