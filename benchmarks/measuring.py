"""Measuring: medians over interleaved repeats, peak memory, processes of their own, the table.

Run as a module it is such a process: `python -m benchmarks.measuring MODULE FUNCTION ARGUMENTS`
prints what the function returns, as JSON.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the report.

    Args:
        what: What was measured.
        result: What came out, with its unit.
        target: What was hoped for, where there is a target.
    """

    what: str
    result: str
    target: str = ""


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | target |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.result} | {row.target} |" for row in rows]
    return "\n".join(lines)


def say(text: str) -> None:
    """Show that something goes on, beside the results."""
    print(f"... {text}", file=sys.stderr, flush=True)


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def interleaved(cases: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each case; in every round each runs once, so that all share the weather."""
    for function in cases.values():
        function()  # tracing, caches, memory pools
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, function in cases.items():
            gc.collect()
            times[name].append(seconds(function))
    return {name: median(found) for name, found in times.items()}


def peak_growth(function: Callable[[], Any]) -> int:
    """Bytes by which this process's peak memory exceeds what it held before the call."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the pool has kept would be used first, and hide it
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _memory("VmRSS")
    function()
    return max(0, _memory("VmHWM") - before)


def peak() -> int:
    """Greatest memory that this process ever held, in bytes."""
    return _memory("VmHWM")


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"This system does not tell {field}; measuring memory needs Linux.")


def alone(function: Callable[..., Any], *args: object) -> Any:
    """Call a module's function in a process of its own.

    Args:
        function: A function of a module, that returns what JSON can hold.
        *args: Its arguments: strings and numbers.

    Returns:
        What it returned.
    """
    command = [sys.executable, "-m", "benchmarks.measuring", function.__module__]
    command += [function.__name__, json.dumps(args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{function.__name__}{args} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Be the process of its own."""
    module, name, args = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module), name)(*json.loads(args))))


if __name__ == "__main__":
    main()
