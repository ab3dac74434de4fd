"""Snapshots as JSON lines, and back: a run that can be read again without TensorBoard.

Owns the file `snapshots.jsonl`: a line for the model at the start of each fit, then one a snapshot.
All is readable text but the histograms of a snapshot, which as text would be most of its bytes and
of its time: `histograms` is base64 of zlib of all bucket numbers, as little-endian uint16, and all
counts, as int64; `occupied` says how many of them are whose. In format 1 they were lists.
"""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_initscope.records import (
    Finding,
    Histogram,
    LayerInfo,
    ModelInfo,
    Quantity,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)

NAME = "snapshots.jsonl"
_FORMAT = 2
_LEVEL = 1  # of zlib: the next ones take twice as long for a twelfth of the bytes
_BUCKET, _COUNT = np.dtype("<u2"), np.dtype("<i8")


class JSONLinesWriter:
    """Appends to `<log_dir>/snapshots.jsonl`.

    Args:
        log_dir: Directory; made if it is not there.
        model: The watched model.
    """

    def __init__(self, log_dir: str, model: ModelInfo) -> None:
        directory = Path(log_dir)
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / NAME
        _end_last_line(self._path)
        self._file = self._path.open("a", encoding="utf-8")
        self._line({"format": _FORMAT, "model": asdict(model)})

    def write(
        self,
        snapshot: Snapshot,
        scalars: Mapping[str, float],
        findings: Sequence[Finding] | None = None,
    ) -> None:
        """Append one snapshot and the network's scalars, and flush."""
        content = {
            "step": snapshot.step,
            "origin": snapshot.origin,
            "info": strict(asdict(snapshot.info)),
            "scalars": strict(scalars),
            "stats": [_stats_to_json(stats) for stats in snapshot.stats],
            "histograms": _packed(stats.histogram for stats in snapshot.stats),
        }
        self._line(content | ({"unknown": dict(snapshot.unknown)} if snapshot.unknown else {}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _line(self, content: dict[str, Any]) -> None:
        if not self._path.exists():  # an open file takes lines also after its directory has gone
            raise FileNotFoundError(f"{str(self._path)!r} has been taken away.")
        self._file.write(json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")
        self._file.flush()


def _end_last_line(path: Path) -> None:
    """Make room for another line: finish the last one, or drop it where it was cut off."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
        file.seek(0)
        (tail,) = deque(file, maxlen=1)
        if _is_json(tail):
            file.write(b"\n")
        else:
            file.truncate(path.stat().st_size - len(tail))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def read_jsonlines(log_dir: str) -> tuple[ModelInfo | None, list[Snapshot]]:
    """Read back what was written to a log directory.

    A last line that was cut off, as by a killed process, is left out.

    Args:
        log_dir: The directory.

    Returns:
        The model as the last fit described it, `None` if none did, and the snapshots. A fit takes
        the place of what earlier ones wrote from its first step on, as in TensorBoard.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line before the last is no JSON, or any line is of another format.

    Example:

    ```python
    from keras_initscope.records import ModelInfo
    from keras_initscope.writers import JSONLinesWriter, read_jsonlines

    JSONLinesWriter("logs/run1", ModelInfo(name="mlp", layers=())).close()
    model, snapshots = read_jsonlines("logs/run1")
    assert (model.name, snapshots) == ("mlp", [])
    ```
    """
    model, is_new_fit = None, False
    snapshots: list[Snapshot] = []
    for content in _records(Path(log_dir) / NAME):
        if isinstance(content, ModelInfo):
            model, is_new_fit = content, True
        else:
            snapshot = content
            if is_new_fit:
                snapshots = [kept for kept in snapshots if kept.step < snapshot.step]
            snapshots.append(snapshot)
            is_new_fit = False
    return model, snapshots


def _records(path: Path) -> Iterator[ModelInfo | Snapshot]:
    for number, content in enumerate(_lines(path), 1):
        try:
            if content.get("model") is not None:
                yield _model_from_json(content["model"])
            elif content.get("step") is not None:
                yield _snapshot_from_json(content)
        except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(
                f"Line {number} of {NAME} in {str(path.parent)!r} is of a format that this version "
                f"cannot read ({type(error).__name__}: {error})."
            ) from error


def _lines(path: Path) -> Iterator[Any]:
    """What each line says, but for a last one that was cut off."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            try:
                yield json.loads(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    return
                raise ValueError(
                    f"Line {number + 1} of {NAME} in {str(path.parent)!r} is no JSON."
                ) from error


def strict(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The same with NaN and infinities, which JSON does not know, as strings that `float` reads."""
    return {
        name: str(number) if isinstance(number, float) and not math.isfinite(number) else number
        for name, number in numbers.items()
    }


def _stats_to_json(stats: TensorStats) -> dict[str, Any]:
    tap, histogram = stats.tap, stats.histogram
    content: dict[str, Any] = {
        "layer": tap.layer,
        "quantity": str(tap.quantity),
        "depth": tap.depth,
        "size": tap.size,
        "part": tap.part,
        "values": strict(stats.values),
    }
    if histogram is not None:
        content["occupied"] = histogram.buckets.size
    return content


def _packed(histograms: Iterable[Histogram | None]) -> str:
    found = [histogram for histogram in histograms if histogram is not None]
    buckets = [histogram.buckets.astype(_BUCKET).tobytes() for histogram in found]
    counts = [histogram.counts.astype(_COUNT).tobytes() for histogram in found]
    return base64.b64encode(zlib.compress(b"".join(buckets + counts), _LEVEL)).decode()


def _unpacked(content: dict[str, Any]) -> Iterator[Histogram | None]:
    """The histogram of each tensor of a snapshot."""
    data = zlib.decompress(base64.b64decode(content["histograms"]))
    total = len(data) // (_BUCKET.itemsize + _COUNT.itemsize)
    buckets = np.frombuffer(data, _BUCKET, total).astype(np.int32)
    counts = np.frombuffer(data, _COUNT, offset=total * _BUCKET.itemsize).astype(np.int64)
    stop = 0
    for entry in content["stats"]:
        start, stop = stop, stop + entry.get("occupied", 0)
        histogram = Histogram(buckets=buckets[start:stop], counts=counts[start:stop])
        yield histogram if "occupied" in entry else None


def _listed(content: dict[str, Any]) -> Iterator[Histogram | None]:
    """The same in format 1."""
    for entry in content["stats"]:
        yield (
            Histogram(
                buckets=np.array(entry["buckets"], np.int32),
                counts=np.array(entry["counts"], np.int64),
            )
            if "buckets" in entry
            else None
        )


def _snapshot_from_json(content: dict[str, Any]) -> Snapshot:
    info = content["info"]
    histograms = _unpacked(content) if "histograms" in content else _listed(content)
    return Snapshot(
        step=content["step"],
        origin=content["origin"],
        info=StepInfo(
            loss=_number(info["loss"]),
            learning_rate=_number(info["learning_rate"]),
            time=info["time"],
            updates=info["updates"],
        ),
        stats=tuple(map(_stats_from_json, content["stats"], histograms)),
        unknown=content.get("unknown", {}),
    )


def _stats_from_json(content: dict[str, Any], histogram: Histogram | None) -> TensorStats:
    return TensorStats(
        tap=Tap(
            layer=content["layer"],
            quantity=Quantity(content["quantity"]),
            depth=content["depth"],
            size=content["size"],
            part=content["part"],
        ),
        values={name: float(value) for name, value in content["values"].items()},
        histogram=histogram,
    )


def _model_from_json(content: dict[str, Any]) -> ModelInfo:
    layers = tuple(
        LayerInfo(**{**layer, "parents": tuple(layer.get("parents", ()))})
        for layer in content["layers"]
    )
    ends = {name: tuple(content.get(name, ())) for name in ("inputs", "outputs")}
    return ModelInfo(**{**content, "layers": layers, **ends})


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
