"""The table of nonlinearities: every row of `piecewise` and `smooth` enters itself by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

from keras_initscope.theory.nonlinearity import Nonlinearity

Row = Callable[..., Nonlinearity]

TABLE: dict[str, Row] = {}
"""Name to the function that makes the row from its parameters."""


def row(make: Row) -> Row:
    """Enters a row into the table under the name of the function that makes it.

    The row is made once for each set of parameters, and named after those that are unusual.

    Args:
        make: Makes the row; its parameters are those of the nonlinearity.

    Returns:
        The same, cached and naming what it makes.

    Example:

    ```python
    @row
    def steep(factor: float = 2.0) -> Nonlinearity:
        return Nonlinearity(name="", f=lambda x: factor * x, df=lambda x: 0 * x + factor)


    assert TABLE["steep"](3.0).name == "steep(factor=3)"
    assert steep() is steep()
    del TABLE["steep"]
    ```
    """
    signature = inspect.signature(make)

    @lru_cache(maxsize=128)
    def once(**parameters: Any) -> Nonlinearity:
        unusual = [
            f"{name}={value:g}" if type(value) in (float, int) else f"{name}={value}"
            for name, value in parameters.items()
            if value != signature.parameters[name].default
        ]
        name = f"{make.__name__}({', '.join(unusual)})" if unusual else make.__name__
        return replace(make(**parameters), name=name)

    @wraps(make)
    def made(*values: Any, **parameters: Any) -> Nonlinearity:
        bound = signature.bind(*values, **parameters)
        bound.apply_defaults()
        return once(**bound.arguments)

    TABLE[make.__name__] = made
    return made
