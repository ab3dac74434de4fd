"""Where the taps are: what layers, activations and optimizers hand over while a step is traced.

Owns which tensor is which quantity of which layer. Computes no statistic; the hooks through which
Keras hands the tensors over are those of `hooks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any

import keras

from keras_initscope.graph import LayerNode, holds_layers, own_variables
from keras_initscope.measurement import hooks, recurrent
from keras_initscope.records import CANDIDATE, Quantity

_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)

#: What Keras notes on a tensor: its mask, and the logits by which a crossentropy is computed.
_MARKS = ("_keras_mask", "_keras_logits")


@dataclass(slots=True)
class Captured:
    """What was caught at one tap, one tensor for each time its layer was called.

    Args:
        tensors: The tensors, of equal trailing shape.
        unit_axis: Axis of a tensor that runs over units.
        slopes: The activation function's derivative at each element of `tensors`, or empty.
        slope_bound: The greatest slope of that function anywhere, NaN where unknown.
    """

    tensors: list[Any] = field(default_factory=list)
    unit_axis: int = -1
    slopes: list[Any] = field(default_factory=list)
    slope_bound: float = float("nan")


@dataclass(slots=True)
class _Watched:
    """A tapped tensor, and under which quantities its cotangent is to be kept."""

    tensor: Any
    layer: Any
    part: str = ""
    gradients: list[Quantity] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    """One call of a layer under way, and what its activation function saw."""

    layer: Any
    before: _Watched | None = None
    after: Any = None
    slope: Any = None
    bound: float = float("nan")


class ReadOnlyScope(keras.StatelessScope):
    """A stateless scope in which reading a variable is what it is without the scope.

    Keras' own returns `None` for variables that nobody assigned, which breaks weight regularizers,
    and lets gradients through assignments. A variable that is made within the scope, such as the
    global seed generator's, has no value until the scope ends.

    Args:
        backend: The framework's verbs.

    Attributes:
        missed: Whether the value of such a variable was asked for.
    """

    def __init__(self, backend: Any) -> None:
        super().__init__(collect_losses=True)
        self._backend = backend
        self.missed = False

    def get_current_value(self, variable: Any) -> Any:
        """The value assigned within the scope, else the variable's own."""
        assigned = super().get_current_value(variable)
        if assigned is not None and variable._value is not None:
            return self._backend.as_read(variable, assigned)
        value = variable._value if assigned is None else assigned
        self.missed |= value is None
        return value


@contextmanager
def tapped(model: Any, nodes: Iterable[LayerNode], backend: Any) -> Iterator[None]:
    """Let recorders hear of what happens in a model's layers, for as long as the context lasts.

    It stands around all devices: their threads take turns, so none may set or take off what they
    share.
    """
    layers = {id(node.layer): node.layer for node in nodes}
    shared = backend.sources(), backend.inlined(hooks.is_recording)
    with hooks.hooked(model, list(layers.values())), shared[0], shared[1]:
        yield


