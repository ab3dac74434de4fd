"""Initializers that Keras lacks, as ordinary Keras initializers.

Owns subclasses of `keras.initializers.Initializer`, registered for saving under
`"keras_initscope>..."`. Never looks at a model, and never rewrites what Keras already has.
"""

from keras_initscope.initializers.he_average import HeAverageNormal, HeAverageUniform

__all__ = ["HeAverageNormal", "HeAverageUniform"]
