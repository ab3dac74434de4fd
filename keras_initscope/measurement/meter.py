"""The meter: looks at a model before and after one training step.

Owns what is measured of a model and what to do where it cannot be: then the weights alone are
measured and the reason is said once. Never changes a variable.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_initscope import graph
from keras_initscope.graph import LayerNode
from keras_initscope.measurement import backends, packing
from keras_initscope.measurement.capture import Captured, Recorder, tapped
from keras_initscope.measurement.histograms import sample
from keras_initscope.measurement.packing import Entry, Layout
from keras_initscope.measurement.rehearsal import Applied
from keras_initscope.records import ModelInfo, Quantity, Snapshot, StepInfo

_WEIGHTS = frozenset({Quantity.KERNEL, Quantity.BIAS})
_GRADIENT_OF = {
    Quantity.KERNEL: Quantity.KERNEL_GRADIENT,
    Quantity.BIAS: Quantity.BIAS_GRADIENT,
}
_HEADER = 2  # loss and learning rate


@dataclass(slots=True)
class _Look:
    """What one look left on the device."""

    packed: Any
    layout: Layout
    kernels: Sequence[Any]
    gradients: Sequence[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a look and the step after it have left on the device.

    Args:
        step: Training steps taken before the look.
        updates: Training steps taken since.
        time: Seconds since the epoch (1970).
        packed: All numbers.
        layout: Where each of them lies.
        tells_loss: Whether the step told its loss.
    """

    step: int
    updates: int
    time: float
    packed: Any
    layout: Layout
    tells_loss: bool

    def snapshot(self) -> Snapshot:
        """Bring the numbers to the host, in one transfer, and make records of them."""
        numbers = backends.current().to_host(self.packed)
        loss, rate = numbers[:_HEADER].view(np.float32).tolist()
        return Snapshot(
            step=self.step,
            info=StepInfo(
                loss=loss if self.tells_loss else None,
                learning_rate=None if np.isnan(rate) else rate,
                time=self.time,
                updates=self.updates,
            ),
            stats=tuple(packing.unpack(numbers[_HEADER:], self.layout)),
        )


