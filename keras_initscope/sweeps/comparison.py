"""`compare`: a user's own network from different initializers, activations, depths and rates.

Owns what a comparison gives back: which setting is best over all its seeds.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any
from uuid import uuid4

from keras_initscope.sweeps.cells import ERROR, Cell, Plain, SweepError
from keras_initscope.sweeps.data import Data, parts_of
from keras_initscope.sweeps.grid import Grid, Training
from keras_initscope.sweeps.identity import Identity, fingerprint, name_of
from keras_initscope.sweeps.refusals import check_setup
from keras_initscope.sweeps.result import Row, SweepResult, errors_text, rows_text
from keras_initscope.sweeps.running import Progress, run
from keras_initscope.sweeps.together import Together
from keras_initscope.sweeps.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison(SweepResult):
    """The table of a comparison; `print(comparison)` shows the settings, the best one first.

    Args:
        settings: Names of the columns that make a network, the seed last.
        rows: One a network, in the order of the grid: its settings; loss and metrics on the
            examples to judge by; `train_loss`, the mean over the last epoch; and, unless that was
            not asked for, of the untrained network the codes of its `findings` (`initscope rules`
            explains them), `signal_left`, the mean square of the last hidden layer's activation
            relative to that of the first, and `gradient_left`, the mean square of the gradient at
            the first layer relative to that of the last hidden one. `error` says why one failed.
        files: Files written.
        objective: Name of the column by which settings are ranked.
        goal: `"min"` or `"max"`.
    """

    objective: str = "loss"
    goal: str = "min"

    @property
    def ranked(self) -> tuple[Row, ...]:
        """One row a setting, best first: means over its seeds, and the worst of the objective.

        `seeds` says how many of its networks finished. Settings of which some failed, or have an
        objective that is not finite, come last.
        """
        groups: dict[tuple[Plain | None, ...], list[Row]] = {}
        names = [name for name in self.settings if name != "seed"]
        for row in self.rows:
            groups.setdefault(tuple(row[name] for name in names), []).append(row)
        rows = [self._mean(names, group) for group in groups.values()]
        return tuple(sorted(rows, key=self._rank))

    @property
    def best(self) -> Row | None:
        """The best setting, of those whose networks all finished; `None` where there is none."""
        found = self.ranked[0]
        return None if self._rank(found)[0] else found

    def __str__(self) -> str:
        words = [f"Ranked by {self.objective} ({self.goal}), mean over the seeds."]
        if self.best is None:
            words = [f"No setting has a finite {self.objective} for all seeds, to be ranked by."]
        columns = [name for name in self.rows[0] if name not in {*self.settings, ERROR}]
        if columns and self.objective not in columns:
            words = [f"No column is named {self.objective!r}, to rank by. There are {columns}."]
        if self.failed:
            words.append(f"{len(self.failed)} of {len(self.rows)} networks failed.")
        return f"{rows_text(self.ranked)}\n\n{' '.join(words)}{errors_text(self.rows)}"

    def _mean(self, names: list[str], group: list[Row]) -> Row:
        done = [row for row in group if not row[ERROR]]
        results = [name for name in group[0] if name not in {*self.settings, ERROR}]
        objectives = sorted((row.get(self.objective) for row in done), key=self._badness)
        errors = [str(row[ERROR]) for row in group if row[ERROR]]
        spread = {f"worst_{self.objective}": objectives[-1] if objectives else None}
        return {
            **{name: group[0][name] for name in names},
            "seeds": len(done),
            **{name: _mean([row[name] for row in done]) for name in results},
            **(spread if len(group) > 1 else {}),
            ERROR: errors[0] if errors else "",
        }

    def _rank(self, row: Row) -> tuple[int, float]:
        badness = self._badness(row.get(self.objective))
        return (1, 0.0) if row[ERROR] or badness == inf else (0, badness)

    def _badness(self, value: Plain | None) -> float:
        """The lower the better; infinite for what is no number."""
        number = _number(value)
        if not isfinite(number):
            return inf
        return number if self.goal == "min" else -number


def compare(
    build: Callable[..., Any],
    data: Data,
    grid: Grid | None = None,
    training: Training | None = None,
    log_dir: str | Path | None = None,
    jobs: int | None = -1,
    progress: Progress | None = None,
) -> Comparison:
    """Train a network of your own from every combination of a grid, and see which trains best.

    Use it to choose initializer, activation, depth and learning rate by experiment, and to see
    beside each outcome what was wrong before the first step. Cells run on all cores or a cluster
    and are kept in `log_dir`, see `keras_initscope.sweeps.sweep`. Each seeds Keras by its own seed,
    in its own process, so that its result does not depend on the order nor on `jobs`, but for
    rounding: TensorFlow may add in another order with another number of threads.

    Args:
        build: Returns a new `keras.Model`, compiled or not. It must take, as keyword arguments,
            what the grid varies, and may take fewer than all: `initializer` (a name of Keras', or
            what the grid's function makes), `activation` (a name or function), `depth` (an
            integer) and whatever is in `Grid.others`. It should give each of its layers an
            initializer that is not seeded by a number of its own.
        data: `(x, y)`, or `((x, y), (test_x, test_y))` to be judged by other examples than those
            that are trained on, both in tuples; or a function that returns either, which each
            worker calls once. Each of them is an array, lists of numbers, or, where the network
            has several inputs or outputs, a list or dictionary of these.
        grid: What to vary; see `Grid` for the defaults.
        training: How to train; see `Training`.
        log_dir: Directory for results and TensorBoard's page HParams; `None` keeps none. A grid
            may grow there; where what a name of your own stands for has changed, the networks of
            that name are run again.
        jobs: How many networks at once: -1 for as many as there are cores.
        progress: Called with a line for each finished network. `None` shows a progress bar, and
            `lambda line: None` nothing.

    Returns:
        The table, which setting is best, and which networks failed.

    Raises:
        SweepError: If `build` does not take what is varied or needs more, the data is none, names
            or values of grid or training are none that a network can have, or `log_dir` holds
            another comparison or cannot be written.

    Example:

    ```python
    import keras
    import numpy as np
    from keras_initscope.sweeps import Grid, Training, compare

    def build(initializer, depth):
        hidden = [
            keras.layers.Dense(32, "relu", kernel_initializer=initializer) for _ in range(depth)
        ]
        return keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])

    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    result = compare(
        build,
        (x, x[:, :1] * x[:, 1:2]),
        Grid(initializers=("he_normal", "zeros"), depths=(4,), learning_rates=(0.05,)),
        Training(loss="mse", epochs=2),
        jobs=1,  # -1, the default, takes all cores
    )
    print(result)
    assert result.best["initializer"] == "he_normal"
    ```
    """
    grid, training = grid or Grid(), training or Training()
    cells = grid.cells(build)
    check_setup(build, grid, training, cells[0])
    if not callable(data):
        data = _as_pairs(data)
    _check_travelling(training)
    identity = {}
    if log_dir is not None:
        identity = {
            "build": f"{name_of(build)} {fingerprint(build)}",
            "data": fingerprint(data),
            "training": fingerprint(_what_counts(training)),
        }
    trial = Trial(build=build, data=data, key=uuid4().hex, grid=grid, training=training)
    function = Together(trial) if training.together else trial
    named = {} if log_dir is None else _named(grid)

    def meaning(cell: Cell) -> Identity:
        return {column: known[cell[column]] for column, known in named.items()}

    found = run(function, cells, identity, log_dir, jobs, progress, meaning)
    return Comparison(
        settings=found.settings,
        rows=found.rows,
        files=found.files,
        objective=training.objective,
        goal=training.goal,
    )


def _as_pairs(data: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    parts = parts_of(data)
    return (parts.x, parts.y), (parts.test_x, parts.test_y)


def _check_travelling(training: Training) -> None:
    """Keras 3.15 pickles a loss by its configuration, and that of `Huber` lacks its `delta`."""
    for part in (training.loss, *training.metrics):
        if callable(getattr(part, "get_config", None)):
            arrived = pickle.loads(pickle.dumps(part))
            if fingerprint(arrived) != fingerprint(part):
                raise SweepError(
                    f"Keras does not bring {part!r} to another process as it is: what arrives has "
                    "other settings. Give a function of true and predicted values that calls it."
                )


def _what_counts(training: Training) -> list[Any]:
    """What of it a result depends on: not how results are ranked, nor how many come at once."""
    names = ("loss", "metrics", "optimizer", "epochs", "steps", "batch_size", "look")
    return [getattr(training, name) for name in names]


def _named(grid: Grid) -> dict[str, dict[Plain, str]]:
    """Fingerprints of what names of the user's own stand for; others stand for themselves."""
    columns = {"initializer": grid.initializers, "activation": grid.activations}
    return {
        column: {name: fingerprint(value) for name, value in values.items()}
        for column, values in columns.items()
        if isinstance(values, Mapping)
    }


def _number(value: Plain | None) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _mean(values: Sequence[Plain | None]) -> Plain | None:
    """Of numbers their mean, of texts each once."""
    if not values:
        return None
    if any(isinstance(value, str) for value in values):
        return " / ".join(sorted({str(value) for value in values}))
    return sum(map(_number, values)) / len(values)
