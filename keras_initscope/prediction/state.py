"""What signal theory knows of a tensor: its moments, their origin, and how gradients return.

Owns the records. A state remembers its parents and how to pull a gradient back to them, so that a
transfer rule is written like the forward pass of the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_initscope.theory.nonlinearity import Nonlinearity

Array = NDArray[np.float64]

_holder: ContextVar[object | None] = ContextVar("holder", default=None)


@contextmanager
def weights_held_by(holder: object | None) -> Iterator[None]:
    """Let what is made here come from the weights of `holder`; `None` for nobody's."""
    token = _holder.set(holder)
    try:
        yield
    finally:
        _holder.reset(token)


def source() -> object:
    """Where fresh randomness comes from: the same for every call of a layer that is shared."""
    holder = _holder.get()
    return object() if holder is None else ("weights", id(holder))


@dataclass(frozen=True, slots=True)
class Unknown:
    """A tensor of which theory says nothing, and why.

    Args:
        reason: What is not known, naming the layer.
        shape: Shape of the tensor without the batch axis, or `None`.
        parents: States it was computed from; no gradient is known for them either.
    """

    reason: str
    shape: tuple[int, ...] | None = None
    parents: tuple[State, ...] = ()


@dataclass(frozen=True, slots=True)
class Gradient:
    """Second moment of the derivative of the loss by a tensor.

    Args:
        g: `E (dL/dx)^2`, a map over positions; NaN where it is unknown.
        r: `E dL/dx_i dL/dx_j` for two positions of one example: a global pooling sends the same
            gradient to all.
        sources: What the derivative depends on since it last passed fresh weights; `None` for
            possibly anything.
        noise: Sum of `log(1 + 5/n)` over the layers that it passed: its finite-width scatter.
        drift: Standard deviation of its logarithm that follows from the scatter of the signal,
            which slopes depend on; it adds up along a signal that no normalization interrupts.
        slope: `E f'^2` where this gradient is, in place of everywhere, for the activation that made
            the tensor: max pooling sends gradients to where the activation is largest.
        parts: Its linear decomposition into independent gradients; see `parts_of`.
        units: Its second moment by unit over that of all, where units side by side differ.
        across: Of a sequence, `E dL/dx_t dL/dx_s` for each pair of steps, where it is known.
        reason: Why it is unknown, empty if it is known.
        key: Identity.
    """

    g: Array
    r: Array
    sources: frozenset[object] | None
    noise: float = 0.0
    drift: float = 0.0
    slope: Array | None = None
    parts: Mapping[object, tuple[Array, Gradient]] | None = None
    units: Array | None = None
    across: Array | None = None
    reason: str = ""
    key: object = field(default_factory=object)

    @property
    def deviation(self) -> float:
        """Variance of its logarithm over networks."""
        return self.noise + self.drift**2

    def changed(self, g: Array, r: Array, **changes: Any) -> Gradient:
        """What is left of it after anything but addition."""
        forgotten = dict.fromkeys(("slope", "parts", "units", "across"))
        return replace(self, g=g, r=r, **{**forgotten, "key": object(), **changes})

    def times(self, factor: Any, **changes: Any) -> Gradient:
        """The second moments times a factor, the same for two positions as for one."""
        return self.changed(factor * self.g, factor * self.r, **changes)