class Meter:
    """Measures a model around its training steps.

    Args:
        model: A built Keras model.
        nodes: The layers to measure.
        quantities: What to measure of them.
        warn: Called with one sentence when something cannot be measured.
        step: What is run with a batch, as one of `measurement.steps`; the training step of the
            model by default.
        by_unit: Whether to tell of each unit of a signal as well.
        rehearses: Whether to keep the gradients of a look for whoever rehearses the step.

    Attributes:
        setup_seconds: Time spent on tracing.
        fault: What the step raised when it was tried, or `None`.
    """

    def __init__(
        self,
        model: Any,
        nodes: Sequence[LayerNode],
        quantities: frozenset[Quantity],
        warn: Callable[[str], None],
        step: Callable[[Any], Any] | None = None,
        by_unit: bool = False,
        rehearses: bool = False,
    ) -> None:
        self._model = model
        self._all = graph.layers(model)
        self._chosen = {id(node.layer) for node in nodes}
        self._quantities = quantities
        self._warn = warn
        self._backend = backends.current()
        self._run_step, self._by_unit = step or model.train_step, by_unit
        self._rehearses = rehearses
        self._appliers: list[tuple[Any, Any]] = []
        # XLA takes long to compile; that only pays where the same is looked at again and again.
        self._jit = step is None and bool(model.jit_compile) and not model.run_eagerly
        self._step = self._backend.Compiled(self._trace_step)
        self._weights = self._backend.Compiled(self._trace_weights)
        self._after = self._backend.Compiled(self._trace_after)
        self._weights_only = not (quantities - _WEIGHTS - {Quantity.KERNEL_UPDATE})
        self._look: _Look | None = None
        self._ready = self._late = self._tells_loss = self._seeded = False
        self._unseen: set[int] = set()
        self.setup_seconds = 0.0
        self.fault: Exception | None = None
        if step is not None and self._backend.replicas(model) > 1:
            self._give_up("it trains on several devices at once (tf.distribute)")
        elif obstacle := self._backend.distribution_obstacle(model):
            self._give_up(obstacle)
        names = (model.name, *(node.layer.name for node in self._all))
        self._refused = [name for name in names if not self._backend.takes_name(name)]
        if self._refused:
            self._give_up(f"a graph takes no layer by the name of {self._refused[0]!r}")

    def still_fits(self, model: Any, nodes: Sequence[LayerNode]) -> bool:
        """Whether it measures just these layers of this model as it is now."""
        layers = {id(node.layer) for node in graph.layers(model)}
        known = self._model is model and layers == {id(node.layer) for node in self._all}
        return known and self._chosen == {id(node.layer) for node in nodes}

    def info(self, planned_steps: int | None) -> ModelInfo:
        """The record of the model, layers in the order in which they were seen to run."""
        return graph.described(self._model, self._nodes(), planned_steps)

    def is_ready(self, iterator: Any) -> bool:
        """Whether all variables exist; builds what the model and the batches' shapes allow.

        Args:
            iterator: Where the batches come from; nothing is taken from it.
        """
        if self._refused:
            return graph.has_weights(self._model)
        if not self._ready:
            try:
                graph.build(self._model, self._backend.symbolic_batch(iterator))
                reason = None
            except Exception as error:  # a model may only come into being in its first real step
                reason = self._backend.message(error)
            # What is not built after a training step is nothing that the step calls.
            self._ready = self._late or graph.has_weights(self._model)
            if not self._ready:
                self._explain_late_start(reason)
        return self._ready

    @property
    def needs_batch(self) -> bool:
        """Whether a look needs the batch, or reads weights alone."""
        return not self._weights_only

    def before(self, batch: Any) -> None:
        """Look at the model just before it trains on `batch`."""
        started, traces = time.perf_counter(), self._traces()
        self._look = self._look_at(self._backend.as_trained_on(self._model, batch))
        if self._traces() > traces:
            self.setup_seconds += time.perf_counter() - started

    def _traces(self) -> int:
        return sum(part.traces for part in (self._step, self._weights, self._after))

    def _explain_late_start(self, reason: str | None) -> None:
        because = (
            f"its layers {graph.unbuilt(self._model)} are not built before its first training "
            "step, and may never be. Build them before `fit`, or leave out what is not used."
            if reason is None
            else f"it cannot be built before its first training step: {reason}. Call it on a batch "
            "before `fit`, or give it an input shape."
        )
        self._warn(
            f"The initialization of model {self._model.name!r} is not measured, because {because}"
        )
        self._late = True

    def _look_at(self, batch: Any) -> _Look:
        if not self._weights_only:
            if self._model.run_eagerly:  # then Python code counts anew at each step
                self._step = self._backend.Compiled(self._trace_step)
            try:
                self._step.prepare(batch)
            except self._backend.SideEffectError as error:
                self._give_up(
                    f"measuring runs the training step once more, and that would change {error} "
                    "outside Keras variables, which would disturb training"
                )
            except Exception as error:  # whatever the user's step raises is no reason to stop
                self.fault = error
                self._give_up(f"its training step cannot be traced: {self._backend.message(error)}")
        if not self._weights_only:
            try:
                return self._run(self._step, batch)
            except Exception as error:  # no memory, or nothing that XLA can compile
                self.fault = error
                self._give_up(f"running the step once more failed: {self._backend.message(error)}")
        self._weights.prepare()
        return self._run(self._weights)

    def _run(self, compiled: Any, *args: Any) -> _Look:
        if self._seeded:  # Keras' global generator came to life in the look, not in the step
            random.randint(1, int(1e9))  # so draw what it drew for its seed
            self._seeded = False
        (packed, kernels, gradients), layout = compiled(*args)
        return _Look(packed, layout, kernels, gradients)

    @property
    def applied(self) -> list[Applied]:
        """What the step gave to its optimizers in the look that is open."""
        gradients = [] if self._look is None else self._look.gradients
        pairs = zip(self._appliers, gradients, strict=False)
        return [Applied(*applier, gradient) for applier, gradient in pairs]

    def _give_up(self, reason: str) -> None:
        self._weights_only = True
        if self._quantities - _WEIGHTS:
            self._warn(
                f"Activations and gradients of model {self._model.name!r} are not measured, only "
                f"its weights: {reason}."
            )

    def after(self, step: int, updates: int) -> Reading:
        """Close the look, with what the step has changed since.

        Args:
            step: Training steps taken before the look.
            updates: Training steps taken since; 0 where there was none.

        Returns:
            What can be read off in any thread, while training goes on.
        """
        look, self._look = self._look, None
        assert look is not None, "`after` follows a `before`"
        packed, layout = look.packed, look.layout
        if updates and look.kernels:
            self._after.prepare(packed, look.kernels)
            packed, changes = self._after(packed, look.kernels)
            layout = (*layout, *changes)
        return Reading(
            step=step,
            updates=updates,
            time=time.time(),
            packed=packed,
            layout=layout,
            tells_loss=self._tells_loss,
        )

    def _nodes(self) -> Iterator[tuple[int, LayerNode]]:
        return ((i, node) for i, node in enumerate(self._all) if id(node.layer) in self._chosen)

    def _trace_step(self, batch: Any) -> tuple[Any, Layout]:
        recorder = self._recorded(batch)
        if recorder.missed:  # a variable came to life in the step; now its value can be read
            recorder = self._recorded(batch)
        self._all = graph.reorder(self._all, recorder.finished)
        self._tell_unseen(recorder)
        entries = [*self._signals(recorder), *self._values(recorder.gradients)]
        self._appliers = recorder.appliers if self._rehearses else []
        gradients = [sum(recorder.gradients[id(variable)]) for _, variable in self._appliers]
        return self._finish(entries, recorder.loss, gradients)

    def _tell_unseen(self, recorder: Recorder) -> None:
        """Say once which layers a look cannot see through."""
        unseen = recorder.unseen & self._chosen - recorder.finished.keys() - self._unseen
        paths = [node.path for _, node in self._nodes() if id(node.layer) in unseen]
        self._unseen |= unseen
        if paths and self._quantities - _WEIGHTS:
            self._warn(
                f"Activations of the layers {paths} of model {self._model.name!r} are not measured "
                "and their weights are: they are called within a loop, a branch or a function that "
                "XLA compiles for itself."
            )

    def _recorded(self, batch: Any) -> Recorder:
        recorders: list[Recorder] = []

        def record(batch: Any) -> list[Any]:
            # All layers are followed for the sake of their order; the chosen ones are measured.
            recorder = Recorder(self._all, self._quantities, self._backend)
            recorders.append(recorder)
            recorder.run(self._run_step, batch)
            return recorder.caught()

        def run(batch: Any) -> list[list[Any]]:
            with tapped(self._model, self._all, self._backend):
                return self._backend.on_each_device(self._model, record, batch)

        # Only the step itself is compiled by XLA, as it is in training: reductions take it long to
        # compile and gain nothing by it.
        caught = self._backend.inner(run, jit=self._jit)(batch)
        self._seeded |= any(recorder.missed for recorder in recorders)
        recorders[-1].replace(caught)  # it may have been traced more than once; the last one counts
        return recorders[-1]

    def _trace_weights(self) -> tuple[Any, Layout]:
        return self._finish(list(self._values({})), None, [])

    def _finish(self, entries: list[Entry], loss: Any, gradients: list[Any]) -> tuple[Any, Layout]:
        self._tells_loss = loss is not None
        arrays, layout = packing.pack(entries, self._backend)
        rates = [optimizer.learning_rate for optimizer in graph.optimizers(self._model)]
        header = ops.stack([_scalar(loss), _scalar(rates[0] if len(rates) == 1 else None)])
        packed = ops.concatenate([self._backend.bits(header), *arrays])
        kernels = [_sampled(variable) for _, variable in self._updated()]
        return (packed, kernels, gradients), layout

    def _trace_after(self, packed: Any, kernels: Sequence[Any]) -> tuple[Any, Layout]:
        """All in one array, with what the step has changed."""
        entries = [
            Entry(**address, tensors=(_sampled(variable) - old,))
            for old, (address, variable) in zip(kernels, self._updated(), strict=True)
        ]
        changes, layout = packing.pack(entries, self._backend)
        return ops.concatenate([packed, *changes]), layout

    def _signals(self, recorder: Recorder) -> Iterator[Entry]:
        places = {id(node.layer): (depth, node) for depth, node in self._nodes()}
        for (layer, quantity, part), captured in recorder.taps.items():
            if layer in places:
                depth, node = places[layer]
                address = {"layer": node.path, "quantity": quantity, "depth": depth}
                yield from _entries(captured, {**address, "by_unit": self._by_unit}, part)

    def _values(self, gradients: dict[int, list[Any]]) -> Iterator[Entry]:
        for address, variable in self._variables():
            quantity = address["quantity"]
            if quantity in self._quantities:
                yield Entry(**address, tensors=(ops.convert_to_tensor(variable.value),))
            gradient = _GRADIENT_OF[quantity]
            if gradient in self._quantities and id(variable) in gradients:
                yield Entry(**{**address, "quantity": gradient}, tensors=gradients[id(variable)])

    def _variables(self) -> Iterator[tuple[dict[str, Any], Any]]:
        for depth, node in self._nodes():
            for quantity, part, variable in node.weights():
                address = {"layer": node.path, "quantity": quantity, "depth": depth, "part": part}
                yield address, variable

    def _updated(self) -> Iterator[tuple[dict[str, Any], Any]]:
        if Quantity.KERNEL_UPDATE not in self._quantities:
            return
        for address, variable in self._variables():
            if address["quantity"] is Quantity.KERNEL and variable.trainable:
                yield {**address, "quantity": Quantity.KERNEL_UPDATE}, variable


