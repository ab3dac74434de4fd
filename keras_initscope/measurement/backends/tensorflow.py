"""TensorFlow's verbs: taps, bit patterns, counting, compiled looks, batches put back.

Owns everything that must be said in TensorFlow. Knows no Keras layer, no statistic's meaning.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import op_def_registry

#: Stateful ops that change nothing outside the graph, by prefix.
_HARMLESS = (
    "Assert",
    "Collective",
    "HashTable",
    "LookupTableFind",
    "LookupTableSize",
    "Nccl",
    "PartitionedCall",
    "Print",
    "ReadVariableOp",
    "ResourceGather",
    "StatefulPartitionedCall",
    "StringFormat",
    "VarHandleOp",
    "VarIsInitializedOp",
    "VariableShape",
    "_Arg",
    "_Retval",
    "Case",
    "If",
    "While",
    "Placeholder",
)
#: How the lines begin that say where an error happened: in a graph, or in a layer.
_LONGEST = 300  # characters of an error message that are shown
_WHERE = (
    "Graph execution error",
    "Detected at node",
    "File ",
    "<stack traces",
    "[[",
    "(0)",
    "(1)",
    "Exception encountered when calling",
)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
#: How many shapes of batches get a graph of their own; the last batch is often a shorter one.
_EXACT_SHAPES = 3
_PerReplica = tf.types.experimental.distributed.PerReplica
_GRID = np.linspace(-12.0, 12.0, 1921, dtype=np.float32)


def graph() -> Any:
    """The graph that is being built; equal graphs are one object."""
    return tf.compat.v1.get_default_graph()


def is_float(value: Any) -> bool:
    """Whether the value is a dense floating-point tensor."""
    return isinstance(value, tf.Tensor) and value.dtype.is_floating


def dense(gradient: Any) -> Any:
    """A gradient as a dense tensor; an embedding's comes as slices."""
    return tf.convert_to_tensor(gradient)


def watch(tensor: Any, record: Callable[[Any], None]) -> Any:
    """An identity of `tensor` that calls `record` with the cotangent when gradients are taken."""

    @tf.custom_gradient
    def tap(value: Any) -> Any:
        def gradient(cotangent: Any) -> Any:
            record(cotangent)
            return cotangent

        return tf.identity(value), gradient

    return tap(tensor)


@contextmanager
def sources() -> Iterator[None]:
    """Let gradients be taken by variables that have been assigned in a stateless scope.

    Keras differentiates by `variable.handle`, but what such a variable holds has no handle.
    """
    owner = next(kind for kind in keras.Variable.__mro__ if "handle" in vars(kind))
    original = vars(owner)["handle"]
    owner.handle = property(lambda variable: variable._value.handle)
    try:
        yield
    finally:
        owner.handle = original


def as_read(variable: Any, value: Any) -> Any:
    """What reading a variable gives after `value` has been assigned to it.

    As with an assignment that took place, a gradient by the variable sees this reading, and none
    goes back to where the value came from.
    """

    @tf.custom_gradient
    def read(unassigned: Any, assigned: Any) -> Any:
        return tf.identity(assigned), lambda cotangent: (cotangent, None)

    if not value.dtype.is_floating:
        return value
    return read(tf.convert_to_tensor(variable._value), tf.stop_gradient(value))


def gradients(
    function: Callable[[], Any], variables: Sequence[Any], inputs: Sequence[Any]
) -> tuple[Any, list[Any]]:
    """Call a function and differentiate what it returns.

    Args:
        function: Returns a scalar.
        variables: The Keras variables to differentiate by.
        inputs: Tensors that are followed as well, so that taps on the way from them hear of it.

    Returns:
        The scalar, and its derivative by each variable, `None` where it does not depend on it.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function()
    found = tape.gradient(value, [*inputs, *variables])
    return value, found[len(inputs) :]


def with_slope(function: Callable[[Any], Any], tensor: Any) -> tuple[Any, Any]:
    """Call an elementwise function and differentiate it.

    Returns:
        `function(tensor)` and its derivative at each element; `None` for the latter where the
        function is the identity or the derivative is not known.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensor)
        outputs = function(tensor)
    if outputs is tensor or not is_float(outputs):
        return outputs, None
    return outputs, tape.gradient(outputs, tensor)


def slope_bound(function: Callable[[Any], Any]) -> tuple[bool, float]:
    """Try a function out on a grid from -12 to 12.

    Returns:
        Whether it acts on each element alone, and its steepest slope in magnitude.
    """
    # A thread of its own stands in no graph; `tf.init_scope` would leave that too, but no tape
    # records within it.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_tried, function).result()


def _tried(function: Callable[[Any], Any]) -> tuple[bool, float]:
    try:
        row, columns = _GRID[None, :], np.stack([_GRID, _GRID], axis=1)
        outputs, slope = with_slope(function, tf.constant(row))
        alone = np.asarray(function(tf.constant(columns)))
        if outputs.shape != row.shape or not np.allclose(
            np.asarray(outputs), alone.T, rtol=1e-4, atol=1e-6
        ):
            return False, float("nan")
        return True, 1.0 if slope is None else float(np.max(np.abs(np.asarray(slope))))
    except Exception:  # a user's function may refuse the grid for any reason of its own
        return False, float("nan")


