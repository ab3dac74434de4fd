"""The registry: how the moments of a tensor pass through an operation, one function a layer type.

Owns `transfer`, and what happens where nobody has registered anything: the operation is traced into
ones that are known, or it is unknown and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial, singledispatch
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.fans import fan_in_of
from keras_initscope.prediction.state import State, Unknown, lost, weights_held_by
from keras_initscope.prediction.validation import mistake
from keras_initscope.prediction.weights import UnpredictableError, Weights, weights_of

__all__ = ["UnpredictableError", "Walk", "apply", "kernel_of", "resets", "transfer", "walking"]

Rule = Callable[..., Any]


@dataclass(slots=True)
class Walk:
    """What one prediction has found so far.

    Args:
        outputs: `id(layer)` to what it gave, one entry a call.
        layers: The layers by id, which keeps ids valid.
        variables: Those of the model.
        multiplied: `id(variable)` of matrices that operations have multiplied by, to whether they
            were transposed.
    """

    outputs: dict[int, list[State | Unknown]] = field(default_factory=dict)
    layers: dict[int, Any] = field(default_factory=dict)
    seen: set[object] = field(default_factory=set)
    variables: tuple[Any, ...] = ()
    multiplied: dict[int, bool] = field(default_factory=dict)

    def prepare(self, layer: Any, tensors: list[State | Unknown], look: Callable[[], Any]) -> None:
        """Called before each layer is applied, for those who change weights as they go.

        Args:
            layer: The layer.
            tensors: What it is about to receive.
            look: Gives what the layer would give as it is.
        """

    def note(self, layer: Any, output: Any) -> None:
        """Keep what a layer gave, unless an inner layer gave it already."""
        for found in keras.tree.flatten(output)[:1]:
            if isinstance(found, Unknown):
                key: object = id(found)
            elif isinstance(found, State):
                key = found.key
            else:
                continue
            is_holder = graph.holds_layers(layer) and not graph.own_variables(layer)
            if key in self.seen and is_holder:
                continue
            self.seen.add(key)
            self.layers[id(layer)] = layer
            self.outputs.setdefault(id(layer), []).append(found)


_walk: ContextVar[Walk | None] = ContextVar("walk", default=None)
_owner: ContextVar[Any] = ContextVar("owner", default=None)


def current_walk() -> Walk | None:
    """The prediction under way, if there is one."""
    return _walk.get()


def owner() -> Any:
    """The layer whose rule runs, or that holds the operation whose rule runs."""
    return _owner.get()


@contextmanager
def walking(walk: Walk | None) -> Iterator[None]:
    """Note in `walk` what every layer gives that `apply` is called with; `None` notes nothing."""
    token = _walk.set(walk)
    try:
        yield
    finally:
        _walk.reset(token)


@singledispatch
def transfer(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """How the moments of tensors pass through a layer or operation.

    Called as the layer is called, with a `State` in the place of each tensor; returns a `State` in
    the place of each output. The moves in `primitives` give states that know the way back. Register
    your own layer in one function, which raises `UnpredictableError` where it has no answer:

    Args:
        operation: A Keras layer, or an operation of a functional graph.
        *args: What it is called with.
        **kwargs: What it is called with.

    Returns:
        What it returns, states in the place of tensors.

    Example:

    ```python
    import keras

    from keras_initscope.prediction import apply, scaled, state, transfer


    class Double(keras.layers.Layer):
        def call(self, x):
            return 2 * x


    @transfer.register(Double)
    def _(layer, x):
        return scaled(x, 2.0)


    assert apply(Double(), state((5,), q=1.0, p=0.0)).q == 4.0
    ```
    """
    raise UnpredictableError(f"nothing is registered for {type(operation).__name__}")


_resetting: list[type] = []


def resets(kind: type) -> Callable[[Rule], Rule]:
    """Marks a rule as one that makes something known of a tensor of which nothing was."""

    def mark(rule: Rule) -> Rule:
        _resetting.append(kind)
        return rule

    return mark


def apply(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Transfer through an operation, noted in the prediction under way.

    Args:
        operation: A Keras layer or operation.
        *args: What it is called with, a `State` or `Unknown` for each tensor.
        **kwargs: Likewise.

    Returns:
        What it returns; an `Unknown` that names the operation where there is no prediction.
    """
    walk = _walk.get()
    tensors = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, State | Unknown)]
    unknown = next((x for x in tensors if isinstance(x, Unknown)), None)
    if unknown is not None and isinstance(operation, tuple(_resetting)):
        args = tuple(_as_lost(x) for x in args)
        unknown = next((x for x in args if isinstance(x, Unknown)), None)
    if unknown is not None and graph.operations(operation) is None:
        known = tuple(x for x in tensors if isinstance(x, State))
        output: Any = Unknown(unknown.reason, _shape(operation, tensors), known + unknown.parents)
    else:
        if walk is not None and isinstance(operation, keras.Layer):
            walk.prepare(operation, tensors, partial(_looked, operation, args, kwargs, tensors))
        output = _applied(operation, args, kwargs, tensors)
    if walk is not None and isinstance(operation, keras.Layer):
        walk.note(operation, output)
    return output


