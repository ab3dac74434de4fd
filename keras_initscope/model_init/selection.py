"""Which weights of a model an initialization may change, and under what names.

Owns the reading of `where` and `exclude`, the names by which seeds are found, and the check that a
model has weights at all. Changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras

from keras_initscope import graph
from keras_initscope.fans import Fans, fans_of
from keras_initscope.prediction.weights import as_array
from keras_initscope.records import Change, Quantity
from keras_initscope.text import did_you_mean, shortened

_EXPECTED = (
    "Expected a regular expression on the path of a weight, a layer, a layer class or a function "
    "of a layer"
)
_FROZEN = "Nothing was changed: all weights are frozen. Set `trainable = True` where they may be."
_NO_KERNEL = (
    "Nothing was changed: there is no kernel among the weights that are neither frozen, as those "
    "of quantized layers are, nor excluded."
)
_ALIKE = (
    "These kernels had the same values bit for bit: {}. Layers that share an initializer with an "
    "integer seed, and query, key and value of an attention layer, which copy theirs, start alike. "
    "`reinitialize` draws each anew, with a seed of its own."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """A weight that may be changed.

    Args:
        path: Path of its layer from the model down, and its name.
        key: The same without the numbers that Keras gives to names of its own, so that a model
            that is built again has the same keys.
        layer: The layer that holds it.
        holders: The layers around that layer, on all ways that lead to it.
        others: What its path is on other ways to its layer, where several layers hold that.
        variable: The Keras variable.
        quantity: Kernel or bias.
        fans: Its fans, or `None`.
        reason: Why it has none.
    """

    path: str
    key: str
    layer: Any
    holders: tuple[Any, ...]
    others: tuple[str, ...]
    variable: Any
    quantity: Quantity
    fans: Fans | None
    reason: str

    @property
    def is_kernel(self) -> bool:
        """Whether it weights inputs, as far as it can be seen."""
        matrix = self.quantity is Quantity.KERNEL and len(self.variable.shape) >= 2
        return self.fans is not None or matrix

    @property
    def variance(self) -> float:
        """Variance of its values."""
        return float(as_array(self.variable).var())

    def changed(self, what: str, before: float) -> Change:
        """The record of what was done to it."""
        return Change(
            path=self.path,
            kind=type(self.layer).__name__,
            what=what,
            before=before,
            after=self.variance,
        )


def selected(model: Any, exclude: Any = None) -> list[Weight]:
    """The trainable weights of a model that nobody excluded, each once, in forward order.

    Raises:
        ValueError: If `model` is no Keras model, is not built, or `exclude` cannot be read or
            names what the model does not have.
    """
    checked(model)
    nodes, trained = graph.layers(model), {id(each) for each in model.trainable_variables}
    weights = _weights(model, nodes)
    excluded = _exclusions(exclude, weights, model)
    kept = {id(w.variable) for w in weights if any(matches(w) for matches in excluded)}
    return [weight for weight in weights if id(weight.variable) in trained - kept]


def _weights(model: Any, nodes: Sequence[graph.LayerNode]) -> list[Weight]:
    """Frozen ones too."""
    fans, keys = {id(found.variable): found for found in fans_of(model)}, _keys(nodes)
    around = _around(model, nodes)
    return [
        Weight(
            path=f"{node.path}/{part or quantity.value}",
            key=f"{keys[node.path]}/{part or quantity.value}",
            layer=node.layer,
            holders=around[id(node.layer)][0],
            others=tuple(f"{path}/{part or quantity.value}" for path in around[id(node.layer)][1]),
            variable=variable,
            quantity=quantity,
            fans=fans[id(variable)].fans,
            reason=fans[id(variable)].reason,
        )
        for node in nodes
        for quantity, part, variable in node.weights()
    ]


def _exclusions(
    exclude: Any, places: Sequence[Weight | _Place], model: Any
) -> list[Callable[[Weight | _Place], bool]]:
    """What tells what is excluded; a pattern or layer that means nothing here is a mistake."""
    layers, found = {id(layer) for layer in model._flatten_layers(include_self=False)}, []
    for each in _as_list(exclude):
        matches = matcher(each, "exclude")
        known = id(each) in layers or any(map(matches, places))
        if not known and isinstance(each, str | keras.Layer):
            paths = [place.path for place in places]
            name = each if isinstance(each, str) else each.name
            raise ValueError(
                "Expected each pattern and layer in `exclude` to mean something of the model. "
                f"Received: exclude={each!r}, which means nothing. {did_you_mean(name, paths)}"
                f"Nothing was changed. What can be meant: {shortened(', '.join(paths), 400)}."
            )
        found.append(matches)
    return found


def nothing(model: Any, weights: Sequence[Weight]) -> list[str]:
    """Why no weight of a model can be changed; empty where some can."""
    if weights:
        return []
    if model.trainable_variables:
        return ["Nothing was changed: all weights that are not frozen are excluded."]
    return [_FROZEN if model.variables else "Nothing was changed: the model has no weights."]


def no_kernel(model: Any, weights: Sequence[Weight]) -> list[str]:
    """Why no kernel of a model can be changed, for what changes kernels alone."""
    if not weights or any(weight.is_kernel for weight in weights):
        return nothing(model, weights)
    return [_NO_KERNEL]


def alike(weights: Sequence[Weight]) -> list[str]:
    """Which kernels have the same values as they are, a sentence for each set of them."""
    found: dict[bytes, list[str]] = {}
    for weight in weights:
        values = as_array(weight.variable)
        if weight.is_kernel and values.var() > 0:
            digest = hashlib.blake2b(values.tobytes()).digest()
            found.setdefault(digest, []).append(weight.path)
    return [_ALIKE.format(", ".join(paths)) for paths in found.values() if len(paths) > 1]


def excluded_layers(model: Any, exclude: Any) -> set[int]:
    """`id` of each layer that `exclude` means, by its path where that is a regular expression.

    Raises:
        ValueError: If `exclude` cannot be read or names what the model does not have.
    """
    nodes = graph.layers(model)
    around = _around(model, nodes)
    places = [_Place(node.path, node.layer, *around[id(node.layer)]) for node in nodes]
    excluded = _exclusions(exclude, places, model)
    return {id(place.layer) for place in places if any(matches(place) for matches in excluded)}


class _Place(NamedTuple):
    """A layer where `exclude` looks for a weight."""

    path: str
    layer: Any
    holders: tuple[Any, ...]
    others: tuple[str, ...]


def _around(
    model: Any, nodes: Sequence[graph.LayerNode]
) -> dict[int, tuple[tuple[Any, ...], tuple[str, ...]]]:
    """By `id`, the layers around each layer, and its paths beside that of its node."""
    ways, last = graph.ways(model), {id(n.layer): n.path.rpartition("/")[2] for n in nodes}
    found = {}
    for node in nodes:
        here = ways.get(id(node.layer), [])
        holders = {id(each): each for way in here for each in way[:-1]}
        paths = dict.fromkeys("/".join(last[id(each)] for each in way) for way in here)
        others = tuple(path for path in paths if path != node.path)
        found[id(node.layer)] = (tuple(holders.values()), others)
    return found


def checked(model: Any) -> None:
    """Refuse what has no weights.

    Raises:
        ValueError: If `model` is no Keras model, or is not built.
    """
    if not isinstance(model, keras.Layer):
        raise ValueError(f"Expected a Keras model. Received: {model!r}.")
    if not model.built or not graph.has_weights(model):
        unbuilt = [node.path for node in graph.layers(model) if not node.layer.built]
        if unbuilt:
            reason = "has no weights yet, and its inputs are not known"
            received = f"layers that are not built: {unbuilt[:5]}"
        else:
            reason = "has never been called, so that its inputs are not known"
            received = "a model of built layers that is not built itself"
        raise ValueError(
            f"The model {model.name!r} {reason}. Received: {received}. Call "
            "`model.build(input_shape)`, or the model on a batch, first."
        )


def matcher(where: Any, argument: str) -> Callable[[Weight | _Place], bool]:
    """Whether a weight is meant.

    A regular expression is searched for in the weight's path, in each of them where several layers
    hold its layer. A layer or a layer class means what
    it holds itself and what the layers inside of it hold. A function is asked of the innermost
    layer.
    """
    if isinstance(where, str):
        try:
            pattern = re.compile(where)
        except re.error as error:
            raise ValueError(
                f"{_EXPECTED}; this is none: {error}. Received: {argument}={where!r}."
            ) from error
        return lambda weight: any(map(pattern.search, (weight.path, *weight.others)))
    if isinstance(where, type) and issubclass(where, keras.Layer):
        return lambda weight: any(isinstance(e, where) for e in (weight.layer, *weight.holders))
    if isinstance(where, keras.Layer):
        return lambda weight: any(each is where for each in (weight.layer, *weight.holders))
    if callable(where) and not isinstance(where, type):
        return lambda weight: bool(where(weight.layer))
    raise ValueError(f"{_EXPECTED}. Received: {argument}={where!r}.")


def _as_list(exclude: Any) -> Iterable[Any]:
    if exclude is None:
        return []
    return exclude if isinstance(exclude, list | tuple | set) else [exclude]


def _keys(nodes: Sequence[graph.LayerNode]) -> dict[str, str]:
    """Path of each layer to its key: names that Keras made are numbered anew within a model."""
    keys: dict[str, str] = {"": ""}
    count: dict[str, int] = {}
    for node in sorted(nodes, key=lambda node: node.path.count("/")):
        holder, _, name = node.path.rpartition("/")
        stem = f"{keys.get(holder, holder)}/{_stem(name, node.layer)}"
        number = count[stem] = count.get(stem, -1) + 1
        keys[node.path] = f"{stem}_{number}"
    return keys


def _stem(name: str, layer: Any) -> str:
    """`dense` for a `Dense` that is called `dense_7`, a name of the user's as it is."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", type(layer).__name__)
    stem = re.sub(r"_\d+$", "", name)
    return stem if stem == snake.lower() else name
