"""A sweep that is killed half way, or interrupted, goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

JOBS = Path(__file__).with_name("jobs.py")
SECONDS = 300  # until a test that hangs is given up


def started(folder, jobs):
    return subprocess.Popen(
        [sys.executable, str(JOBS), str(folder), str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, to be signalled as a terminal does
    )


def called(folder):
    path = folder / "called"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def wait_for(process, condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.05)


def stopped_half_way(folder, jobs, number_of_signal):
    """Names of the files that a sweep left that was stopped while its cell 3 waited."""
    process = started(folder, jobs)
    ready = 3 if jobs == 1 else 5
    try:
        wait_for(process, lambda: len(list((folder / "logs" / "cells").glob("*.json"))) == ready)
        wait_for(process, lambda: "3" in called(folder))
    finally:
        if number_of_signal == signal.SIGKILL:  # its workers too: one would wait in cell 3 for ever
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.send_signal(number_of_signal)
        output = process.communicate(timeout=SECONDS)[0]
    assert process.returncode != 0
    return sorted(path.name for path in (folder / "logs" / "cells").glob("*.json")), output


def goes_on(folder, jobs, kept):
    """Only what was missing is run, and what was there is not touched."""
    (folder / "called").unlink()
    (folder / "go").touch()
    before = {name: (folder / "logs" / "cells" / name).stat().st_mtime_ns for name in kept}
    process = started(folder, jobs)
    output = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0, output
    assert f"{len(kept)} of 6 cells are finished already" in output
    assert output.strip().endswith("[0, 1, 4, 9, 16, 25]")
    after = {name: (folder / "logs" / "cells" / name).stat().st_mtime_ns for name in kept}
    assert after == before
    assert sorted(called(folder)) == (["3", "4", "5"] if len(kept) == 3 else ["3"])


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number_of_signal", [signal.SIGKILL, signal.SIGINT])
def test_only_what_is_missing_runs_after_it(tmp_path, jobs, number_of_signal):
    kept, output = stopped_half_way(tmp_path, jobs, number_of_signal)
    assert len(kept) == (3 if jobs == 1 else 5)
    if number_of_signal == signal.SIGINT:
        assert f"stopped: {len(kept)} of 6 cells are finished" in output
    goes_on(tmp_path, jobs, kept)
