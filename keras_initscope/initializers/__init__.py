"""Initializers that Keras lacks, as ordinary Keras initializers.

Owns subclasses of `keras.initializers.Initializer`, registered for saving under
`"keras_initscope>..."`. Never looks at a model, and never rewrites what Keras already has.

As in Keras, an object that is seeded with an integer, or not at all, gives the same values each
time it is asked: layers of one shape that share it start alike. Give each layer an object of its
own. Query, key and value of attention each take a copy, which starts alike with an integer and with
a `SeedGenerator`: leave the seed out there, and call `keras.utils.set_random_seed`. No initializer
could tell them apart: it is given a shape and a dtype, not the variable, and the same seed must
give the same values. `keras_initscope.reinitialize` can, which knows the variables by their paths.

A string names one with its package in front, as Keras has it for every registered object; what has
arguments without a default is named by a dictionary. The bare name is known inside
`keras.saving.custom_object_scope` alone:

```python
import keras

from keras_initscope import initializers

by_string = keras.layers.Dense(8, kernel_initializer="keras_initscope>ScaledOrthogonal")
kumar = {"class_name": "keras_initscope>Kumar", "config": {"activation": "sigmoid"}}
by_dictionary = keras.layers.Dense(8, "sigmoid", kernel_initializer=kumar)
with keras.saving.custom_object_scope({"Sparse": initializers.Sparse}):
    by_bare_name = keras.layers.Dense(8, kernel_initializer="Sparse")
```
"""

from keras_initscope.initializers.critical import Critical, CriticalBias
from keras_initscope.initializers.dirac import Dirac
from keras_initscope.initializers.gain_scaling import GainScaling, Kumar
from keras_initscope.initializers.gated import Gated
from keras_initscope.initializers.he_average import HeAverageNormal, HeAverageUniform
from keras_initscope.initializers.orthogonal import DeltaOrthogonal, ScaledOrthogonal
from keras_initscope.initializers.residual import Fixup, ResidualScaling
from keras_initscope.initializers.sparse import Sparse

__all__ = [
    "Critical",
    "CriticalBias",
    "DeltaOrthogonal",
    "Dirac",
    "Fixup",
    "GainScaling",
    "Gated",
    "HeAverageNormal",
    "HeAverageUniform",
    "Kumar",
    "ResidualScaling",
    "ScaledOrthogonal",
    "Sparse",
]
