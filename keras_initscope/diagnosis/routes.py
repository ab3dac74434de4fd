"""The routes that a signal takes through a network, from inputs to outputs.

Owns which layers stand behind each other: of branches side by side each is on another route.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from keras_initscope.records import LayerInfo

_MERGES = ("Add", "Average", "Concatenate", "Multiply", "Subtract")
#: Routes that are taken at most, those with the most layers.
_MOST = 8
#: Layers that a further route must bring: one alone makes no trend.
_FEWEST = 2


class Network:
    """The layers of a network, and which stand before and behind which.

    Args:
        layers: In forward order. Where none tells what it stands behind, they stand in a row.
        outputs: Paths of those that give the outputs; by default those that nothing stands behind.
    """

    def __init__(self, layers: Sequence[LayerInfo], outputs: Collection[str] = ()) -> None:
        self._layers = layers
        self._paths = [layer.path for layer in layers]
        place = {path: i for i, path in enumerate(self._paths)}
        if any(layer.parents for layer in layers):
            self._before = [
                [place[path] for path in layer.parents if place.get(path, i) < i]
                for i, layer in enumerate(layers)
            ]
        else:
            self._before = [[i - 1] if i else [] for i in range(len(layers))]
        self._behind: list[list[int]] = [[] for _ in layers]
        for i, before in enumerate(self._before):
            for other in before:
                self._behind[other].append(i)
        self._place = place
        ends = [place[path] for path in outputs if path in place]
        self._ends = set(ends or [i for i, behind in enumerate(self._behind) if not behind])

    @cached_property
    def normalized_by(self) -> dict[str, LayerInfo]:
        """The normalization that follows a layer on each way, before anything not linear."""
        met: list[LayerInfo | None] = [None] * len(self._layers)  # by what a layer is given
        found: dict[str, LayerInfo] = {}
        for i in range(len(self._layers) - 1, -1, -1):
            layer, behind = self._layers[i], [met[j] for j in self._behind[i]]
            first = behind[0] if behind and all(behind) else None
            if first is not None:
                found[layer.path] = first
            if layer.kind.endswith("Normalization"):
                met[i] = layer
            elif layer.activation in (None, "linear") and layer.kind not in ("ReLU", *_MERGES):
                met[i] = first
        return found

    def in_front(self, path: str) -> list[LayerInfo]:
        """The layers that give what a layer takes."""
        return [self._layers[i] for i in self._before[self._place[path]]]

    def behind(self, path: str) -> list[LayerInfo]:
        """The layers that take what a layer gives."""
        return [self._layers[i] for i in self._behind[self._place[path]]]

    def before(self, path: str) -> set[str]:
        """All layers that what a layer gives depends on, itself among them."""
        found, waiting = set[int](), [self._place[path]] if path in self._place else []
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting.extend(self._before[each])
        return {self._paths[i] for i in found}

    def nearest(self, path: str, among: Collection[str]) -> list[str]:
        """Those of some layers that are met first on the ways back, the layer itself included."""
        seen, waiting = set[int](), [self._place[path]] if path in self._place else []
        found = []
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            if self._paths[each] in among:
                found.append(each)
            else:
                waiting.extend(self._before[each])
        return [self._paths[i] for i in sorted(found)]

    def routes(self, through: Collection[str]) -> list[frozenset[str]]:
        """Routes from inputs to outputs that together pass the layers.

        Args:
            through: Paths of the layers that are to be passed; those that no output depends on are
                on no route.

        Returns:
            Layers on each, the one with the most of those first; each further one brings the most
            that were not passed before.
        """
        left = {self._place[path] for path in through if path in self._place}
        found: list[frozenset[str]] = []
        while len(found) < _MOST:
            route = self._longest([(i in left) + 1e-3 for i in range(len(self._paths))])
            if len(left.intersection(route)) < (_FEWEST if found else 1):
                break
            left.difference_update(route)
            found.append(frozenset(self._paths[i] for i in route))
        return found

    def _longest(self, weights: Sequence[float]) -> list[int]:
        """The way to an output that weighs the most."""
        totals, came = [0.0] * len(weights), [-1] * len(weights)
        for i, weight in enumerate(weights):
            came[i] = max(self._before[i], key=totals.__getitem__, default=-1)
            totals[i] = weight + (totals[came[i]] if came[i] >= 0 else 0.0)
        place, route = max(self._ends, key=lambda i: (totals[i], i), default=-1), []
        while place >= 0:
            route.append(place)
            place = came[place]
        return route
