"""What Python objects hold, noted and put back.

Owns the guard for code of the user's that is run once more than the user asked for. Knows nothing
of Keras: its variables are guarded by a stateless scope, not here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np


@contextmanager
def preserved(objects: Iterable[Any]) -> Iterator[None]:
    """Put back what attributes of objects are when the context ends.

    Which attributes there are and what they are, what lists, dictionaries and sets among them hold,
    and where random number generators among them stand, beside those of Python and NumPy that all
    share. What hides deeper, as in a list within a list, is not noted.

    Args:
        objects: Any; noted without asking them, by way of `__dict__`.

    Example:

    ```python
    from types import SimpleNamespace

    from keras_initscope.preserved import preserved

    counter = SimpleNamespace(count=0, seen=[])
    with preserved([counter]):
        counter.count += 1
        counter.seen.append("x")
    assert (counter.count, counter.seen) == (0, [])
    ```
    """
    restore = noted(objects)
    try:
        yield
    finally:
        restore()


def noted(objects: Iterable[Any]) -> Callable[[], None]:
    """Note what attributes of objects are.

    Args:
        objects: As for `preserved`.

    Returns:
        Puts all of it back.
    """
    undo = [partial(random.setstate, random.getstate())]
    undo.append(partial(np.random.set_state, np.random.get_state()))  # noqa: NPY002
    for each in objects:
        attributes = getattr(each, "__dict__", None)
        if attributes is not None:
            undo += [partial(_refill, attributes, dict(attributes))]
            undo += [step for value in attributes.values() for step in _contents(value)]

    def restore() -> None:
        for step in undo:
            step()

    return restore


def _contents(value: Any) -> Iterator[partial[Any]]:
    # By the base class' own methods: what Keras tracks must not hear of it.
    if isinstance(value, list):
        yield partial(_refill_list, value, list(value))
    elif isinstance(value, dict):
        yield partial(_refill, value, dict(value))
    elif isinstance(value, set):
        yield partial(_refill_set, value, set(value))
    elif isinstance(value, np.random.Generator):
        yield partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    elif isinstance(value, np.random.RandomState):
        yield partial(value.set_state, value.get_state())
    elif isinstance(value, random.Random):
        yield partial(value.setstate, value.getstate())


def _refill(held: dict[Any, Any], before: dict[Any, Any]) -> None:
    for key in [key for key in held if key not in before]:
        dict.__delitem__(held, key)
    for key, value in before.items():
        if key not in held or held[key] is not value:
            dict.__setitem__(held, key, value)


def _refill_list(held: list[Any], before: list[Any]) -> None:
    if len(held) != len(before) or any(a is not b for a, b in zip(held, before, strict=True)):
        list.__setitem__(held, slice(None), before)


def _refill_set(held: set[Any], before: set[Any]) -> None:
    set.intersection_update(held, before)
    set.update(held, before)
