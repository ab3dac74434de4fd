"""Cells run by worker processes, on this machine or a cluster, by way of joblib.

Owns what happens in a worker, and the order in which results come back. Writes no file.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from pickle import PicklingError
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from keras_initscope.sweeps.cells import Cell, SweepError, checked_result, words_of
from keras_initscope.sweeps.store import Outcome

_DIED = (
    "its worker process died; most often the memory was not enough (fewer jobs at once need less), "
    "or native code crashed"
)


class Answer(Protocol):
    """What came of cells that were tried together."""

    @property
    def outcomes(self) -> Mapping[int, Outcome]:
        """Of those that were run."""

    @property
    def left(self) -> Mapping[int, str]:
        """Why each of the others was not."""


@runtime_checkable
class Grouped(Protocol):
    """A function of one cell that can also run some cells together."""

    def groups(self, cells: Mapping[int, Cell], workers: int) -> list[dict[int, Cell]]:
        """Which to try together."""

    def together(self, cells: Mapping[int, Cell]) -> Answer:
        """What came of those."""


def run_groups(
    function: Grouped, cells: Mapping[int, Cell], jobs: int | None
) -> Generator[Answer, None, None]:
    """Run cells in groups, and give what came of each group as it is finished.

    Where this ends early, for a worker died or the function cannot be sent, the rest is left to
    `run_all`, which finds out whose fault it was.
    """
    joblib = _joblib()
    groups = function.groups(cells, joblib.effective_n_jobs(jobs))
    home = _place()
    calls = [joblib.delayed(_run_group)(function, group, home) for group in groups]
    with suppress(BrokenProcessPool, PicklingError):
        yield from _sent(joblib, calls, jobs)


def run_all(
    function: Callable[..., Any], cells: Mapping[int, Cell], jobs: int | None
) -> Generator[tuple[int, Outcome], None, None]:
    """Run cells, and give the number and outcome of each as it is finished, in any order.

    When a worker dies, joblib loses all cells under way and does not tell whose fault it was. They
    are run again one by one: the culprit fails alone.

    Args:
        function: Called with the values of a cell as keyword arguments.
        cells: The cells by number.
        jobs: How many at once, as `n_jobs` of joblib.

    Yields:
        Number and outcome.

    Raises:
        SweepError: If joblib is not there, or the function cannot be sent to a worker.
    """
    joblib = _joblib()
    waiting = dict(cells)
    suspects = 0
    home = _place()
    while waiting:
        chosen = dict(islice(waiting.items(), 1 if suspects else None))
        try:
            calls = [joblib.delayed(_run)(n, function, cell, home) for n, cell in chosen.items()]
            for number, outcome in _sent(joblib, calls, jobs):
                del waiting[number]
                yield number, outcome
            suspects = max(0, suspects - 1)
        except PicklingError as error:
            raise SweepError(
                f"The function cannot be sent to a worker process: {error} Make what cannot be "
                "pickled within the function, or take jobs=1."
            ) from error
        except BrokenProcessPool:
            if len(chosen) > 1:
                suspects = 3 * joblib.effective_n_jobs(jobs)  # under way, or on their way
                continue
            suspects = 0
            (number,) = chosen
            del waiting[number]
            yield number, Outcome(result={}, error=_DIED)


def _sent(joblib: ModuleType, calls: list[Any], jobs: int | None) -> Iterator[Any]:
    if not calls:
        return
    try:
        parallel = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
    except ValueError:  # multiprocessing and Ray give everything at the end
        yield from _in_rounds(joblib, calls, jobs)
        return
    yield from parallel(calls)


def _in_rounds(joblib: ModuleType, calls: list[Any], jobs: int | None) -> Iterator[Any]:
    """As many at a time as there are workers, so that a sweep that is killed loses one round."""
    size = max(1, joblib.effective_n_jobs(jobs))
    with joblib.Parallel(jobs, batch_size=1) as parallel:
        for start in range(0, len(calls), size):
            yield from parallel(calls[start : start + size])


def _run(
    number: int, function: Callable[..., Any], cell: Cell, home: tuple[str, int]
) -> tuple[int, Outcome]:
    """In the worker: the function's outcome, whatever it raises."""
    if _place() != home:
        share_machine()
    started = time.perf_counter()
    try:
        outcome = Outcome(
            result=checked_result(function(**cell), cell), seconds=time.perf_counter() - started
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the function is the user's and may raise anything: SystemExit
        outcome = Outcome(
            result={},
            error=_one_line(error),
            traceback=traceback.format_exc(),
            seconds=time.perf_counter() - started,
        )
    return number, outcome


def _run_group(function: Grouped, cells: Mapping[int, Cell], home: tuple[str, int]) -> Answer:
    if _place() != home:
        share_machine()
    return function.together(cells)


def share_machine() -> None:
    """Leave TensorFlow the threads that joblib, Dask or Ray leave all others, and room on the GPU.

    TensorFlow reads these variables when it first computes.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", threads)
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", threads)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _place() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {words_of(error)}".split())


def _joblib() -> ModuleType:
    try:
        import joblib
    except ImportError as error:
        raise SweepError(
            "Sweeps need joblib, which is not installed: pip install 'keras-initscope[sweeps]'."
        ) from error
    found: ModuleType = joblib
    return found
