"""Gradients from the outputs back to every state.

Owns the order of the way back and what becomes of gradients that meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keras_initscope.prediction.expectations import of_gaussian
from keras_initscope.prediction.primitives import gradient_parts
from keras_initscope.prediction.state import (
    Gradient,
    State,
    Unknown,
    added,
    independent,
    joined,
    overlap,
)


def backward(outputs: Sequence[State | Unknown]) -> dict[object, Gradient]:
    """The gradient of every state, for independent unit-variance cotangents at the outputs.

    Args:
        outputs: What the model returns.

    Returns:
        `State.key` to gradient, for every state that an output depends on.

    Example:

    ```python
    import numpy as np

    from keras_initscope.prediction.backward import backward
    from keras_initscope.prediction.primitives import scaled
    from keras_initscope.prediction.state import state

    x = state((4,), q=1.0, p=0.0)
    assert np.isclose(backward([scaled(x, 3.0)])[x.key].g, 9.0)
    ```
    """
    gradients: dict[object, Gradient] = {}
    for output in outputs:
        if isinstance(output, State):
            ones = np.ones(output.positions)
            _add(gradients, output, Gradient(ones, 0 * ones, frozenset([object()])))
    for state in _from_the_end(outputs):
        if isinstance(state, Unknown):
            _forget(gradients, state)
        elif state.key in gradients:
            _pull(gradients, state)
    return gradients


def _pull(gradients: dict[object, Gradient], state: State) -> None:
    try:
        with np.errstate(all="ignore"):
            pulled = () if state.pull is None else state.pull(gradients[state.key])
    except Exception as error:  # the rule may be the user's and may raise anything
        reason = f"the way back failed: {type(error).__name__}: {error}"
        _forget(gradients, Unknown(reason, None, state.parents))
        return
    for parent, gradient in zip(state.parents, pulled):  # noqa: B905
        if gradient is not None:
            _add(gradients, parent, gradient)


def _forget(gradients: dict[object, Gradient], unknown: Unknown) -> None:
    for parent in unknown.parents:
        if not isinstance(parent, State):
            continue
        nothing = np.full((1,) * len(parent.positions), np.nan)
        _add(gradients, parent, Gradient(nothing, nothing, None, reason=unknown.reason))


def _from_the_end(outputs: Iterable[State | Unknown]) -> list[State | Unknown]:
    """Every state after all that depend on it; without recursion, for models are deep."""
    order: list[State | Unknown] = []
    done: set[object] = set()
    stack: list[tuple[State | Unknown, bool]] = [(output, False) for output in outputs]
    while stack:
        state, expanded = stack.pop()
        if expanded:
            order.append(state)
        elif _key(state) not in done:
            done.add(_key(state))
            stack.append((state, True))
            stack.extend((parent, False) for parent in state.parents)
    return order[::-1]


def _key(state: State | Unknown) -> object:
    return state.key if isinstance(state, State) else id(state)


def _add(gradients: dict[object, Gradient], state: State, gradient: Gradient) -> None:
    held = gradients.get(state.key)
    gradients[state.key] = gradient if held is None else _met(state, held, gradient)


def _met(state: State, a: Gradient, b: Gradient) -> Gradient:
    """`E (c_a + c_b)^2`: the sum of both where they share no source, with the cross term else."""
    cross = 0.0 if independent(a, b) else _cross(a, b)
    g = a.g + b.g + 2 * (np.nan if cross is None else cross)
    reason = a.reason or b.reason
    if cross is None and not reason:
        reason = "gradients that depend on each other meet before it"
    sizes = float(np.mean(a.g)), float(np.mean(b.g))
    total = sum(sizes)
    noise, drift = (
        (sizes[0] * one + sizes[1] * other) / total if total > 0 else one
        for one, other in ((a.noise, b.noise), (a.drift, b.drift))
    )
    parts = dict(gradient_parts(a))
    for key, (kernel, part) in gradient_parts(b).items():
        parts[key] = (added(parts[key][0], kernel) if key in parts else kernel, part)
    slope = None
    if a.slope is not None or b.slope is not None:
        slope = np.divide(
            a.g * _slope(state, a) + b.g * _slope(state, b), g, out=np.ones_like(g), where=g > 0
        )
    units = _by_unit(a, b, sizes)
    return Gradient(
        g, a.r + b.r, joined(a.sources, b.sources), noise, drift, slope, parts, units, None, reason
    )


def _by_unit(a: Gradient, b: Gradient, sizes: tuple[float, float]) -> np.ndarray | None:
    if (a.units is None and b.units is None) or not sum(sizes) > 0:
        return None
    parts = [1.0 if each.units is None else each.units for each in (a, b)]
    return np.asarray((sizes[0] * parts[0] + sizes[1] * parts[1]) / sum(sizes))


def _slope(state: State, gradient: Gradient) -> np.ndarray:
    if gradient.slope is not None or state.through is None:
        return np.ones(()) if gradient.slope is None else gradient.slope
    phi, base = state.through
    return of_gaussian("slope", phi, np.maximum(base.q - base.mu**2, 0.0), base.mu)


def _cross(a: Gradient, b: Gradient) -> float | None:
    """Of gradients at different positions, which are independent, only equal ones count."""
    total = 0.0
    for key, (left, u) in gradient_parts(a).items():
        for other, (right, v) in gradient_parts(b).items():
            if key is other:
                total += overlap(left, right) * float(np.mean(u.g))
            elif not independent(u, v):
                return None
    return total
