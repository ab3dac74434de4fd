"""The true fans of every weight of every Keras layer, in one registry.

Owns how many weighted inputs add up in an output, and how many outputs an input has a share in, and
which axes of a weight those are. Draws no number; a shape alone does not know them.
"""

from keras_initscope.fans.layers import einsum_labels
from keras_initscope.fans.registry import (
    Fans,
    WeightFans,
    fan_in_of,
    fans_of,
    own_fans,
)
from keras_initscope.fans.shapes import axes_of_shape, shape_fans

__all__ = [
    "Fans",
    "WeightFans",
    "axes_of_shape",
    "einsum_labels",
    "fan_in_of",
    "fans_of",
    "own_fans",
    "shape_fans",
]
