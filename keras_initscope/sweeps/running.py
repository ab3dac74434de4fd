"""`sweep`: a function run over many settings, on all cores or a cluster, and never twice.

Owns the course of a sweep: what is run, kept and told.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import keras

from keras_initscope.sweeps.cells import (
    Cell,
    Plain,
    SweepError,
    checked_cells,
    checked_entries,
    line_of,
)
from keras_initscope.sweeps.hparams import HParams
from keras_initscope.sweeps.identity import Identity, fingerprint, name_of, versions
from keras_initscope.sweeps.result import SweepResult, rows_of
from keras_initscope.sweeps.store import Outcome, Store
from keras_initscope.sweeps.workers import Grouped, run_all, run_groups

Progress = Callable[[str], None]

_LOGGER = logging.getLogger("keras_initscope.sweeps")


def sweep(
    function: Callable[..., Mapping[str, Plain]],
    cells: Iterable[Cell],
    log_dir: str | Path | None = None,
    jobs: int | None = -1,
    progress: Progress | None = None,
    depends_on: Cell | None = None,
) -> SweepResult:
    """Run a function over many settings, on all cores, and go on where an earlier start stopped.

    Use it for any comparison that takes minutes or more. Each cell is one call
    `function(**cell)`. Cells run in processes of their own by way of joblib, and so without a
    change on a cluster: `with joblib.parallel_config(backend="dask"): sweep(...)`, or `"ray"`.
    Start Dask's workers with one thread each. A worker leaves TensorFlow the threads that
    `OMP_NUM_THREADS` leaves all others, which joblib, Dask and Ray set to its share.

    With a `log_dir` each result is on the disk as soon as it is there; this process writes it, so
    workers need no disk in common. (A backend of joblib that gives results only at the end, as that
    of Ray, gets as many cells at a time as there are workers.) A second start with the same
    `log_dir` runs what is missing and what failed. So that no old result passes for a new one, the
    directory belongs to the function: its code with the globals, defaults and variables that it
    uses, and all code of your own that it calls, in the modules beside your script as well;
    `depends_on`; and the versions of Python, NumPy, Keras and this package. `sweep.json` says what
    they were. Not seen is a change of other installed packages, of files that the function reads,
    or of a module that it imports by a name made up as it runs: name such in `depends_on`.

    `tensorboard --logdir LOG_DIR` shows settings and numbers on its page HParams. Texts and numbers
    that are not finite are left out there, and its parallel coordinates leave out a cell that lacks
    a number.

    Args:
        function: Takes the values of a cell as keyword arguments, and returns a mapping of names to
            texts, numbers or truth values. Anything that cloudpickle takes, lambdas included. It is
            to draw at random from a seed in the cell alone.
        cells: Mappings of names to texts, numbers or truth values, all with the same names.
        log_dir: Directory for the results; `None` keeps none. Its `table.csv` holds the cells of
            this call alone; what an earlier one has finished beside them stays in `cells/`.
        jobs: How many cells at once, as `n_jobs` of joblib: -1 for as many as there are cores (or
            workers of a cluster), 1 for none but this process, `None` for what
            `joblib.parallel_config` says.
        progress: Called with a line for each finished cell. `None` logs it at level INFO to the
            logger `"keras_initscope.sweeps"`, and shows the progress bar of `fit` over the cells;
            `lambda line: None` shows nothing.
        depends_on: What else the results depend on, such as the version of a data set: a mapping
            of names to texts, numbers or truth values.

    Returns:
        The table. A cell that raised, or returned something else, has its `error` there.

    Raises:
        SweepError: If the cells are not plain, `log_dir` cannot be written, holds another sweep or
            a `table.csv` of none, or joblib is not installed.
        KeyboardInterrupt: When it is interrupted; what is finished is kept.

    Example:

    ```python
    import numpy as np
    from keras_initscope.sweeps import sweep

    def signal_left(gain, depth, seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=100)
        for _ in range(depth):
            x = np.tanh(rng.normal(scale=gain / 10, size=(100, 100)) @ x)
        return {"mean_square": np.mean(x**2)}

    cells = [{"gain": gain, "depth": 50, "seed": 0} for gain in (0.8, 1.0, 1.5)]
    result = sweep(signal_left, cells, log_dir="runs/gains", jobs=1)
    assert result.rows[0]["mean_square"] < 1e-6 < 0.1 < result.rows[2]["mean_square"]
    ```
    """
    more = _checked_dependence(depends_on)
    identity: dict[str, str] = {}
    if log_dir is not None:
        identity = {"function": name_of(function), "code": fingerprint(function), **more}
    return run(function, cells, identity, log_dir, jobs, progress)


def run(
    function: Callable[..., Mapping[str, Plain]],
    cells: Iterable[Cell],
    identity: Identity,
    log_dir: str | Path | None,
    jobs: int | None,
    progress: Progress | None,
    meaning: Callable[[Cell], Identity] = lambda cell: {},
) -> SweepResult:
    """As `sweep`, with what identifies it, and what a cell's values stand for, already known."""
    if jobs is not None and (type(jobs) is not int or jobs == 0):
        raise SweepError(
            f"`jobs` must be a number of processes, -1 for all cores or None. Received: {jobs!r}."
        )
    if not callable(function):
        raise SweepError(
            f"A sweep needs a function to call for each cell. Received: {function!r} (of type "
            f"{type(function).__name__})."
        )
    checked = checked_cells(cells)
    tell = progress or _LOGGER.info
    bar = None if progress else keras.utils.Progbar(len(checked), unit_name="cell")
    if log_dir is None:
        outcomes = _Course(checked, {}, tell, bar).run(function, jobs)
        return SweepResult(settings=tuple(checked[0]), rows=rows_of(checked, outcomes))
    store = Store(log_dir, {**identity, **versions()}, tell, meaning)
    page = HParams(store.folder, checked)
    course = _Course(checked, store.finished(checked), tell, bar)

    def keep(cell: Cell, outcome: Outcome) -> None:
        store.write(cell, outcome)  # first, so that no page of TensorBoard's can lose it
        page.write(cell, outcome)

    for outcome in course.known.values():
        page.describe(outcome.result)
    rows = rows_of(checked, course.run(function, jobs, keep))
    files = (store.write_table(rows), store.folder)
    return SweepResult(settings=tuple(checked[0]), rows=rows, files=files)


