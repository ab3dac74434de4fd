"""Seeds of a preset, or presets, side by side: each in a process of its own, by way of joblib.

Owns what happens in such a process, and what is said where one dies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pickle import PicklingError
from typing import TypeVar

import joblib

from keras_initscope.presets.result import PresetError
from keras_initscope.sweeps.workers import share_machine

_T = TypeVar("_T")


def in_processes(calls: Sequence[Callable[[], _T]], jobs: int, what: str) -> Iterator[_T]:
    """Make calls, several at once.

    Args:
        calls: Each is sent to a process, what it refers to along with it.
        jobs: How many at once, as `n_jobs` of joblib.
        what: What they run, in the plural, for messages.

    Yields:
        What they return, as they end.

    Raises:
        PresetError: If one cannot be sent to a process, or a process dies.
    """
    delayed, done = [joblib.delayed(_alone)(call) for call in calls], 0
    try:
        for found in joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)(delayed):
            done += 1
            yield found
    except PicklingError as error:
        raise PresetError(
            f"The preset cannot be sent to another process: {error} Take jobs=1."
        ) from error
    except BrokenProcessPool as error:
        raise PresetError(
            f"A process that ran one of the {what} died, with {done} of {len(calls)} done; "
            f"most often the memory was not enough. Take fewer jobs than {jobs}."
        ) from error


def _alone(call: Callable[[], _T]) -> _T:
    share_machine()
    return call()
