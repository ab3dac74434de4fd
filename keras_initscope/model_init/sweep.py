"""One forward sweep: each layer is scaled by what it gives, and hands on what it then would give.

Owns the listener that stands in for layers and activations while the model runs. Chooses no weight
and keeps no record but the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_initscope.calls import arguments
from keras_initscope.measurement import hooks
from keras_initscope.model_init.linear import (
    bias_of,
    cells_of,
    has_gates,
    received_by_gates,
    scaling_kernel,
)
from keras_initscope.model_init.scales import UnreachableError, factor_for

_MASK = "_keras_mask"
_NOT_CALLED = "the model did not call its layer on this batch"


class Sweep:
    """Scales kernels while a model runs; run it inside a `keras.StatelessScope`.

    Args:
        targets: `id(variable)` of each kernel that may be scaled to the variance wanted.
        behind: Whether that is wanted behind the activation.

    Attributes:
        factors: `id(variable)` to the factors that its parts were multiplied by.
        failed: `id(variable)` to the reason why it was not.
    """

    def __init__(self, targets: Mapping[int, float], behind: bool = False) -> None:
        self._open = dict(targets)
        self._behind = behind
        self._calls: list[Any] = []
        self.factors: dict[int, list[float]] = {}
        self.failed: dict[int, str] = dict.fromkeys(targets, _NOT_CALLED)
        self.loss: Any = None

    def run(self, model: Any, layers: Sequence[Any], x: Any) -> None:
        """Call the model once, as its first training step will."""
        args, kwargs = arguments(model, x)
        with hooks.recording(self), hooks.hooked(model, layers):
            model(*args, **kwargs, training=True)

    def call(self, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for `layer.__call__`."""
        cells = cells_of(layer)
        if len(cells) > 1:
            return self._cell_by_cell(layer, cells, original, args, kwargs)
        if cells and args:
            self._scale_gates(cells[0], args[0])
        if isinstance(layer, keras.layers.TimeDistributed) and any(
            self._is_due(inner) for inner in layer.layer._flatten_layers()
        ):
            return self._at_all_steps(layer, args[0])
        self._calls.append(layer)
        try:
            outputs = original(layer, *args, **kwargs)
        finally:
            self._calls.pop()
        return self._scaled(layer, outputs, None) if self._is_due(layer) else outputs

    def activate(self, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for a layer's `activation` attribute."""
        if self._calls and self._calls[-1] is layer and self._is_due(layer):
            args = (self._scaled(layer, args[0], function), *args[1:])
        return function(*args, **kwargs)

    def apply(self, optimizer: Any, gradients: Sequence[Any], variables: Any = None) -> None:
        """Stand in for `optimizer.apply`, which no forward sweep calls."""

    def scale_loss(self, optimizer: Any, original: Callable[..., Any], loss: Any) -> Any:
        """Stand in for `optimizer.scale_loss`, likewise."""
        return original(optimizer, loss)

    def _is_due(self, layer: Any) -> bool:
        return id(scaling_kernel(layer)) in self._open

    def _at_all_steps(self, layer: Any, x: Any) -> Any:
        """Keras calls the layer step by step, so that no step would know what the others give."""
        steps = tuple(x.shape[:2])
        outputs = layer.layer(ops.reshape(x, (-1, *x.shape[2:])))
        return ops.reshape(outputs, (*steps, *outputs.shape[1:]))

    def _scaled(self, layer: Any, outputs: Any, function: Callable[..., Any] | None) -> Any:
        """Scale the kernel of a layer; what it would have given with the new one."""
        kernel, bias = scaling_kernel(layer), bias_of(layer, outputs)
        total = ops.cast(outputs, "float32")
        linear = total if bias is None else total - bias
        try:
            behind = function if self._behind else None
            factor = factor_for(linear, bias, self._open[id(kernel)], behind)
        except UnreachableError as error:
            self._close(kernel, str(error))
            return outputs
        kernel.assign(kernel * factor)
        self._close(kernel, "", [factor])
        new = factor * linear if bias is None else factor * linear + bias
        return _marked(ops.cast(new, outputs.dtype), outputs)

    def _cell_by_cell(
        self, layer: Any, cells: Sequence[Any], original: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Call a stack of cells, each on all steps before the next.

        Keras does it step by step, so that no step would know what the others bring to a cell.
        """

        def inner_loop(
            sequences: Any, initial_state: Any, mask: Any, training: bool = False
        ) -> tuple[Any, Any, list[Any]]:
            last: Any = None
            states: list[Any] = []
            for cell, state in zip(cells, initial_state, strict=True):
                self._scale_gates(cell, sequences)
                is_top, is_first = cell is cells[-1], not states
                alone = {
                    "cell": cell,
                    "return_sequences": layer.return_sequences or not is_top,
                    "go_backwards": layer.go_backwards and is_first,
                }
                with _instead(layer, alone):
                    last, sequences, state = type(layer).inner_loop(
                        layer, sequences, state, mask, training
                    )
                if layer.go_backwards and is_first and mask is not None:
                    mask = ops.flip(mask, 1)
                states.append(state)
            return last, sequences, states

        with _instead(layer, {"inner_loop": inner_loop}):
            return original(layer, *args, **kwargs)

    def _scale_gates(self, cell: Any, sequence: Any) -> None:
        """Each gate by itself: what the inputs bring to it, over all steps."""
        if not has_gates(cell) or id(cell.kernel) not in self._open:
            return
        kernel = cell.kernel
        try:
            parts = received_by_gates(cell, sequence)
            factors = [factor_for(part, None, self._open[id(kernel)]) for part in parts]
        except UnreachableError as error:
            self._close(kernel, str(error))
            return
        width = kernel.shape[-1] // len(factors)
        kernel.assign(kernel * ops.repeat(ops.cast(factors, kernel.dtype), width))
        self._close(kernel, "", factors)

    def _close(self, kernel: Any, reason: str, factors: Sequence[float] = ()) -> None:
        """A kernel is looked at once, at the first call of its layer."""
        del self._open[id(kernel)]
        del self.failed[id(kernel)]
        if reason:
            self.failed[id(kernel)] = reason
        else:
            self.factors[id(kernel)] = list(factors)


@contextmanager
def _instead(layer: Any, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Other attributes for a while, past Keras' tracking, which would note a change."""
    held = layer.__dict__
    before = {name: held[name] for name in attributes if name in held}
    held.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            held.pop(name)
        held.update(before)


def _marked(new: Any, old: Any) -> Any:
    mask: Mapping[str, Any] | Any = getattr(old, _MASK, None)
    if mask is not None:
        setattr(new, _MASK, mask)
    return new
