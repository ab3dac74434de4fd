"""Steps that a meter can look at beside a model's own training step.

Owns what is differentiated in them. They run the model as training does and apply no optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_initscope.measurement import backends
from keras_initscope.measurement.hooks import hand_over

Step = Callable[[Any], None]

_SEED = 0


def with_loss(model: Any, loss: Callable[[Any, Any], Any]) -> Step:
    """The step of a model that is not compiled, with a loss.

    Args:
        model: A built Keras model.
        loss: Targets and predictions to losses: a Keras loss, or a function. Its mean counts; of a
            model with several outputs, the sum over them; what the model adds to it as well.

    Returns:
        A step for batches `(x, y)` or `(x, y, sample_weight)`.
    """

    def total(outputs: Any, y: Any, weights: Any) -> Any:
        targets, predictions = keras.tree.flatten(y), keras.tree.flatten(outputs)
        if len(targets) != len(predictions):
            raise ValueError(
                f"The model has {len(predictions)} outputs. Received: y of {len(targets)} arrays."
            )
        parts = [
            _mean(loss, target, prediction, weights)
            for target, prediction in zip(targets, predictions, strict=True)
        ]
        return sum([*parts, *(ops.sum(added) for added in model.losses)])

    return _step(model, total)


def with_cotangent(model: Any) -> Step:
    """The step of a model without a loss: a cotangent of variance 1 at every output.

    It differentiates the sum of the outputs, each element with a sign of its own that is drawn with
    a fixed seed: `dL/d output` is +1 or -1, independently, with mean square 1.

    Args:
        model: A built Keras model.

    Returns:
        A step for batches `(x,)`, with or without more.
    """

    def total(outputs: Any, y: Any, weights: Any) -> Any:
        found = [ops.convert_to_tensor(output) for output in keras.tree.flatten(outputs)]
        floats = [each for each in found if keras.backend.is_float_dtype(each.dtype)]
        return sum(ops.sum(each * _signs(each, _SEED + i)) for i, each in enumerate(floats))

    return _step(model, total, is_loss=False)


def _step(model: Any, total: Callable[[Any, Any, Any], Any], *, is_loss: bool = True) -> Step:
    backend = backends.current()

    def step(batch: Any) -> None:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        more = {"training": True} if model._call_has_training_arg else {}
        variables = model.trainable_variables
        inputs = [leaf for leaf in keras.tree.flatten(x) if backend.is_float(leaf)]
        loss, gradients = backend.gradients(
            lambda: total(model(x, **more), y, weights), variables, inputs
        )
        hand_over(loss if is_loss else None, gradients, variables)

    return step


def _mean(loss: Callable[..., Any], target: Any, prediction: Any, weights: Any) -> Any:
    if isinstance(loss, keras.losses.Loss):
        return loss(target, prediction, sample_weight=weights)
    return ops.mean(loss(target, prediction))


def _signs(tensor: Any, seed: int) -> Any:
    uniform = keras.random.uniform(ops.shape(tensor), seed=seed)
    return ops.cast(ops.where(uniform < 0.5, -1.0, 1.0), tensor.dtype)
