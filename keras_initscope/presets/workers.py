"""Several seeds of a preset at once, each in a process of its own, by way of joblib.

Owns what happens in such a process, and the lines that it sends back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from pickle import PicklingError

import joblib

from keras_initscope.presets.registry import Progress, Run
from keras_initscope.presets.result import PresetError, Result
from keras_initscope.sweeps.workers import share_machine


def in_processes(
    once: Callable[[Run], Result], runs: Sequence[Run], jobs: int, tell: Progress
) -> list[Result]:
    """Run a preset under some circumstances, several at once.

    Args:
        once: Runs it. It is sent to the processes, what it refers to along with it.
        runs: The circumstances.
        jobs: How many at once, as `n_jobs` of joblib.
        tell: Takes the lines of a run when that has ended, in front of each its seed.

    Returns:
        The results, in the order of the circumstances.

    Raises:
        PresetError: If the preset cannot be sent to a process, or a process dies.
    """
    calls = [joblib.delayed(_run)(n, once, run.log_dir, run.seed) for n, run in enumerate(runs)]
    found: dict[int, Result] = {}
    try:
        for number, result, lines in joblib.Parallel(
            jobs, return_as="generator_unordered", batch_size=1
        )(calls):
            found[number] = result
            for line in lines:
                tell(f"seed {result.seed}: {line}")
            tell(f"seed {result.seed} is done, {len(found)} of {len(runs)}")
    except PicklingError as error:
        raise PresetError(
            f"The preset cannot be sent to another process: {error} Take jobs=1."
        ) from error
    except BrokenProcessPool as error:
        raise PresetError(
            f"A process that ran one of the seeds died, with {len(found)} of {len(runs)} done; "
            f"most often the memory was not enough. Take fewer jobs than {jobs}."
        ) from error
    return [found[number] for number in range(len(runs))]


def _run(
    number: int, once: Callable[[Run], Result], log_dir: Path, seed: int
) -> tuple[int, Result, list[str]]:
    share_machine()
    lines: list[str] = []
    return number, once(Run(log_dir=log_dir, seed=seed, progress=lines.append)), lines
