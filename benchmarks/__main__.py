"""Print what the monitor and `calibrate` cost, and how good predictions are, as a table.

`python -m benchmarks [--only fit histogram writing calibration ...] [--quick]`
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import keras
import tensorflow as tf

from benchmarks import (
    applications,
    calibration,
    diagnosis,
    fit,
    histogram,
    large,
    prediction,
    sweeps,
    writing,
)
from benchmarks.measuring import table

BENCHMARKS = {
    "writing": writing.run,
    "histogram": histogram.run,
    "fit": fit.run,
    "large": large.run,
    "calibration": calibration.run,
    "prediction": prediction.run,
    "applications": applications.run,
    "diagnosis": diagnosis.run,
    "sweeps": sweeps.run,
}


def main() -> None:
    """Run what was asked for and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    options = parser.parse_args()
    started = time.perf_counter()
    rows = [row for name in options.only for row in BENCHMARKS[name](options.quick)]
    print(table(rows))
    busy = os.getloadavg()[0]
    print(
        f"\nMedians over interleaved repeats, {time.perf_counter() - started:.0f} s in all. "
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}, {os.cpu_count()} processors, load {busy:.1f}."
    )


if __name__ == "__main__":
    main()
