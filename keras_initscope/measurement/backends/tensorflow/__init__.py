"""TensorFlow's verbs: taps, bit patterns, counting, compiled looks, batches put back.

Owns everything that must be said in TensorFlow. Knows no Keras layer, no statistic's meaning.
"""

from keras_initscope.measurement.backends.tensorflow.compiling import (
    Compiled,
    SideEffectError,
    inner,
    shared,
    to_host,
)
from keras_initscope.measurement.backends.tensorflow.devices import (
    as_trained_on,
    distribution_obstacle,
    on_each_device,
    replicas,
    whole,
    without_optionals,
)
from keras_initscope.measurement.backends.tensorflow.errors import (
    is_end_of_data,
    is_refusal,
    message,
)
from keras_initscope.measurement.backends.tensorflow.feeding import (
    Replay,
    is_data,
    symbolic_batch,
)
from keras_initscope.measurement.backends.tensorflow.tapping import (
    as_read,
    bits,
    dense,
    gradients,
    graph,
    inlined,
    is_float,
    is_taped,
    slope_bound,
    sources,
    takes_name,
    watch,
    with_slope,
)

__all__ = [
    "Compiled",
    "Replay",
    "SideEffectError",
    "as_read",
    "as_trained_on",
    "bits",
    "dense",
    "distribution_obstacle",
    "gradients",
    "graph",
    "inlined",
    "inner",
    "is_data",
    "is_end_of_data",
    "is_float",
    "is_refusal",
    "is_taped",
    "message",
    "on_each_device",
    "replicas",
    "shared",
    "slope_bound",
    "sources",
    "symbolic_batch",
    "takes_name",
    "to_host",
    "watch",
    "whole",
    "with_slope",
    "without_optionals",
]