class Recorder:
    """Runs a training step without its effects and keeps what passes the taps.

    Args:
        nodes: Layers to tap.
        quantities: What to record.
        backend: The framework's verbs, a module of `measurement.backends`.
    """

    def __init__(
        self, nodes: Iterable[LayerNode], quantities: frozenset[Quantity], backend: Any
    ) -> None:
        self._layers = {id(node.layer): node.layer for node in nodes}
        self._quantities = quantities
        self._backend = backend
        self._graph: Any = None
        self._calls: list[_Call] = []
        self._watched: dict[int, _Watched] = {}  # keeps the tensors alive, so that ids stay valid
        self._scale: Any = None  # of the loss that is differentiated
        self._scales: dict[int, Any] = {}  # of each optimizer, which undoes its own
        self._scaling = False
        self._muted = False
        self._inner: list[tuple[_Watched, Any]] = []  # cotangents that a tape saw come
        self._is_noted = False
        self.missed = False
        self.unseen: set[int] = set()
        self.loss: Any = None
        self.finished: dict[int, int] = {}
        self.taps: dict[tuple[int, Quantity, str], Captured] = {}
        self.gradients: dict[int, list[Any]] = {}
        self.appliers: list[tuple[Any, Any]] = []  # optimizer and variable of each of them

    def run(self, step: Callable[[Any], Any], data: Any) -> None:
        """Run `step(data)` of a tapped model; no variable is assigned and no optimizer applied.

        With `missed` set afterwards, the step has read a variable that it made itself, in place of
        whose value there was its initial one. Now it has a value for a second recorder.
        """
        self._graph = self._backend.graph()
        scope = ReadOnlyScope(self._backend)
        try:
            with hooks.recording(self), scope:
                step(data)
        finally:
            self.missed = scope.missed
        if not self._is_noted:  # the loss itself is differentiated while its tape records
            for watched, cotangent in self._inner:
                self._note(watched, cotangent)

    def caught(self) -> list[Any]:
        """All tensors that were caught, in a fixed order; the loss last."""
        taps = [t for tap in self.taps.values() for t in (*tap.tensors, *tap.slopes)]
        gradients = [t for tensors in self.gradients.values() for t in tensors]
        return [*taps, *gradients, *([] if self.loss is None else [self.loss])]

    def replace(self, devices: Iterable[Sequence[Any]]) -> None:
        """Put what all devices caught in the place of what `caught` gave, as from an outer graph.

        The examples of all devices count together. What is differentiated is the sum of their
        losses, so its gradients by weights are the sums of theirs, as an optimizer applies them.
        """
        others = zip(*devices, strict=True)
        for tap in self.taps.values():
            tap.tensors = list(chain(*islice(others, len(tap.tensors))))
            tap.slopes = list(chain(*islice(others, len(tap.slopes))))
        for variable, held in self.gradients.items():
            self.gradients[variable] = [sum(each) for each in islice(others, len(held))]
        self.loss = next((sum(each) for each in others), None)

    def call(self, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for `layer.__call__`."""
        if id(layer) not in self._layers:
            return original(layer, *args, **kwargs)
        if self._backend.graph() is not self._graph:
            self.unseen.add(id(layer))
            return original(layer, *args, **kwargs)
        call = _Call(layer)
        self._calls.append(call)
        regularizer = layer.activity_regularizer
        # Past Keras' attribute tracking, which would note a change of the layer.
        layer.__dict__["activity_regularizer"] = None
        try:
            if isinstance(layer, keras.layers.RNN) and not layer.unroll:
                with hooks.recording(
                    None
                ):  # the cell runs in a loop; outside it runs once, for shapes
                    outputs = original(layer, *args, **kwargs)
            elif _is_activation_layer(layer) and args and self._backend.is_float(args[0]):
                bound_call = partial(original, layer)
                outputs = self._activate(call, layer.call, bound_call, args, kwargs)
            else:
                outputs = original(layer, *args, **kwargs)
        finally:
            self._calls.pop()
            layer.__dict__["activity_regularizer"] = regularizer
        self.finished.setdefault(id(layer), len(self.finished))
        if isinstance(layer, keras.layers.RNN) and args:
            self._look_into(layer, args[0], outputs)
        outputs = self._tap_outputs(call, outputs)
        if regularizer is not None:  # behind the tap, so that its gradient passes it too
            _regularize(layer, regularizer, outputs)
        return outputs

    def activate(self, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for a layer's `activation` attribute."""
        call = self._calls[-1] if self._calls else _Call(None)
        if call.layer is not layer or not args or self._backend.graph() is not self._graph:
            return function(*args, **kwargs)
        call.before = self._watch(args[0], layer)
        args = (call.before.tensor, *args[1:])
        return self._activate(call, function, function, args, kwargs)

    def _activate(
        self,
        call: _Call,
        bare: Callable[..., Any],
        function: Callable[..., Any],
        args: Any,
        kwargs: Any,
    ) -> Any:
        """Call an activation function; keep its slope where it acts on each element alone."""
        elementwise, call.bound = self._judge(call.layer, bare)
        if not elementwise:
            call.after = function(*args, **kwargs)
            return call.after
        muted, self._muted = self._muted, True  # taps inside must not take the slope for a gradient
        try:
            call.after, call.slope = self._backend.with_slope(
                lambda first: function(first, *args[1:], **kwargs), args[0]
            )
        finally:
            self._muted = muted
        return call.after

    def _look_into(self, layer: Any, sequences: Any, outputs: Any) -> None:
        """Keep what the activation function in a recurrent layer receives, and its slope there."""
        seen = id(layer.cell), Quantity.PREACTIVATION, ""  # of one that is unrolled
        if Quantity.PREACTIVATION not in self._quantities or seen in self.taps:
            return
        muted, self._muted = self._muted, True
        try:
            with hooks.recording(None):
                received = recurrent.candidate(layer, sequences, outputs)
                if received is not None:
                    self._keep_inner(layer.cell, received)
        finally:
            self._muted = muted

    def _keep_inner(self, cell: Any, received: Any) -> None:
        elementwise, bound = self._judge(cell, cell.activation)
        key = id(cell), Quantity.PREACTIVATION, CANDIDATE
        kept = self.taps.setdefault(key, Captured(slope_bound=bound))
        kept.tensors.append(received)
        if elementwise:
            slope = self._backend.with_slope(cell.activation, received)[1]
            kept.slopes.extend([] if slope is None else [slope])

    def _judge(self, layer: Any, function: Callable[..., Any]) -> tuple[bool, float]:
        if isinstance(layer, keras.layers.PReLU):
            return True, float("nan")  # its slopes are weights: no bound holds for good

        def tried(values: Any) -> Any:  # in a thread of its own, where nothing is recorded
            with ReadOnlyScope(self._backend), hooks.recording(None):
                return function(values)

        return self._backend.slope_bound(tried)

    def _tap_outputs(self, call: _Call, outputs: Any) -> Any:
        flat = keras.tree.flatten(outputs)
        tapped: dict[int, Any] = {}
        for i, output in enumerate(flat):
            if self._backend.is_float(output):
                part = f"output_{len(tapped)}" if tapped else ""
                if id(output) not in tapped:
                    tapped[id(output)] = self._tap_output(call, output, part)
                flat[i] = tapped[id(output)]
        return keras.tree.pack_sequence_as(outputs, flat)

    def _tap_output(self, call: _Call, output: Any, part: str) -> Any:
        """Tap what a layer gives on, and with it what its activation function received."""
        layer, before = call.layer, call.before
        is_activated = output is call.after
        if before is not None and is_activated:
            self._keep(before, Quantity.PREACTIVATION)
        known = self._watched.get(id(output))
        if known is not None and known is before:  # a linear layer: one tensor, two quantities
            self._keep(known, Quantity.ACTIVATION)
            return output
        if known is not None and holds_layers(layer) and not own_variables(layer):
            return output  # handed on as an inner layer gave it
        watched = self._watch(output, layer, part)
        seen = self._keep(watched, Quantity.ACTIVATION)
        if seen is not None and is_activated and call.slope is not None:
            seen.slopes.append(call.slope)
            seen.slope_bound = call.bound
        return watched.tensor

    def _watch(self, tensor: Any, layer: Any, part: str = "") -> _Watched:
        """An identity of `tensor` that records the derivative of the loss by it."""
        watched = _Watched(None, layer, part)

        def record(cotangent: Any) -> None:
            if self._muted or self._backend.graph() is not self._graph:
                return
            if self._backend.is_taped():  # of a gradient that the loss is made of, as penalties are
                self._inner.append((watched, cotangent))
            else:
                self._note(watched, cotangent)

        watched.tensor = self._backend.watch(tensor, record)
        for mark in _MARKS:
            if hasattr(tensor, mark):
                setattr(watched.tensor, mark, getattr(tensor, mark))
        self._watched[id(watched.tensor)] = watched
        return watched

    def _note(self, watched: _Watched, cotangent: Any) -> None:
        """Keep a derivative of the loss."""
        self._is_noted = True
        for quantity in watched.gradients:
            gradient = _unscaled(cotangent, self._scale)
            self._captured(watched, quantity).tensors.append(gradient)

    def _keep(self, watched: _Watched, quantity: Quantity) -> Captured | None:
        """Keep a tapped tensor as `quantity`, and its cotangent once it comes."""
        gradient = Quantity(f"{quantity}_gradient")
        if gradient in self._quantities:
            watched.gradients.append(gradient)
        if quantity not in self._quantities:
            return None
        seen = self._captured(watched, quantity)
        seen.tensors.append(watched.tensor)
        return seen

    def _captured(self, watched: _Watched, quantity: Quantity) -> Captured:
        key = (id(watched.layer), quantity, watched.part)
        return self.taps.setdefault(key, Captured(unit_axis=_unit_axis(watched.layer)))

    def apply(self, optimizer: Any, gradients: Sequence[Any], variables: Any = None) -> None:
        """Stand in for `optimizer.apply`: keep the gradients, change nothing."""
        known = optimizer._trainable_variables if variables is None else variables
        for gradient, variable in zip(gradients, known, strict=False):
            if gradient is not None:
                dense = _unscaled(self._backend.dense(gradient), self._scales.get(id(optimizer)))
                if id(variable) not in self.gradients:
                    self.appliers.append((optimizer, variable))
                self.gradients.setdefault(id(variable), []).append(dense)

    def scale_loss(self, optimizer: Any, original: Callable[..., Any], loss: Any) -> Any:
        """Stand in for `optimizer.scale_loss`: remember the loss and by what it is scaled."""
        if self._scaling:  # a wrapping optimizer asks the one it wraps
            return original(optimizer, loss)
        self._scaling = True
        try:
            scaled = original(optimizer, loss)
            one = keras.ops.ones((), "float32")
            self._scale = None if scaled is loss else original(optimizer, one)
            self._scales[id(optimizer)] = self._scale
        finally:
            self._scaling = False
        self.loss = loss
        return scaled


def _unscaled(gradient: Any, scale: Any) -> Any:
    if scale is None:
        return gradient
    return keras.ops.cast(gradient, "float32") / keras.ops.cast(scale, "float32")


def _regularize(layer: Any, regularizer: Callable[[Any], Any], outputs: Any) -> None:
    """Add what `Layer.__call__` adds to the loss, a share of each example."""
    for output in keras.tree.flatten(outputs):
        if keras.ops.is_tensor(output):
            loss = regularizer(output)
            if output.ndim > 0:
                examples = keras.ops.cast(keras.ops.shape(output)[0], loss.dtype)
                loss = keras.ops.divide_no_nan(loss, examples)
            layer.add_loss(loss)


def _is_activation_layer(layer: Any) -> bool:
    return isinstance(layer, _ACTIVATION_LAYERS) or hasattr(layer, "nonlinearity")


def _unit_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1
