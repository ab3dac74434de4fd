"""Find the presets and run them.

A preset is a function with the decorator `@preset` in any module of this package. The modules are
found by scan, so a new preset is one function in one file.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from keras_initscope.presets.log_dir import open_log_dir, write_table
from keras_initscope.presets.parameters import Parameter, bind, parameters_of
from keras_initscope.presets.result import Expectation, Outcome, PresetError, Result
from keras_initscope.text import did_you_mean

P = ParamSpec("P")
Progress = Callable[[str], None]

_LOGGER = logging.getLogger("keras_initscope.presets")
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
        quick: Parameters of a shorter run for which `expects` holds too.
    """

    name: str
    summary: str
    function: Callable[..., Outcome]
    parameters: tuple[Parameter, ...]
    expects: tuple[Expectation, ...]
    quick: Mapping[str, Any] = field(default_factory=dict)


def preset(
    name: str, *, expects: Sequence[Expectation], quick: Mapping[str, Any] | None = None
) -> Callable[[Callable[Concatenate[Run, P], Outcome]], Callable[Concatenate[Run, P], Outcome]]:
    """Decorator that enters a function into the catalogue of presets.

    The function takes a `Run` and its own parameters, each with a default and annotated with
    `int`, `float`, `bool` or `str`, if need be as `Annotated[int, Interval(low=1)]`. It returns an
    `Outcome`. The first line of its docstring becomes the summary.

    Args:
        name: Name of the preset, words joined by hyphens.
        expects: What its table must show.
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
        _enter(name, function, tuple(expects), dict(quick or {}))
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


def run(
    name: str,
    log_dir: str | Path | None = None,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | None = None,
    **parameters: Any,
) -> Result:
    """Run a preset.

    Args:
        name: One of `names()`.
        log_dir: Directory for its files, `table.csv` among them; made if need be. With `None`
            no file is kept.
        seed: Integer from which everything random in the run follows.
        quick: Whether to take the preset's shorter protocol.
        progress: Called with a line of text now and then. `None` logs these lines at level INFO
            to the logger `"keras_initscope.presets"`.
        **parameters: Values for the preset's own parameters, see `get(name).parameters`.

    Returns:
        The table, the verdict on each expectation and the files written.

    Raises:
        PresetError: If there is no such preset or parameter, a value cannot be used, or the
            directory cannot be written.

    Example:

    ```python
    from keras_initscope import presets

    result = presets.run("small-weights", draws=50)
    assert result.rows[-1]["mean_square"] < 1e-10  # five layers on, nothing is left
    ```
    """
    found = get(name)
    protocol = bind(found.parameters, found.quick if quick else {})
    values = bind(found.parameters, {**protocol, **parameters})
    _check_seed(seed)
    with _directory(log_dir) as folder:
        circumstances = Run(log_dir=folder, seed=seed, progress=progress or _LOGGER.info)
        outcome = found.function(circumstances, **values)
        table = write_table(folder / "table.csv", outcome.rows)
    own = values == protocol
    return Result(
        preset=name,
        seed=seed,
        parameters=values,
        rows=tuple(outcome.rows),
        verdicts=tuple(claim.check(outcome.rows) for claim in found.expects if own),
        files=(table, *outcome.files) if log_dir is not None else (),
    )


def _enter(
    name: str,
    function: Callable[..., Outcome],
    expects: tuple[Expectation, ...],
    quick: dict[str, Any],
) -> None:
    parameters = parameters_of(function)
    if reserved := _RESERVED & {parameter.name for parameter in parameters}:
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
        quick=quick,
    )


@cache
def _scan() -> None:
    package = importlib.import_module(__name__.rpartition(".")[0])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def _check_seed(seed: Any) -> None:
    if type(seed) is not int or seed < 0:
        raise PresetError(f"`seed` must be an integer of 0 or more. Received: {seed!r}.")


@contextmanager
def _directory(log_dir: str | Path | None) -> Iterator[Path]:
    if log_dir is not None:
        yield open_log_dir(log_dir)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
