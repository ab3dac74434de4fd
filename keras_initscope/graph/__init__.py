"""A Keras model as its layers in forward order, for any kind of model, and as its operations.

Owns the names and the order of layers, which of a layer's variables are kernels or biases, and the
operations that tensors pass through. Touches no value.
"""

from keras_initscope.graph.building import (
    build,
    has_weights,
    unbuilt,
)
from keras_initscope.graph.description import described
from keras_initscope.graph.nodes import (
    LayerNode,
    holds_layers,
    layers,
    optimizers,
    overrides,
    own_variables,
    reorder,
    ways,
)
from keras_initscope.graph.structure import (
    Operations,
    as_taken,
    giving,
    input_names,
    inputs_by_name,
    kept_seeds,
    operations,
    taking,
    traced,
)

__all__ = [
    "LayerNode",
    "Operations",
    "as_taken",
    "build",
    "described",
    "giving",
    "has_weights",
    "holds_layers",
    "input_names",
    "inputs_by_name",
    "kept_seeds",
    "layers",
    "operations",
    "optimizers",
    "overrides",
    "own_variables",
    "reorder",
    "taking",
    "traced",
    "unbuilt",
    "ways",
]
