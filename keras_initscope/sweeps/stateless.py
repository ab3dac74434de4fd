"""Keras' optimizers without TensorFlow's variables: what they change is in the scope.

Owns how an optimizer of a model on TensorFlow is made to compute on tensors. `stateless_apply` of
Keras 3.15 refuses TensorFlow, since that backend's class of optimizers replaces methods for
`tf.distribute`; the methods that it replaces are taken back here.
"""

from __future__ import annotations

from typing import Any

from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer


def stateless(model: Any) -> Any:
    """The optimizer of a model once more: built, and for use within a `keras.StatelessScope`."""
    kind = type(model.optimizer)
    made: Any = type(
        kind.__name__, (kind, _Stateless), {}
    )  # before TFOptimizer, and behind the kind
    optimizer = made.from_config(model.optimizer.get_config())
    optimizer.build(model.trainable_variables)
    return optimizer


class _Stateless(TFOptimizer):
    """Between an optimizer of Keras' and its class for TensorFlow."""


for _name in vars(TFOptimizer).keys() & vars(BaseOptimizer).keys():
    if not _name.startswith("__"):
        setattr(_Stateless, _name, vars(BaseOptimizer)[_name])