def _checked_dependence(depends_on: Any) -> dict[str, str]:
    """By names of their own, so that none is that of something which is seen anyway."""
    if not isinstance(depends_on, Mapping | None):
        raise SweepError(
            "`depends_on` must be a mapping of names to texts, numbers or truth values. Received: "
            f"{depends_on!r} (of type {type(depends_on).__name__}). Write it as "
            '{"data": "version 2"}.'
        )
    plain = checked_entries("`depends_on`", depends_on or {})
    return {f"depends_on {name}": repr(value) for name, value in plain.items()}


class _Course:
    """Runs what is not known yet, and tells of each cell.

    Args:
        cells: All cells.
        known: Number of each cell that is finished to its outcome.
        tell: Takes a line.
        bar: Of Keras, over all cells, or `None`.
    """

    def __init__(
        self,
        cells: tuple[dict[str, Plain], ...],
        known: dict[int, Outcome],
        tell: Progress,
        bar: Any,
    ) -> None:
        self.known = known
        self._cells = cells
        self._tell = tell
        self._bar = bar
        self._started = time.monotonic()
        self._before = len(known)

    def run(
        self,
        function: Callable[..., Any],
        jobs: int | None,
        keep: Callable[[Cell, Outcome], None] = lambda cell, outcome: None,
    ) -> list[Outcome]:
        """The outcomes of all cells, in their order."""
        if self._before:
            self._tell(f"{self._before} of {len(self._cells)} cells are finished already")
        self._show()
        try:
            if isinstance(function, Grouped):
                self._run_groups(function, jobs, keep)
            with closing(run_all(function, self._missing, jobs)) as coming:
                for number, outcome in coming:
                    self._note(number, outcome, keep)
        except BaseException as error:
            self._show(is_over=True)
            if isinstance(error, KeyboardInterrupt):
                self._tell(f"stopped: {len(self.known)} of {len(self._cells)} cells are finished")
            raise
        return [self.known[number] for number in range(len(self._cells))]

    @property
    def _missing(self) -> dict[int, dict[str, Plain]]:
        return {n: cell for n, cell in enumerate(self._cells) if n not in self.known}

    def _run_groups(
        self, function: Grouped, jobs: int | None, keep: Callable[[Cell, Outcome], None]
    ) -> None:
        with closing(run_groups(function, self._missing, jobs)) as coming:
            for answer in coming:
                for number, outcome in answer.outcomes.items():
                    self._note(number, outcome, keep)
                for reason, count in Counter(answer.left.values()).items():
                    self._tell(f"left to be run one by one: {count} of a group; {reason}")

    def _note(self, number: int, outcome: Outcome, keep: Callable[[Cell, Outcome], None]) -> None:
        keep(self._cells[number], outcome)
        self.known[number] = outcome
        self._tell(self._line(self._cells[number], outcome))
        self._show()

    def _show(self, is_over: bool | None = None) -> None:
        if self._bar is not None:
            failed = sum(bool(outcome.error) for outcome in self.known.values())
            values = [("failed", failed)] if failed else []
            self._bar.update(len(self.known), values, finalize=is_over)

    def _line(self, cell: Cell, outcome: Outcome) -> str:
        total, count = len(self._cells), len(self.known)
        came = f"FAILED: {outcome.error}" if outcome.error else line_of(outcome.result)
        place = f"{count:{len(str(total))}}/{total}"
        return f"{place}  {line_of(cell)}: {came}{self._left(total - count)}"

    def _left(self, missing: int) -> str:
        if not missing:
            return ""
        each = (time.monotonic() - self._started) / (len(self.known) - self._before)
        return f"; about {_duration(each * missing)} left"


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
