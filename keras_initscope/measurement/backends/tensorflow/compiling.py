"""Functions compiled once for each kind of input, refused where they would change anything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
#: How many shapes of batches get a graph of their own; the last batch is often a shorter one.
_EXACT_SHAPES = 3


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
            self._notes[id(tf.compat.v1.get_default_graph())] = note
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


def to_host(packed: Any) -> NDArray[np.int32]:
    """Bring a tensor to the host."""
    return np.asarray(packed)