Pull = Callable[[Gradient], tuple[Gradient | None, ...]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class State:
    """What theory knows of a tensor.

    Units (channels) are exchangeable, so that moments are means over them; over the other axes, the
    positions, a moment is a map that broadcasts. NaN stands for a moment that is not known.

    Args:
        shape: Shape of the tensor without the batch axis; the last axis runs over units.
        q: `E x^2`, one example, one position.
        p: `E x_a x_b`, two examples.
        r: `E x_i x_j`, one example, two positions that lie close to each other. Independent pixels
            make two positions as different as two examples, `r = p`.
        mu: `E x`, over units.
        m: `E x_ia x_jb`, two examples at any two positions: the square of a unit's mean over all of
            them. At the borders of padded convolutions the constant part differs, so that
            `m <= mean(p)`.
        sources: The fresh weights that made it what it is, seen from the last ones: two tensors
            without a common source are independent. `None` for possibly anything.
        noise: Sum of `log(1 + 5/n)` over the layers that it passed: its finite-width scatter.
        scatter: Variance of `log q` over networks, to first order: what each layer adds, passed on
            as activations pass on a deviation. Above `noise` where they amplify it.
        parents: States it was computed from.
        pull: Its gradient to those of its parents.
        received: What the activation function of its layer received, where the layer has one.
        through: A nonlinearity and the Gaussian state that it maps to this one, where there is one.
        parts: Its linear decomposition into other states; see `parts_of`.
        values: The tensor itself, for an input that was given as an array.
        variances: `q - m` by unit, where units of different origin stand side by side.
        chained: Whether positions far apart are alike as `r` of neighbours does not tell.
        raw: Whether no weights have met it since it was given.
        standard: Whether it stands for data of which nothing was said: every unit by itself has
            these moments, and what was adapted to the data standardizes it.
        hides: Of a mask, whether it hides some steps; `None` for anything that is no mask.
        reason: Why something of it is not known.
        key: Identity; copies of a state that differ in what is known share it.
    """

    shape: tuple[int, ...]
    q: Array
    p: Array
    r: Array
    mu: Array
    m: float
    sources: frozenset[object] | None
    noise: float = 0.0
    scatter: float = 0.0
    parents: tuple[State, ...] = ()
    pull: Pull | None = None
    received: State | None = None
    through: tuple[Nonlinearity, State] | None = None
    parts: Mapping[object, tuple[Array, State]] | None = None
    values: Any = None
    variances: Array | None = None
    chained: bool = False
    raw: bool = False
    standard: bool = False
    hides: bool | None = None
    reason: str = ""
    key: object = field(default_factory=object)

    @property
    def units(self) -> int:
        """Length of the unit axis."""
        return self.shape[-1] if self.shape else 1

    @property
    def positions(self) -> tuple[int, ...]:
        """Shape of the maps."""
        return self.shape[:-1]

    @property
    def deviation(self) -> float:
        """Variance of `log q` over networks, by the greater of both accounts."""
        return max(self.noise, self.scatter)

    def maps(self) -> tuple[Array, Array, Array, Array]:
        """`q`, `p`, `r` and `mu` in the full shape of the positions."""
        q, p, r, mu = (
            np.broadcast_to(m, self.positions) for m in (self.q, self.p, self.r, self.mu)
        )
        return q, p, r, mu


def state(
    shape: tuple[int, ...],
    q: ArrayLike,
    p: ArrayLike,
    r: ArrayLike | None = None,
    mu: ArrayLike = 0.0,
    **more: Any,
) -> State:
    """A state from numbers or maps.

    Args:
        shape: Shape of the tensor without the batch axis.
        q: Second moment.
        p: Cross moment of two examples.
        r: Cross moment of two positions; `p` if `None`.
        mu: Mean.
        **more: Other fields of `State`. If they are not given, `sources` is a fresh one, `m` the
            mean of `p` and `scatter` the `noise`.

    Returns:
        The state.

    Example:

    ```python
    from keras_initscope.prediction.state import state

    image = state((8, 8, 3), q=1.0, p=0.0)
    assert image.positions == (8, 8) and image.q.shape == (1, 1)
    ```
    """
    positions = shape[:-1]

    def as_map(value: ArrayLike) -> Array:
        array = np.asarray(value, dtype=float)
        return array if array.ndim == len(positions) else np.full((1,) * len(positions), array)

    more.setdefault("sources", frozenset([source()]))
    found = as_map(p)
    more.setdefault("m", float(found.mean()))
    more.setdefault("scatter", more.get("noise", 0.0))
    return State(
        shape=shape,
        q=as_map(q),
        p=found,
        r=found if r is None else as_map(r),
        mu=as_map(mu),
        **more,
    )


def lost(shape: tuple[int, ...], reason: str, **more: Any) -> State:
    """A state of which nothing is known but its shape."""
    nothing = np.full((1,) * (len(shape) - 1), np.nan)
    more.setdefault("sources", None)
    return state(shape, nothing, nothing, nothing, nothing, reason=reason, **more)


def joined(*sources: frozenset[object] | None) -> frozenset[object] | None:
    """The sources of something that depends on several things."""
    known = [each for each in sources if each is not None]
    return frozenset().union(*known) if len(known) == len(sources) else None


def independent(a: State | Gradient, b: State | Gradient) -> bool:
    """Whether two states, or two gradients, have no source in common."""
    return a.sources is not None and b.sources is not None and not a.sources & b.sources


def parts_of(x: State) -> Mapping[object, tuple[Array, State]]:
    """The states that `x` is a linear combination of: key to spatial filter and state.

    A filter holds the weights of the positions around a position, centred; one element is a factor.
    """
    return {x.key: (np.ones((1,) * len(x.positions)), x)} if x.parts is None else x.parts


def filtered(
    parts: Mapping[object, tuple[Array, Any]], change: Callable[[Array], Array]
) -> dict[object, tuple[Array, Any]]:
    """Parts whose filters are changed."""
    return {key: (change(kernel), part) for key, (kernel, part) in parts.items()}


def overlap(a: Array, b: Array) -> float:
    """Inner product of two centred filters of odd size."""
    if not a.ndim:  # of a tensor without positions
        return float(a * b)
    size = np.maximum(a.shape, b.shape)

    def padded(kernel: Array) -> Array:
        return np.pad(
            kernel, [((s - k) // 2,) * 2 for s, k in zip(size, kernel.shape, strict=True)]
        )

    return float(np.sum(padded(a) * padded(b)))


def added(a: Array, b: Array) -> Array:
    """Sum of two centred filters of odd size."""
    if not a.ndim:
        return a + b
    size = np.maximum(a.shape, b.shape)
    total = np.zeros(size)
    for kernel in (a, b):
        start = (size - kernel.shape) // 2
        total[tuple(slice(s, s + k) for s, k in zip(start, kernel.shape, strict=True))] += kernel
    return total


def same_moments(x: State, **changes: Any) -> State:
    """A new tensor with the moments of `x`, fields replaced; `m` keeps its share of `p`."""
    changes.setdefault("key", object())
    if "p" in changes:
        before = float(np.mean(x.p))
        share = x.m / before if before > 0 else 1.0
        changes.setdefault("m", share * float(np.mean(changes["p"])))
    changes = {"values": None, "received": None, "variances": None, "hides": None, **changes}
    return replace(x, **changes)
