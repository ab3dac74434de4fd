"""Find the presets.

A preset is a function with the decorator `@preset` in any module of this package. The modules are
found by scan, so a new preset is one function in one file.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from keras_initscope.presets.experiment import Networks
from keras_initscope.presets.parameters import Parameter, bind, parameters_of
from keras_initscope.presets.result import Expectation, Outcome, PresetError
from keras_initscope.text import did_you_mean

P = ParamSpec("P")
Progress = Callable[[str], None]

#: What `run` and `build` take themselves.
_RESERVED = {"name", "log_dir", "seed", "quick", "progress"}
_presets: dict[str, Preset] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The circumstances of one run, which every preset's function receives first.

    Args:
        log_dir: Directory for its files; it exists and can be written.
        seed: Everything random in the run follows from it.
        progress: Takes a line of text about what is going on.
    """

    log_dir: Path
    seed: int
    progress: Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """An experiment with a name, typed parameters and claims about its outcome.

    Args:
        name: Its name.
        summary: What it shows, in one line.
        function: Does the work.
        parameters: What can be varied.
        expects: What its table must show, with the default parameters and with the quick ones.
        networks: Gives the networks that it compares, from some of its parameters.
        quick: Parameters of a shorter run for which `expects` holds too.
    """

    name: str
    summary: str
    function: Callable[..., Outcome]
    parameters: tuple[Parameter, ...]
    expects: tuple[Expectation, ...]
    networks: Callable[..., Networks]
    quick: Mapping[str, Any] = field(default_factory=dict)

    def trials(self, values: Mapping[str, Any]) -> Networks:
        """The networks that it compares.

        Args:
            values: Those of all its parameters.

        Returns:
            Names to what builds them from a seed.
        """
        wanted = inspect.signature(self.networks).parameters
        return self.networks(**{name: values[name] for name in wanted})


def preset(
    name: str,
    *,
    expects: Sequence[Expectation],
    networks: Callable[..., Networks],
    quick: Mapping[str, Any] | None = None,
) -> Callable[[Callable[Concatenate[Run, P], Outcome]], Callable[Concatenate[Run, P], Outcome]]:
    """Decorator that enters a function into the catalogue of presets.

    The function takes a `Run` and its own parameters, each with a default and annotated with
    `int`, `float`, `bool`, `str` or `Source`, with a tuple of one of these where it takes several
    values, if need be as `Annotated[int, Interval(low=1)]`, and with `Recording` where it decides
    what is written alone. It returns an `Outcome`. The first line of its docstring becomes the
    summary.

    Args:
        name: Name of the preset, words joined by hyphens.
        expects: What its table must show.
        networks: Takes any of the function's parameters, by name; returns what it compares, names
            to what builds a `Trial` from a seed.
        quick: Parameter values for a shorter run, for which `expects` must hold as well.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        ValueError: If the name is taken.
        TypeError: If the parameters are not typed as above.
    """

    def enter(
        function: Callable[Concatenate[Run, P], Outcome],
    ) -> Callable[Concatenate[Run, P], Outcome]:
        _enter(name, function, tuple(expects), networks, dict(quick or {}))
        return function

    return enter


def names() -> tuple[str, ...]:
    """Names of all presets.

    Returns:
        The names, sorted.

    Example:

    ```python
    from keras_initscope import presets

    assert "small-weights" in presets.names()
    ```
    """
    _scan()
    return tuple(sorted(_presets))


def get(name: str) -> Preset:
    """A preset by its name.

    Args:
        name: One of `names()`.

    Returns:
        The preset: its summary, parameters and expectations.

    Raises:
        PresetError: If there is none of that name.

    Example:

    ```python
    from keras_initscope import presets

    for parameter in presets.get("small-weights").parameters:
        assert (parameter.name, parameter.kind, parameter.default) == ("draws", int, 1000)
    ```
    """
    if name not in names():
        raise PresetError(
            f"There is no preset {name!r}. {did_you_mean(name, _presets)}"
            f"Known presets: {', '.join(names())}."
        )
    return _presets[name]


def _enter(
    name: str,
    function: Callable[..., Outcome],
    expects: tuple[Expectation, ...],
    networks: Callable[..., Networks],
    quick: dict[str, Any],
) -> None:
    parameters = parameters_of(function)
    known = {parameter.name for parameter in parameters}
    if unknown := set(inspect.signature(networks).parameters) - known:
        raise TypeError(f"The networks of {name!r} take no parameters of it: {sorted(unknown)}.")
    if reserved := _RESERVED & known:
        raise TypeError(f"Preset {name!r} uses names that `run` takes: {sorted(reserved)}.")
    if name in _presets:
        raise ValueError(f"There are two presets {name!r}. Rename one of them.")
    bind(parameters, quick)
    _presets[name] = Preset(
        name=name,
        summary=(inspect.getdoc(function) or "").partition("\n")[0],
        function=function,
        parameters=parameters,
        expects=expects,
        networks=networks,
        quick=quick,
    )


@cache
def _scan() -> None:
    package = importlib.import_module(__name__.rpartition(".")[0])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
