"""Activation layers that Keras lacks, as ordinary Keras layers.

Owns subclasses of `keras.Layer`, registered for saving under `"keras_initscope>..."`. Never looks
at a model or at a framework: `keras.ops` and `keras.random` only, on every Keras backend.
"""

from keras_initscope.layers.rrelu import RReLU

__all__ = ["RReLU"]