def _looked(operation: Any, args: Any, kwargs: Any, tensors: list[Any]) -> Any:
    with walking(None):
        return _applied(operation, args, kwargs, tensors)


def _applied(operation: Any, args: Any, kwargs: Any, tensors: list[Any]) -> Any:
    named = _named(operation)
    holder = operation if getattr(operation, "weights", None) else None
    token = _owner.set(operation if isinstance(operation, keras.Layer) else _owner.get())
    try:
        if isinstance(operation, keras.Layer):
            kwargs = {name: _unmasked(name, value) for name, value in kwargs.items()}
        with weights_held_by(holder), np.errstate(all="ignore"):
            output = _rule_of(operation)(operation, *args, **kwargs)
    except UnpredictableError as error:
        return Unknown(f"{named}: {error}", _shape(operation, tensors), tuple(tensors))
    except Exception as error:  # the rule may be the user's and may raise anything
        reason = f"{named}: its rule failed: {type(error).__name__}: {error}"
        return Unknown(reason, _shape(operation, tensors), tuple(tensors))
    finally:
        _owner.reset(token)
    wrong = "" if _is_ours(operation) else mistake(output, _called(operation, tensors))
    if wrong:
        return Unknown(f"{named}: {wrong}", _called(operation, tensors), tuple(tensors))
    return keras.tree.map_structure(lambda found: _told(found, named, tensors), output)


def _rule_of(operation: Any) -> Callable[..., Any]:
    """That of its class; code of the user's in place of a layer's own is followed as code."""
    kind = type(operation)
    base = next(each for each in kind.__mro__ if each in transfer.registry)
    if base in (object, keras.Layer, keras.Model) or not graph.overrides(kind, base):
        return transfer.dispatch(kind)
    rule = transfer.dispatch(base)
    is_ours = rule.__module__.startswith(f"{__package__}.")
    return transfer.dispatch(keras.Layer) if is_ours else rule


def _is_ours(operation: Any) -> bool:
    return _rule_of(operation).__module__.startswith(f"{__package__}.")


def _unmasked(name: str, value: Any) -> Any:
    """Rules take every step as seen: a mask that hides nothing is left out, any other is told."""
    if not name.endswith("mask") or value is None or isinstance(value, bool):
        return value
    if isinstance(value, State) and value.hides is False:
        return None
    raise UnpredictableError("a mask hides some of its steps")


def _told(found: Any, named: str, tensors: list[Any]) -> Any:
    """What a rule found, as far as it is a number, and with the name of the layer if not."""
    if isinstance(found, Unknown) and ": " not in found.reason:
        return replace(found, reason=f"{named}: {found.reason}")
    if isinstance(found, State) and not found.reason and not _finite(found):
        return Unknown(f"{named}: its second moment is not finite", found.shape, tuple(tensors))
    return found


def _finite(found: State) -> bool:
    return all(bool(np.isfinite(m).all()) for m in (found.q, found.p, found.r, found.mu))


def _named(operation: Any) -> str:
    return f"{operation.name} ({type(operation).__name__})"


def _as_lost(x: Any) -> Any:
    if isinstance(x, Unknown) and x.shape is not None:
        return lost(x.shape, x.reason, parents=x.parents)
    return x


def _shape(operation: Any, tensors: list[Any]) -> tuple[int, ...] | None:
    """Shape of the output, as Keras computes it from the first input's."""
    if len(tensors) != 1 or tensors[0].shape is None:
        return tensors[0].shape if tensors and type(operation).__name__ == "Add" else None
    try:
        found = operation.compute_output_shape((None, *tensors[0].shape))
    except Exception:  # the layer is the user's and may raise anything
        return None
    return tuple(found[1:]) if isinstance(found, tuple) and None not in found[1:] else None


def _called(operation: Any, tensors: list[Any]) -> tuple[int, ...] | None:
    """Shape of the output of a layer that does not say, by calling it with a symbolic tensor."""
    found = _shape(operation, tensors)
    if found is None and len(tensors) == 1 and tensors[0].shape is not None:
        try:
            spec = operation.compute_output_spec(keras.KerasTensor((None, *tensors[0].shape)))
            found = tuple(spec.shape[1:])
        except Exception:  # the layer is the user's and may raise anything
            return None
    return None if found is None or None in found else found


def kernel_of(layer: Any, name: str, drawn_as: tuple[int, ...] | None = None) -> Weights:
    """The weights of a layer, which must lie around zero.

    Raises:
        UnpredictableError: If their mean makes the units alike.
    """
    found = weights_of(layer, name, fan_in_of(layer, name), drawn_as)
    if found.lopsided:
        raise UnpredictableError(
            f"the weights `{name}` do not lie around zero (mean {found.mean:.3g}, root mean square "
            f"{found.square**0.5:.3g}, of {found.count}), so its units are alike"
        )
    return found
