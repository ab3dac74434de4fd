"""Build presets with parameters of one's own, and run them.

Owns seeds, log directories and the verdicts; what is computed is the preset's function's.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from keras_initscope.presets.catalogue import write_result
from keras_initscope.presets.experiment import Experiment
from keras_initscope.presets.log_dir import open_log_dir, write_table
from keras_initscope.presets.parameters import bind, named
from keras_initscope.presets.registry import Preset, Progress, Run, get
from keras_initscope.presets.result import Expectation, PresetError, Result, Row
from keras_initscope.presets.workers import in_processes

_LOGGER = logging.getLogger("keras_initscope.presets")
_SEEDS = "seeds"


def build(name: str, seed: int = 0, quick: bool = False, **parameters: Any) -> Experiment:
    """A preset with parameters of your own, to take apart or to run.

    Args:
        name: One of `names()`.
        seed: Integer from which everything random follows.
        quick: Whether to take the preset's shorter protocol.
        **parameters: Values for the preset's own parameters, see `get(name).parameters`.

    Returns:
        The experiment: its networks, their data, training and claims, and a way to run it all.

    Raises:
        PresetError: If there is no such preset or parameter, or a value cannot be used.

    Example:

    ```python
    from keras_initscope import presets

    experiment = presets.build("he-2015", depth=30)
    print(experiment.networks)  # ('30 layers, glorot', '30 layers, he')
    model = experiment.model("30 layers, he")
    ```
    """
    found = get(name)
    protocol = bind(found.parameters, found.quick if quick else {})
    values = bind(found.parameters, {**protocol, **parameters})
    _check_count("seed", seed, 0)
    return Experiment(
        name=name,
        summary=found.summary,
        parameters=values,
        seed=seed,
        expects=_expects(found, values, protocol),
        trials=found.trials(values),
        runner=partial(_run, _Order(found, values, protocol, seed, quick)),
    )


def run(
    name: str,
    log_dir: str | Path | None = None,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | None = None,
    **parameters: Any,
) -> Result:
    """Run a preset: `build(name, ...).run(...)` in one call.

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
        The table, the verdict on each expectation, the pictures and the files written.

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
    return build(name, seed, quick, **parameters).run(log_dir=log_dir, progress=progress)


def parsed(name: str, settings: Sequence[str]) -> dict[str, Any]:
    """Values of a preset's parameters from the texts of a command line.

    Args:
        name: Name of the preset.
        settings: Texts such as `"depth=30"`.

    Returns:
        Names of parameters to values.

    Raises:
        PresetError: If there is no such preset or parameter, or a text is no value of it.
    """
    parameters = get(name).parameters
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise PresetError(f"A setting must be KEY=VALUE. Received: {setting!r}.")
        values[key.strip()] = named(parameters, key.strip()).parse(text)
    return values


class _Order(NamedTuple):
    """What is to be run: a preset, the values of its parameters and those of its protocol."""

    preset: Preset
    values: Mapping[str, Any]
    protocol: Mapping[str, Any]
    seed: int
    quick: bool


def _run(
    order: _Order,
    seeds: int | None,
    log_dir: str | Path | None,
    progress: Progress | None,
    jobs: int,
) -> Result:
    """From so many seeds; from one, or as many as its parameter says, where that is `None`."""
    if seeds is not None:
        _check_count(_SEEDS, seeds, 1)
    if type(jobs) is not int or jobs != -1:
        _check_count("jobs", jobs, 1, ", or -1 for all cores")
    if seeds is not None and _SEEDS in order.values:
        order, seeds = order._replace(values={**order.values, _SEEDS: seeds}), None
    tell, started = progress or _LOGGER.info, time.perf_counter()
    with _directory(log_dir) as folder:
        if seeds is None or seeds == 1:
            result = _once(order, Run(log_dir=folder, seed=order.seed, progress=tell))
        else:
            several = range(order.seed, order.seed + seeds)
            runs = [Run(log_dir=_inside(folder, s), seed=s, progress=tell) for s in several]
            result = _joined(_each(order, runs, jobs, tell), folder)
        result = replace(result, seconds=time.perf_counter() - started, quick=order.quick)
        write_result(folder, result)
    return result if log_dir is not None else replace(result, files=())


