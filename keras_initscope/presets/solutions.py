"""Two trained networks of one shape, compared: how far apart, and what lies between them.

Owns distance, the loss on the straight line from one to the other, and the matching of their hidden
units. Units can be renamed, and those of an odd activation turned over, without any change of what
a network computes; two networks may be the same but for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[Any]
#: Kernel, bias, kernel, bias, ... as `get_weights` of a plain dense network gives them.
Weights = list[Array]


def flat(weights: Weights) -> NDArray[np.float64]:
    """All weights as one vector."""
    return np.concatenate([each.ravel() for each in weights]).astype("float64")


def outputs(weights: Weights, x: Array) -> NDArray[np.float64]:
    """What a dense network with tanh in its hidden layers gives, in double precision."""
    seen = x.astype("float64")
    for k in range(0, len(weights) - 2, 2):
        seen = np.tanh(seen @ weights[k] + weights[k + 1])
    return seen @ weights[-2] + weights[-1]


def distance(first: Weights, second: Weights) -> float:
    """Between two vectors of weights, over their mean length: sqrt(2) of independent ones."""
    one, other = flat(first), flat(second)
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(np.linalg.norm(one - other) / np.sqrt(lengths))


def along(
    first: Weights, second: Weights, loss: Callable[[Weights], float], points: int
) -> list[float]:
    """The loss at so many points of the straight line between two networks, both ends included."""
    shares = np.linspace(0, 1, points)
    return [loss([(1 - t) * a + t * b for a, b in zip(first, second, strict=True)]) for t in shares]


def barrier(losses: list[float]) -> float:
    """How much higher the line is at its highest point than at the higher one of its ends."""
    return max(losses) - max(losses[0], losses[-1])


def matched(first: Weights, second: Weights, x: Array) -> Weights:
    """The second network with its hidden units of tanh renamed and turned to resemble the first's.

    Layer by layer, the assignment with the largest sum of cosines between what two units give, up
    to their sign.

    Args:
        first: Weights of a dense network with biases whose hidden units are tanh, which is odd.
        second: Those of another one of that shape.
        x: Inputs on which units are compared.

    Returns:
        Weights that compute what the second network computes.
    """
    again = [each.copy() for each in second]
    one, other = x, x
    for k in range(0, len(first) - 2, 2):
        one = np.tanh(one @ first[k] + first[k + 1])
        other = np.tanh(other @ again[k] + again[k + 1])
        cosines = _directions(one).T @ _directions(other)
        _, names = linear_sum_assignment(-np.abs(cosines))
        signs = np.where(cosines[np.arange(len(names)), names] < 0, -1, 1).astype(one.dtype)
        again[k], again[k + 1] = again[k][:, names] * signs, again[k + 1][names] * signs
        again[k + 2] = again[k + 2][names] * signs[:, None]
        other = other[:, names] * signs
    return again


def _directions(outputs: Array) -> Array:
    lengths = np.linalg.norm(outputs, axis=0, keepdims=True)
    return outputs / np.where(lengths > 0, lengths, 1)
