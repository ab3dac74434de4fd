"""The hooks into Keras through which a recorder sees a training step.

Owns their guards: they are set at class level, answer only to the thread that records, and are gone
when recording ends. Knows no quantity.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import keras

from keras_initscope.preserved import preserved

_state = threading.local()
_hooking = threading.RLock()


class Listener(Protocol):
    """What stands in for the hooked functions in the thread that records.

    Attributes:
        loss: The loss of the step, `None` until it is known.
    """

    loss: Any

    def call(self, layer: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for `layer.__call__`."""

    def activate(self, layer: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Stand in for a layer's `activation` attribute."""

    def apply(self, optimizer: Any, gradients: Sequence[Any], variables: Any = None) -> None:
        """Stand in for `optimizer.apply`."""

    def scale_loss(self, optimizer: Any, original: Callable[..., Any], loss: Any) -> Any:
        """Stand in for `optimizer.scale_loss`."""


@contextmanager
def recording(listener: Listener | None) -> Iterator[None]:
    """Let the hooks of this thread answer to `listener`, or to nobody."""
    before, depth = _active(), getattr(_state, "depth", 0)
    _state.listener, _state.depth = listener, depth + 1
    try:
        yield
    finally:
        _state.listener, _state.depth = before, depth


def is_recording() -> bool:
    """Whether a step is being recorded in this thread, also where nobody listens."""
    return getattr(_state, "depth", 0) > 0


@contextmanager
def hooked(model: Any, layers: Sequence[Any]) -> Iterator[None]:
    """Set the hooks for as long as the context lasts.

    Args:
        model: The model, which goes without compiled metrics meanwhile: nobody looks at them.
        layers: Those whose activation functions are hooked as well. Nothing is left on any.
    """
    with _hooking, preserved([model, *layers]), _class_hooks(), _activation_hooks(layers):
        # Past Keras' attribute tracking, which would note a change of the model.
        model.__dict__["_compile_metrics"] = None
        yield


def hand_over(loss: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Give the listener what a step without an optimizer has computed."""
    listener = _active()
    if listener is not None:
        listener.loss = loss
        listener.apply(None, gradients, variables)


@contextmanager
def _activation_hooks(layers: Iterable[Any]) -> Iterator[None]:
    originals = [
        (layer.__dict__, layer.__dict__["activation"], layer)
        for layer in layers
        if callable(getattr(layer, "__dict__", {}).get("activation"))
        and not isinstance(layer, keras.layers.Activation)
    ]
    try:
        for attributes, function, layer in originals:
            # Past Keras' attribute tracking, which would note a change of the layer.
            attributes["activation"] = _stand_in(layer, function)
        yield
    finally:
        for attributes, function, _ in originals:
            attributes["activation"] = function


def _stand_in(layer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    def activation(*args: Any, **kwargs: Any) -> Any:
        listener = _active()
        if listener is None:
            return function(*args, **kwargs)
        return listener.activate(layer, function, args, kwargs)

    return activation


def _active() -> Listener | None:
    return getattr(_state, "listener", None)


@contextmanager
def _class_hooks() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_replaced(keras.layers.Layer, "__call__", _hooked_call))
        for optimizer in _optimizer_classes():
            if "apply" in vars(optimizer):
                stack.enter_context(_replaced(optimizer, "apply", _hooked_apply))
            if "scale_loss" in vars(optimizer):
                stack.enter_context(_replaced(optimizer, "scale_loss", _hooked_scale_loss))
        yield


def _hooked_call(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        listener = _active()
        if listener is None:
            return original(self, *args, **kwargs)
        return listener.call(self, original, args, kwargs)

    return __call__


def _hooked_apply(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        listener = _active()
        if listener is None:
            return original(self, grads, trainable_variables)
        return listener.apply(self, grads, trainable_variables)

    return apply


def _hooked_scale_loss(original: Callable[..., Any]) -> Callable[..., Any]:
    def scale_loss(self: Any, loss: Any) -> Any:
        listener = _active()
        if listener is None:
            return original(self, loss)
        return listener.scale_loss(self, original, loss)

    return scale_loss


@contextmanager
def _replaced(owner: type, name: str, hook: Callable[..., Any]) -> Iterator[None]:
    original = vars(owner)[name]
    setattr(owner, name, hook(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _optimizer_classes() -> Iterator[type]:
    """Every optimizer class, from the base that Keras keeps private down to the user's own."""
    roots = [c for c in keras.optimizers.Optimizer.__mro__ if "scale_loss" in vars(c)]
    pending, seen = list(roots), set()
    while pending:
        found = pending.pop()
        if found not in seen:
            seen.add(found)
            pending.extend(found.__subclasses__())
            yield found