def _each(order: _Order, runs: list[Run], jobs: int, tell: Progress) -> list[Result]:
    if jobs == 1:
        return [_once(order, each) for each in runs]
    found: dict[int, Result] = {}
    calls = [partial(_with_its_lines, order, each.log_dir, each.seed) for each in runs]
    for result, lines in in_processes(calls, jobs, "seeds"):
        found[result.seed] = result
        for line in lines:
            tell(f"seed {result.seed}: {line}")
        tell(f"seed {result.seed} is done, {len(found)} of {len(runs)}")
    return [found[each.seed] for each in runs]


def _with_its_lines(order: _Order, log_dir: Path, seed: int) -> tuple[Result, list[str]]:
    lines: list[str] = []
    return _once(order, Run(log_dir=log_dir, seed=seed, progress=lines.append)), lines


def _once(order: _Order, circumstances: Run) -> Result:
    claims = _expects(order.preset, order.values, order.protocol)
    outcome = order.preset.function(circumstances, **order.values)
    table = write_table(circumstances.log_dir / "table.csv", outcome.rows)
    pictures = {path.stem: path.read_bytes() for path in outcome.files if path.suffix == ".png"}
    return Result(
        preset=order.preset.name,
        seed=circumstances.seed,
        parameters=order.values,
        rows=tuple(outcome.rows),
        verdicts=tuple(claim.check(outcome.rows) for claim in claims),
        files=(table, *outcome.files),
        pictures=pictures,
    )


def _joined(results: list[Result], folder: Path) -> Result:
    """The runs of several seeds as one: their rows below each other, a verdict for each."""
    rows: list[Row] = [{"seed": each.seed, **row} for each in results for row in each.rows]
    verdicts = [replace(v, seed=each.seed) for each in results for v in each.verdicts]
    table = write_table(folder / "table.csv", rows)
    return replace(
        results[0],
        seeds=len(results),
        rows=tuple(rows),
        verdicts=tuple(verdicts),
        files=(table, *(path for each in results for path in each.files)),
        pictures={
            f"{name}, seed {each.seed}": picture
            for each in results
            for name, picture in each.pictures.items()
        },
    )


def _expects(
    found: Preset, values: Mapping[str, Any], protocol: Mapping[str, Any]
) -> tuple[Expectation, ...]:
    """The claims that are about these values, or about fewer seeds than these."""
    enough = min(protocol.get(_SEEDS, 0), found.quick.get(_SEEDS, protocol.get(_SEEDS, 0)))
    if values.get(_SEEDS, 0) < enough:
        return ()
    own = {each.name for each in found.parameters if not each.records} - {_SEEDS}
    changed = {name for name in own if values[name] != protocol[name]}
    return tuple(claim for claim in found.expects if _is_about(claim, changed, values))


def _is_about(claim: Expectation, changed: set[str], values: Mapping[str, Any]) -> bool:
    """Whether all that was changed still has the values, once each, that the claim needs."""
    return all(
        name in claim.about and all(values[name].count(each) == 1 for each in claim.about[name])
        for name in changed
    )


def _inside(folder: Path, seed: int) -> Path:
    return open_log_dir(folder / f"seed_{seed}")


def _check_count(name: str, value: Any, least: int, other: str = "") -> None:
    if type(value) is not int or value < least:
        raise PresetError(
            f"`{name}` must be an integer of {least} or more{other}. Received: {value!r}."
        )


@contextmanager
def _directory(log_dir: str | Path | None) -> Iterator[Path]:
    if log_dir is not None:
        yield open_log_dir(log_dir)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
