"""What of a comparison is refused before its first network, for each of them would fail.

Owns the checks that need no network: of the arguments of `build`, of the grid's values and of how
is trained. Names of initializers and activations are not checked, since `build` may know others
than Keras. Builds and trains nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from numbers import Integral, Real
from typing import Any

import keras

from keras_initscope.sweeps.cells import SweepError
from keras_initscope.sweeps.grid import Grid, Training
from keras_initscope.text import did_you_mean

_LARGEST_SEED = 2**32 - 1  # that of NumPy
_NOT_FOR_BUILD = ("learning_rate", "seed")
_OF_EACH = ("loss", "train_loss", "findings", "signal_left", "gradient_left")
_SHORT_METRICS = ("accuracy", "acc", "crossentropy", "ce")  # which depend on the targets


def check_setup(
    build: Callable[..., Any], grid: Grid, training: Training, given: Collection[str]
) -> None:
    """Refuse what no network of a comparison can be made or trained by.

    Args:
        build: Makes the networks.
        grid: What is varied; its names are known to fit `build`.
        training: How to train.
        given: Names of what varies.

    Raises:
        SweepError: If there is something, with the reason.
    """
    _check_arguments(build, [name for name in given if name not in _NOT_FOR_BUILD])
    for rate in grid.learning_rates:
        if not _is_number(rate, Real) or not 0 <= rate < inf:
            raise SweepError(
                f"Learning rates must be finite numbers of at least 0. Received: {rate!r}."
            )
    for seed in grid.seeds:
        if not _is_number(seed, Integral) or not 0 <= seed <= _LARGEST_SEED:
            raise SweepError(
                f"Seeds must be integers from 0 to {_LARGEST_SEED}. Received: {seed!r}."
            )
    if isinstance(grid.initializers, Mapping):
        _check_makers(grid.initializers)
    _check_optimizer(training.optimizer)
    _check_known("loss", keras.losses.get, training.loss)
    _check_metrics(training.metrics)
    _check_objective(training)


def _check_arguments(build: Callable[..., Any], varied: Collection[str]) -> None:
    lacking = [
        name
        for name, each in inspect.signature(build).parameters.items()
        if each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        and (name not in varied or each.kind is each.POSITIONAL_ONLY)
    ]
    if lacking:
        raise SweepError(
            f"`build` needs {lacking}, which the grid does not give by name. Received: a grid of "
            f"{list(varied)}. Give them a default, or values in `Grid(others=...)`."
        )


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_makers(makers: Mapping[str, Any]) -> None:
    for name, make in makers.items():
        if not callable(make) or isinstance(make, keras.initializers.Initializer):
            raise SweepError(
                "Names of your own must stand for functions that make an initializer from a seed. "
                f"Received: {make!r} (of type {type(make).__name__}) for {name!r}. Write it as "
                "`lambda seed: keras.initializers.HeNormal(seed=seed)`, so that each network draws "
                "by its own seed."
            )


def _check_optimizer(optimizer: Any) -> None:
    if isinstance(optimizer, str):
        try:
            keras.optimizers.get(optimizer)
        except ValueError as error:
            known = [name.lower() for name in dir(keras.optimizers) if name[0].isupper()]
            raise SweepError(
                "The optimizer must be one that Keras knows by its name. Received: "
                f"{optimizer!r}. {did_you_mean(optimizer, known)}"
            ) from error
    elif not callable(optimizer):
        raise SweepError(
            "The optimizer must be a name of Keras', or a function that makes one from a learning "
            f"rate. Received: {optimizer!r} (of type {type(optimizer).__name__}). Write it as "
            "`lambda rate: keras.optimizers.SGD(rate, momentum=0.9)`, so that each network has one "
            "of its own."
        )


def _check_metrics(metrics: Any) -> None:
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise SweepError(
            f"Metrics must be in a tuple or list. Received: {metrics!r}. Write ({metrics!r},)."
        )
    _check_known("metric", keras.metrics.get, [m for m in metrics if m not in _SHORT_METRICS])


def _check_known(what: str, get: Callable[[str], Any], given: Any) -> None:
    for name in keras.tree.flatten(given):
        if isinstance(name, str):
            try:
                get(name)
            except ValueError as error:
                raise SweepError(
                    f"Each {what} must be one that Keras knows by its name, an object or a "
                    f"function. Received: {name!r}."
                ) from error


def _check_objective(training: Training) -> None:
    """Names of a model's own metrics, and of the losses of several outputs, are not known yet."""
    name, is_known = training.objective, training.loss is not None and not training.metrics
    if is_known and name not in _OF_EACH and not str(name).endswith("_loss"):
        raise SweepError(
            f"The objective must be a column of the table. Received: {name!r}, and a training "
            f"without metrics, which has {list(_OF_EACH[: 5 if training.look else 2])}. Name the "
            f"metric in `Training(metrics=...)` as well."
        )
