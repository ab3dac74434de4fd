"""A sweep in a process of its own, to be killed: `python jobs.py FOLDER JOBS`.

Its function notes each cell that it is called for, and waits in the third until it may go on.
"""

import signal
import sys
import time
from pathlib import Path

CELLS = [{"number": number} for number in range(6)]


def work(folder):
    def job(number):
        called = Path(folder) / "called"
        with called.open("a", encoding="utf-8") as file:
            file.write(f"{number} ")
        while number == 3 and not (Path(folder) / "go").exists():
            time.sleep(0.05)
        return {"square": number**2}

    return job


def tell(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell has it ignored, too
    from keras_initscope.sweeps import sweep

    folder, jobs = sys.argv[1], int(sys.argv[2])
    result = sweep(work(folder), CELLS, f"{folder}/logs", jobs, tell)
    tell(str([row["square"] for row in result.rows]))