def _entries(captured: Captured, address: dict[str, Any], part: str) -> Iterator[Entry]:
    """One entry, or one for each number of units where a shared layer was called with several."""
    widths = [
        tensor.shape[captured.unit_axis] if tensor.shape else 1 for tensor in captured.tensors
    ]
    sloped = len(captured.slopes) == len(captured.tensors)
    for width in dict.fromkeys(widths):
        chosen = [i for i, other in enumerate(widths) if other == width]
        several = len(chosen) < len(widths)
        yield Entry(
            **address,
            part="/".join(filter(None, (part, f"{width}_units" if several else ""))),
            tensors=[captured.tensors[i] for i in chosen],
            unit_axis=captured.unit_axis,
            slopes=[captured.slopes[i] for i in chosen] if sloped else (),
            slope_bound=captured.slope_bound,
        )


def _sampled(variable: Any) -> Any:
    tensor = ops.convert_to_tensor(variable.value)
    return sample(ops.reshape(tensor, (1, -1)), tuple(tensor.shape[1:]))[0]


def _scalar(value: Any) -> Any:
    """A float32 scalar, NaN for what is no number."""
    if value is None:
        return ops.array(float("nan"), "float32")
    return ops.reshape(ops.cast(ops.convert_to_tensor(value), "float32"), (-1,))[0]
