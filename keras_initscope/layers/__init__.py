"""Activation layers that Keras lacks, as ordinary Keras layers.

Owns subclasses of `keras.Layer`, registered for saving under `"keras_initscope>..."`. Never looks
at a model or at a framework: `keras.ops` and `keras.random` only, on every Keras backend.

As an `activation=` they are given as objects, or as dictionaries with the package in front of the
name: as a string Keras takes its own activations only.

```python
import keras

from keras_initscope.layers import LeCunTanh

by_object = keras.layers.Dense(8, activation=LeCunTanh())
tanh = {"class_name": "keras_initscope>LeCunTanh", "config": {}}
by_dictionary = keras.layers.Dense(8, activation=tanh)
```
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
