"""Models that train on several devices: each one's part of a batch, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_PerReplica = tf.types.experimental.distributed.PerReplica


def replicas(model: Any) -> int:
    """On how many devices the model trains at once."""
    return int(model.distribute_strategy.num_replicas_in_sync)


def distribution_obstacle(model: Any) -> str | None:
    """Why what the model's devices compute cannot be brought together; `None` where it can."""
    strategy = model.distribute_strategy
    if replicas(model) == 1 or isinstance(strategy, tf.distribute.MirroredStrategy):
        return None
    return (
        f"it trains under {type(strategy).__name__}, and of those that train on several devices "
        "MirroredStrategy alone is measured"
    )


def on_each_device(model: Any, function: Callable[[Any], list[Any]], batch: Any) -> list[list[Any]]:
    """Call a function with each device's part of a batch, as training does.

    Returns:
        What the function returned, one list a device.
    """

    @tf.autograph.experimental.do_not_convert
    def call(part: Any) -> list[Any]:
        return function(keras.tree.map_structure(_of_unknown_length, part))

    strategy = model.distribute_strategy
    found = strategy.run(call, args=(batch,))
    parts = [strategy.experimental_local_results(value) for value in found]
    return [list(values) for values in zip(*parts, strict=True)]


def _of_unknown_length(part: Any) -> Any:
    """A device that no example is left for: Keras' losses are no scalars where it knows of that."""
    if not isinstance(part, tf.Tensor) or part.shape.rank == 0 or part.shape[0] != 0:
        return part
    return tf.compat.v1.placeholder_with_default(part, (None, *part.shape[1:]))


def without_optionals(batch: Any) -> Any:
    """A batch with the `None`s that Keras hides in empty optionals."""
    return keras.tree.map_structure(
        lambda part: None if isinstance(part, tf.experimental.Optional) else part, batch
    )


def as_trained_on(model: Any, batch: Any) -> Any:
    """A batch as the model's devices take it, each its part, without what stands for `None`."""
    batch = without_optionals(batch)
    devices = replicas(model)
    if devices == 1 or any(isinstance(part, _PerReplica) for part in keras.tree.flatten(batch)):
        return batch

    def dealt(part: Any) -> Any:
        if part is None:
            return None
        rows = np.array_split(np.arange(part.shape[0]), devices)
        return model.distribute_strategy.experimental_distribute_values_from_function(
            lambda context: tf.gather(part, rows[context.replica_id_in_sync_group])
        )

    return keras.tree.map_structure(dealt, batch)


def whole(batch: Any) -> Any:
    """The parts of a batch that each device takes, as one batch again."""
    return keras.tree.map_structure(
        lambda part: tf.concat(part.values, 0) if isinstance(part, _PerReplica) else part, batch
    )


def of_one_device(spec: Any) -> Any:
    """The element type of one device's part of a batch."""
    return getattr(spec, "_value_specs", (spec,))[0]
