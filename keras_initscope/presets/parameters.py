"""The typed parameters of a preset, read from the signature of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from keras_initscope.presets.result import Interval, PresetError
from keras_initscope.text import did_you_mean

_KINDS = (int, float, bool, str)
_ANY_NUMBER = Interval()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of a preset.

    Args:
        name: Its name.
        kind: Its type: `int`, `float`, `bool` or `str`.
        default: Its default value.
        interval: Where a number must lie.
    """

    name: str
    kind: type
    default: int | float | bool | str
    interval: Interval = _ANY_NUMBER

    def check(self, value: Any) -> Any:
        """Refuse a value of the wrong type or outside the interval.

        Args:
            value: The value to check.

        Returns:
            The value; an integer where a float is expected becomes one.

        Raises:
            PresetError: If the parameter cannot take the value.
        """
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise PresetError(
                f"Parameter `{self.name}` must be of type {self.kind.__name__}, "
                f"e.g. {self.default!r}. Received: {value!r} of type {type(value).__name__}."
            )
        if isinstance(value, int | float) and value not in self.interval:
            raise PresetError(
                f"Parameter `{self.name}` must be {self.interval}, "
                f"e.g. {self.default!r}. Received: {value!r}."
            )
        return value


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Read the parameters behind the first argument of a preset's function.

    Args:
        function: The function, its parameters annotated with `int`, `float`, `bool` or `str`,
            or with `Annotated[int, Interval(low=1)]`, each with a default.

    Returns:
        The parameters, in order.

    Raises:
        TypeError: If a parameter has no default or no usable annotation.
    """
    hints = get_type_hints(function, include_extras=True)
    signature = list(inspect.signature(function).parameters.values())[1:]
    return tuple(_parameter(entry, hints.get(entry.name)) for entry in signature)


def bind(parameters: tuple[Parameter, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Complete and check the values of all parameters.

    Args:
        parameters: The parameters there are.
        values: Values for some of them.

    Returns:
        A value for each of them.

    Raises:
        PresetError: If there is no parameter of a name or it cannot take its value.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in values:
        if name not in known:
            raise PresetError(
                f"There is no parameter `{name}`. {did_you_mean(name, known)}"
                f"Known parameters: {', '.join(known) or 'none'}."
            )
    return {
        name: parameter.check(values.get(name, parameter.default))
        for name, parameter in known.items()
    }


def _parameter(entry: inspect.Parameter, hint: Any) -> Parameter:
    interval = _ANY_NUMBER
    if get_origin(hint) is Annotated:
        hint, interval = get_args(hint)
    if hint not in _KINDS or entry.default is entry.empty:
        raise TypeError(
            f"Parameter `{entry.name}` of a preset needs a default and one of the types "
            f"{[kind.__name__ for kind in _KINDS]}. Received: {entry}."
        )
    return Parameter(name=entry.name, kind=hint, default=entry.default, interval=interval)
