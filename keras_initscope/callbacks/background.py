"""Work beside training: one job at a time, in a thread of its own.

Owns the thread. Knows nothing of what the jobs do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """Does jobs in the order in which they are handed over.

    It takes a job only when the one before is done, so that at most one is unfinished whenever the
    process dies. One that was taken is done even if nobody waits for it, as when training breaks
    off or the interpreter exits.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="VarianceMonitor")
        self._pending: Future[float] | None = None
        self._seconds = 0.0

    def submit(self, job: Callable[[], None]) -> None:
        """Take a job, after waiting for the one before.

        Raises:
            Exception: What the one before raised.
        """
        self.wait()
        self._pending = self._executor.submit(_timed, job)

    def wait(self) -> None:
        """Wait until all is done.

        Raises:
            Exception: What the job raised.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None  # a fault is told once
            self._seconds += pending.result()

    def spent(self) -> float:
        """Seconds of computing in jobs that are done and of which this has not told before."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def close(self) -> None:
        """Let the thread end when all is done; wait for it."""
        self._executor.shutdown()


def _timed(job: Callable[[], None]) -> float:
    started = time.thread_time()
    job()
    return time.thread_time() - started
