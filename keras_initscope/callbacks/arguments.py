"""What the monitor's arguments may be.

Owns their checks: each returns what the monitor works with, or raises and says what was received,
what was expected and what to do.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from keras_initscope.batches import Batch, BatchError, batch_of
from keras_initscope.callbacks.outputs import USUAL, WRITERS
from keras_initscope.graph import LayerNode
from keras_initscope.records import Finding, Quantity
from keras_initscope.text import did_you_mean

_RESPONSES = ("ignore", "warn", "stop")


def writable(log_dir: str | Path) -> str:
    """The directory as a string; raises while it is still early where it can never be written."""
    if not isinstance(log_dir, str | os.PathLike):
        raise TypeError(
            "Argument `log_dir` must be a path. Received: "
            f"log_dir={log_dir!r} (of type {type(log_dir).__name__})"
        )
    if not str(log_dir):
        raise ValueError("Argument `log_dir` must name a directory. Received: log_dir=''")
    if "://" in str(log_dir):
        raise ValueError(
            "Argument `log_dir` must be a directory of this machine; copy it to remote storage "
            f"afterwards. Received: log_dir={str(log_dir)!r}"
        )
    path = Path(log_dir).absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f"Argument `log_dir` must be a directory or the name of a new one. Received: "
            f"log_dir={str(log_dir)!r}, but {str(there)!r} is a file."
        )
    if not os.access(there, os.W_OK):
        raise PermissionError(
            f"Argument `log_dir` must be writable. Received: log_dir={str(log_dir)!r}, but "
            f"nothing may be written in {str(there)!r}."
        )
    return str(path)  # wherever the process may go meanwhile


def checked_frequency(update_freq: str | int) -> str | int:
    """`"auto"`, `"epoch"` or a positive number of steps."""
    if isinstance(update_freq, str) and update_freq in ("auto", "epoch"):
        return update_freq
    is_whole = isinstance(update_freq, Integral) and not isinstance(update_freq, bool)
    if is_whole and int(update_freq) > 0:
        return int(update_freq)
    raise ValueError(
        'Argument `update_freq` must be "auto", "epoch" or a positive number of training steps. '
        f"Received: update_freq={update_freq!r}"
    )


def checked_quantities(quantities: str | Iterable[str]) -> frozenset[Quantity]:
    """The quantities that are named."""
    names = [str(quantity) for quantity in Quantity]
    if quantities == "all":
        return frozenset(Quantity)
    chosen = _as_list(quantities)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise ValueError(
            f'Argument `quantities` must be "all" or some of {names}. Received: '
            f"quantities={quantities!r}"
        )
    return frozenset(Quantity(name) for name in chosen)


def _as_list(names: Any) -> list[Any]:
    return list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]


def checked_outputs(outputs: str | Iterable[str]) -> tuple[str, ...]:
    """The names of the outputs, in the order in which they are written."""
    if outputs == "all":
        return USUAL
    chosen = _as_list(outputs)
    if any(name not in WRITERS for name in chosen):
        raise ValueError(
            f'Argument `outputs` must be "all" or some of {list(WRITERS)}; none of them keeps the '
            f"snapshots in `history` alone. Received: outputs={outputs!r}"
        )
    return tuple(name for name in WRITERS if name in chosen)


def checked_layers(
    layers: str | re.Pattern[str] | Callable[[Any], bool] | None,
) -> Callable[[LayerNode], bool]:
    """Whether a node is to be measured."""
    if layers is None:
        return lambda node: True
    if callable(layers):
        return lambda node: bool(layers(node.layer))
    if isinstance(layers, str | re.Pattern):
        try:
            pattern = re.compile(layers)
        except re.error as error:
            raise ValueError(
                f"Argument `layers` is no regular expression: {error}. Received: layers={layers!r}"
            ) from error
        return lambda node: pattern.search(node.path) is not None
    raise ValueError(
        "Argument `layers` must be a regular expression, a function of a layer or None. Received: "
        f"layers={layers!r} (of type {type(layers).__name__})"
    )


def checked_probe(probe: Any) -> Batch | None:
    """The batch of examples to look at each time."""
    if probe is None:
        return None
    is_pair = isinstance(probe, tuple) and len(probe) == 2
    x, y = probe if is_pair else (probe, None)
    try:
        return batch_of(x, y)
    except BatchError as error:
        raise ValueError(
            "Argument `probe` must be a pair `(x, y)` of arrays, or a dataset of which the first "
            f"batch counts. {error}"
        ) from error


def checked_overhead(max_overhead: float) -> float:
    """A positive share."""
    is_number = isinstance(max_overhead, Real) and not isinstance(max_overhead, bool)
    if not (is_number and 0.0 < max_overhead < float("inf")):
        raise ValueError(
            "Argument `max_overhead` must be a positive share of the training time, such as 0.01. "
            f"Received: max_overhead={max_overhead!r}"
        )
    return float(max_overhead)


def checked_response(
    on_finding: str | Callable[[Finding], object],
) -> str | Callable[[Finding], object]:
    """What to do about a finding: a word, or a function that takes one."""
    if callable(on_finding):
        if _takes_one(on_finding):
            return on_finding
        reason = "The function must take one argument, the finding."
    elif isinstance(on_finding, str) and on_finding in _RESPONSES:
        return on_finding
    else:
        reason = did_you_mean(on_finding, _RESPONSES).strip()
    raise ValueError(
        'Argument `on_finding` must be "ignore", "warn", "stop" or a function of a '
        f"`keras_initscope.records.Finding`. Received: on_finding={on_finding!r} {reason}".rstrip()
    )


def _takes_one(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # some that are built in tell of no signature
        return True
    return True
