"""The typed parameters of a preset, read from the signature of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from keras_initscope.presets.result import Interval, PresetError
from keras_initscope.presets.sources import Source
from keras_initscope.text import did_you_mean

_PLAIN = (int, float, bool, str)
_TRUTHS = {"true": True, "false": False}
_ANYTHING = Interval()
_RECORDING = "decides what is written, and nothing else"
#: A switch that decides what a run writes: the claims of the preset hold with it and without.
Recording = Annotated[bool, _RECORDING]


@dataclass(frozen=True, slots=True)
class Choice:
    """Some words, of which a parameter takes one.

    Args:
        words: Those that it takes.

    Example:

    ```python
    from keras_initscope.presets import Choice

    assert "he" in Choice(("glorot", "he"))
    ```
    """

    words: tuple[str, ...]

    def __init__(self, words: Iterable[str]) -> None:
        object.__setattr__(self, "words", tuple(words))

    def __contains__(self, value: object) -> bool:
        return value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of a preset.

    Args:
        name: Its name.
        kind: Its type: `int`, `float`, `bool`, `str` or `Source`; of each of its values, where it
            takes several.
        default: Its default value, a tuple where it takes several.
        allowed: Where a number must lie, or which words can be chosen.
        several: Whether it takes several values.
        records: Whether it decides what is written, and nothing else.
    """

    name: str
    kind: type
    default: Any
    allowed: Interval | Choice = _ANYTHING
    several: bool = False
    records: bool = False

    def check(self, value: Any) -> Any:
        """Refuse a value of the wrong type or outside what is allowed.

        Args:
            value: The value to check. Where the parameter takes several, one of them will do.

        Returns:
            The value; an integer where a float is expected becomes one, and what takes several
            becomes a tuple.

        Raises:
            PresetError: If the parameter cannot take the value.
        """
        if not self.several:
            return self._checked(value)
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not values:
            raise PresetError(f"Parameter `{self.name}` must be one value or more. {self._example}")
        return tuple(self._checked(each) for each in values)

    def parse(self, text: str) -> Any:
        """A value from the text of a command line; several are separated by commas.

        Args:
            text: Such as `"30"`, `"10,30"` or `"false"`.

        Returns:
            The value, checked.

        Raises:
            PresetError: If the text is no value of the parameter.
        """
        if self.several:
            return self.check([self._parsed(part.strip()) for part in text.split(",")])
        return self.check(self._parsed(text.strip()))

    @property
    def _example(self) -> str:
        return f"e.g. {self.default!r}." if self.kind is not Source else f"e.g. {self.default}."

    def _parsed(self, text: str) -> Any:
        if self.kind is bool:
            return _TRUTHS.get(text.lower(), text)
        if self.kind not in (int, float):
            return text
        try:
            return self.kind(text)
        except ValueError:
            return text

    def _allows(self, value: Any) -> bool:
        if isinstance(self.allowed, Choice):
            return value in self.allowed
        return isinstance(value, str) or value in self.allowed

    def _checked(self, value: Any) -> Any:
        if self.kind is Source:
            return Source.of(value)
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise PresetError(
                f"Parameter `{self.name}` must be of type {self.kind.__name__}, {self._example} "
                f"Received: {value!r} of type {type(value).__name__}."
            )
        if not self._allows(value):
            raise PresetError(
                f"Parameter `{self.name}` must be {self.allowed}, {self._example} "
                f"Received: {value!r}."
            )
        return value


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Read the parameters behind the first argument of a preset's function.

    Args:
        function: The function, its parameters annotated with `int`, `float`, `bool`, `str` or
            `Source`, with `tuple[int, ...]` where it takes several, or with such a type and what is
            allowed, `Annotated[int, Interval(low=1)]`, or with `Recording`, each with a default.

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
        named(parameters, name)
    return {
        name: parameter.check(values.get(name, parameter.default))
        for name, parameter in known.items()
    }


def named(parameters: tuple[Parameter, ...], name: str) -> Parameter:
    """The parameter of a name.

    Args:
        parameters: The parameters there are.
        name: Its name.

    Returns:
        The parameter.

    Raises:
        PresetError: If there is none.
    """
    known = {parameter.name: parameter for parameter in parameters}
    if name not in known:
        raise PresetError(
            f"There is no parameter `{name}`. {did_you_mean(name, known)}"
            f"Known parameters: {', '.join(known) or 'none'}."
        )
    return known[name]


def _parameter(entry: inspect.Parameter, hint: Any) -> Parameter:
    kind: Any = hint
    allowed: Any = _ANYTHING
    if get_origin(kind) is Annotated:
        kind, allowed = get_args(kind)
    if records := allowed == _RECORDING:
        allowed = _ANYTHING
    several = get_origin(kind) is tuple and get_args(kind)[1:] == (Ellipsis,)
    if several:
        kind = get_args(kind)[0]
    if kind not in (*_PLAIN, Source) or entry.default is entry.empty:
        raise TypeError(
            f"Parameter `{entry.name}` of a preset needs a default and one of the types "
            f"{[kind.__name__ for kind in (*_PLAIN, Source)]}, or a tuple of one. "
            f"Received: {entry}."
        )
    return Parameter(
        name=entry.name,
        kind=kind,
        default=entry.default,
        allowed=allowed,
        several=several,
        records=records,
    )
