"""Batches that were taken out of an iterator of `fit`, put back before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_initscope.measurement.backends.tensorflow.devices import of_one_device


def is_data(iterator: Any) -> bool:
    """Whether an iterator is one of those that `fit` trains on."""
    return hasattr(iterator, "element_spec")


def symbolic_batch(iterator: Any) -> Any:
    """The shapes and dtypes of the batches that an iterator gives, as Keras tensors."""

    def symbolic(spec: Any) -> Any:
        spec = of_one_device(spec)
        if isinstance(spec, tf.OptionalSpec | tf.NoneTensorSpec | None):
            return None
        dtype = keras.backend.standardize_dtype(spec.dtype)
        sparse = isinstance(spec, tf.SparseTensorSpec)
        if isinstance(spec, tf.RaggedTensorSpec):
            rank = spec.ragged_rank
            return keras.KerasTensor(tuple(spec.shape), dtype, ragged=True, ragged_rank=rank)
        return keras.KerasTensor(tuple(spec.shape), dtype, sparse=sparse)

    return keras.tree.map_structure(symbolic, iterator.element_spec)


class Replay:
    """Hands on batches that were taken out of an iterator.

    What it gives has the same element type as that iterator, so that a function traced for the one
    is not traced again for the other.
    """

    def __init__(self) -> None:
        self._queue: Any = None
        self._lasting: Any = None

    def __call__(self, batches: Sequence[Any], iterator: Any, asked: float) -> Any:
        """An iterator over the batches.

        Args:
            batches: Taken out of `iterator`.
            iterator: Where they come from.
            asked: How many whoever gets it asks for. Where there are fewer, it ends; else asking
                for more would wait for ever.
        """
        if isinstance(iterator, tf.distribute.DistributedIterator):
            return _redistributed(batches, iterator)
        spec = iterator.element_spec
        parts = tf.nest.flatten(spec)
        if len(batches) < asked or not all(isinstance(part, tf.TensorSpec) for part in parts):
            return iter(_Retyped(_dataset(batches), spec))
        if self._lasting is None or self._lasting.element_spec != spec:
            # Making an iterator takes as long as a step of a small model: one does for all.
            self._queue = tf.queue.FIFOQueue(len(batches), [part.dtype for part in parts])
            self._lasting = iter(_Retyped(_taken_from(self._queue, spec), spec))
        for batch in batches:
            self._queue.enqueue(tf.nest.flatten(batch))
        return self._lasting


def _redistributed(batches: Sequence[Any], iterator: Any) -> Any:
    """A distributed iterator over batches that were taken out of one."""
    strategy = iterator._strategy
    spec = keras.tree.map_structure(of_one_device, iterator.element_spec)

    def parts(context: Any) -> Any:
        """Each device's part of each batch, in turn."""
        dealt = [
            keras.tree.map_structure(
                lambda part, i=i: strategy.experimental_local_results(part)[i], batch
            )
            for batch in batches
            for i in range(strategy.num_replicas_in_sync)
        ]
        return _Retyped(_dataset(dealt), spec)

    distributed = strategy.distribute_datasets_from_function(parts, iterator._options)
    # Under the original's type, cardinality and all, so that nothing is traced anew.
    return iterator._type_spec._from_components(iter(distributed)._iterators)


def _dataset(batches: Sequence[Any]) -> Any:
    dataset = tf.data.Dataset.from_tensors(batches[0])
    for batch in batches[1:]:
        dataset = dataset.concatenate(tf.data.Dataset.from_tensors(batch))
    return dataset


def _taken_from(queue: Any, spec: Any) -> Any:
    """An endless dataset of what is put into a queue, which takes nothing before it is asked."""

    def take(_: Any) -> Any:
        parts = queue.dequeue()
        parts = parts if isinstance(parts, list) else [parts]
        for part, known in zip(parts, tf.nest.flatten(spec), strict=True):
            part.set_shape(known.shape)
        return tf.nest.pack_sequence_as(spec, parts)

    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors(0).repeat().map(take).with_options(options)


class _Retyped(tf.data.Dataset):
    """A dataset under a more general element type."""

    def __init__(self, dataset: Any, element_spec: Any) -> None:
        self._dataset = dataset
        self._spec = element_spec
        super().__init__(dataset._variant_tensor)

    def _inputs(self) -> list[Any]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        return self._spec
