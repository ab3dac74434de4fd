"""One forward sweep: each layer is scaled by what it gives, and hands on what it then would give.

Owns the listener that stands in for layers and activations while the model runs. Chooses no weight
and keeps no record but the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_initscope.measurement import hooks
from keras_initscope.model_init.linear import (
    bias_of,
    first_cell,
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
        with hooks.recording(self), hooks.hooked(model, layers):
            model(x, training=True)

    def call(self, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for `layer.__call__`."""
        cell = first_cell(layer)
        if cell is not None and args:
            self._scale_gates(cell, args[0])
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

    def _scale_gates(self, cell: Any, sequence: Any) -> None:
        """Each gate by itself: what the inputs bring to it, over all steps."""
        kernel = cell.kernel
        if id(kernel) not in self._open:
            return
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


def _marked(new: Any, old: Any) -> Any:
    mask: Mapping[str, Any] | Any = getattr(old, _MASK, None)
    if mask is not None:
        setattr(new, _MASK, mask)
    return new