def bits(tensor: Any) -> Any:
    """The int32 bit patterns of a float32 tensor."""
    return tf.bitcast(tensor, tf.int32)


def is_data(iterator: Any) -> bool:
    """Whether an iterator is one of those that `fit` trains on."""
    return hasattr(iterator, "element_spec")


def to_host(packed: Any) -> NDArray[np.int32]:
    """Bring a tensor to the host."""
    return np.asarray(packed)


def takes_name(name: str) -> bool:
    """Whether a graph takes a layer of that name.

    Where it does not, Keras leaves the name behind in its scopes, and whatever is named later fails
    as well.
    """
    return re.fullmatch(r"[A-Za-z0-9_.\\/>-]*", name) is not None


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


def inner(function: Callable[[Any], Any], *, jit: bool) -> Callable[[Any], Any]:
    """A part of a graph that XLA compiles, or the function as it is."""
    return tf.function(function, autograph=False, jit_compile=True) if jit else function


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of a graph that is built once for all calls with tensors of the same types."""
    attributes = {"_noinline": True}  # inlined, it would be optimized anew for each call
    return tf.function(function, autograph=False, experimental_attributes=attributes)


class Compiled:
    """A function compiled once for each kind of input, looked through before it first runs.

    Args:
        function: Tensors in, `(tensors, anything)` out; the second part is made while tracing and
            handed back with each result.
    """

    def __init__(self, function: Callable[..., tuple[Any, Any]]) -> None:
        self._notes: dict[int, Any] = {}
        self._ready: dict[Any, tuple[Any, Any]] = {}
        self._current: tuple[Any, Any] | None = None
        self.traces = 0

        @tf.autograph.experimental.do_not_convert
        def traced(*args: Any) -> Any:
            self.traces += 1
            tensors, note = function(*args)
            self._notes[id(graph())] = note
            return tensors

        self._exact = tf.function(traced)
        self._general = tf.function(traced, reduce_retracing=True)

    def prepare(self, *args: Any) -> None:
        """Trace for these arguments unless that has been done.

        Raises:
            SideEffectError: If running it would change state outside the graph.
        """
        shapes = tuple(
            (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, tf.Tensor) else str(leaf)
            for leaf in tf.nest.flatten(args, expand_composites=True)
        )
        if shapes not in self._ready:
            self._ready[shapes] = self._traced(args)
        self._current = self._ready[shapes]

    def _traced(self, args: Any) -> tuple[Any, Any]:
        """Exact shapes make the better graph; where they keep changing, one graph for all."""
        function = self._exact if len(self._ready) < _EXACT_SHAPES else self._general
        with _kept_random_state():
            concrete = function.get_concrete_function(*args)
        if found := sorted(_side_effects(concrete.graph)):
            raise SideEffectError(found)
        return concrete, self._notes[id(concrete.graph)]

    def __call__(self, *args: Any) -> tuple[Any, Any]:
        """Run it, after `prepare` with the same arguments."""
        assert self._current is not None, "running follows preparing"
        concrete, note = self._current
        return concrete(*args), note


class SideEffectError(Exception):
    """A graph would change state that is not its own."""


@contextmanager
def _kept_random_state() -> Iterator[None]:
    """Tracing runs the user's Python code once more; its random numbers must not be used up."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _side_effects(traced: Any) -> set[str]:
    definition = traced.as_graph_def(add_shapes=False)
    nodes = list(definition.node)
    for inner in definition.library.function:
        nodes.extend(inner.node_def)
    return {node.op for node in nodes if _is_effect(node)}


def _is_effect(node: Any) -> bool:
    if node.op.startswith(_HARMLESS):
        return False
    registered = _op_definition(node.op)
    return registered is not None and registered.is_stateful and not _is_seeded(node)


def _op_definition(name: str) -> Any:
    return op_def_registry.get(name)


def _is_seeded(node: Any) -> bool:
    return node.op.startswith("Stateless")


def is_end_of_data(error: BaseException) -> bool:
    """Whether the error only says that an iterator has no more batches."""
    return isinstance(error, StopIteration | tf.errors.OutOfRangeError)


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that a batch does not suit a model, rather than that it fails."""
    return isinstance(error, ValueError | LookupError | tf.errors.InvalidArgumentError)


def message(error: BaseException) -> str:
    """The line of an error's text that says what is wrong, not where."""
    lines = [_STYLE.sub("", line).strip() for line in str(error).splitlines()]
    found = next((line for line in lines if line and not line.startswith(_WHERE)), "")
    if len(found) > _LONGEST:  # as of labels out of range, which TensorFlow lists one and all
        found = f"{found[:_LONGEST]} ..."
    return f"{type(error).__name__}: {found}" if found else type(error).__name__


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


def symbolic_batch(iterator: Any) -> Any:
    """The shapes and dtypes of the batches that an iterator gives, as Keras tensors."""

    def symbolic(spec: Any) -> Any:
        spec = _of_one_device(spec)
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
    spec = keras.tree.map_structure(_of_one_device, iterator.element_spec)

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


def _of_one_device(spec: Any) -> Any:
    return getattr(spec, "_value_specs", (spec,))[0]


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
