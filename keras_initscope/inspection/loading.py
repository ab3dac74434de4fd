"""Models and data from files, for the command line.

Owns what a file may be: nothing that is loaded here runs code, unless it is asked for.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_initscope import graph
from keras_initscope.batches import examples_of
from keras_initscope.callbacks.watch import steps_taken
from keras_initscope.inspection.refusal import InspectionError

_FREE = 32  # rows and columns where a model takes images of any size


def load_model(path: str | Path, *, unsafe: bool = False, compiled: bool = True) -> Any:
    """Load a model that `model.save` has written.

    Args:
        path: A `.keras` file.
        unsafe: Whether to run Python code out of the file, which `Lambda` layers hold.
        compiled: Whether to load the loss it was compiled with.

    Returns:
        The model.

    Raises:
        InspectionError: If it cannot be loaded.
    """
    file = _checked(path, ".keras", "a model, as `model.save` writes it")
    if not _is_archive(file):
        raise InspectionError(
            f"The model in {str(file)!r} cannot be loaded: it is not a Keras archive, or only a "
            "part of one. Expected a zip file with `config.json` in it, as `model.save` writes "
            "it. Save or copy it again."
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*loading for optimizer")  # a look has no use for it
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict")  # nor here
            return keras.models.load_model(file, safe_mode=not unsafe, compile=compiled)
    except Exception as error:  # whatever a broken file or a layer of the user's may raise
        lines = str(error).strip().splitlines() or [""]
        hint = (
            "Layers and losses of your own must be known to Keras: load the model in Python and "
            "call `keras_initscope.inspect`."
        )
        if "lambda" in str(error).lower() and not unsafe:
            hint = "If you trust the file, --unsafe lets it run the Python code that it holds."
        raise InspectionError(
            f"The model in {str(file)!r} cannot be loaded: {lines[0]} {hint}"
        ) from error


def steps_in(path: str | Path, *, unsafe: bool = False) -> int:
    """Training steps that the model in a file has taken, as far as its optimizer can be loaded."""
    try:
        return steps_taken(load_model(path, unsafe=unsafe))
    except InspectionError:
        return 0


def load_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Load the arrays of a file that `numpy.savez` has written; pickled objects are refused.

    Args:
        path: A `.npz` file.

    Returns:
        Name to array.

    Raises:
        InspectionError: If it cannot be loaded.
    """
    file = _checked(
        path, ".npz", "arrays, as `numpy.savez(file, x=..., y=...)` writes them, or digits"
    )
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InspectionError(
            f"The data in {str(file)!r} cannot be loaded: {error}. Expected arrays of numbers, as "
            "`numpy.savez(file, x=..., y=...)` writes them."
        ) from error


def inputs_from(model: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The array `x`, or one array for each input of a model by its name.

    Raises:
        InspectionError: If there is neither.
    """
    namings = graph.input_names(model)
    several = bool(namings) and len(namings[0]) > 1
    if "x" in arrays and not several:  # an only input may bear the name of the targets
        return arrays["x"]
    for names in namings:
        if set(names) <= set(arrays):
            return {name: arrays[name] for name in names}
    if "x" in arrays:
        return arrays["x"]
    others = f", or one array for each input: {namings[0]}" if several else ""
    raise InspectionError(
        f"Expected the data to hold an array `x`{others}. Received: {sorted(arrays)}."
    )


def suited_images(model: Any, images: NDArray[Any]) -> NDArray[Any]:
    """Square grey images in the form that a model takes.

    Args:
        model: A model with one input.
        images: `(examples, pixels)` array.

    Returns:
        The images flat, as rows and columns, or with channels and as large as need be.

    Raises:
        InspectionError: If the model takes no images.
    """
    operations = graph.operations(model)
    shapes = [tuple(tensor.shape[1:]) for tensor in operations.inputs] if operations else []
    side = int(images.shape[1] ** 0.5)
    if len(shapes) != 1 or not _is_image(shapes[0], images.shape[1]):
        raise InspectionError(
            f"The images of {side} x {side} grey pixels do not suit the model {model.name!r}. "
            f"Expected one input of shape ({images.shape[1]},), (rows, columns) or (rows, columns, "
            f"1 or 3). Received a model with inputs of shape: {shapes or 'unknown'}. Give data "
            "of your own: --data FILE.npz"
        )
    shape = shapes[0]
    if len(shape) == 1:
        return images
    rows, columns = (side_ or _FREE for side_ in shape[:2])
    channels = shape[2] if len(shape) == 3 else 1
    chosen = images[: examples_of(len(images), rows * columns * channels)]
    square = chosen.reshape(-1, side, side, 1)
    if (rows, columns) != (side, side):
        square = keras.ops.convert_to_numpy(keras.ops.image.resize(square, (rows, columns)))
    found = np.repeat(square, channels, axis=-1)
    return found if len(shape) == 3 else found[..., 0]


def suited_labels(model: Any, labels: NDArray[Any], loss: str | None) -> NDArray[Any]:
    """Class numbers as the loss of a model takes them: numbers, or one-hot vectors.

    Args:
        model: A model with one output.
        labels: `(examples,)` integers.
        loss: Name of the loss; that of the model if `None`.

    Returns:
        The labels.

    Raises:
        InspectionError: If the model does not have one output a class.
    """
    classes = int(labels.max()) + 1
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or not shape or shape[-1] != classes:
        raise InspectionError(
            f"There are {classes} classes, and the output of the model {model.name!r} has shape "
            f"{shape}. Expected (any, {classes}). Give data of your own: --data FILE.npz"
        )
    named = loss or getattr(model.loss, "name", model.loss)
    if "sparse" in str(named).lower():
        return labels
    return np.eye(classes, dtype="float32")[labels]


def _checked(path: str | Path, suffix: str, meaning: str) -> Path:
    file = Path(path)
    if file.suffix != suffix:
        raise InspectionError(f"Expected a {suffix} file: {meaning}. Received: {str(path)!r}.")
    if not file.is_file():
        raise InspectionError(f"There is no file {str(path)!r}. Expected {meaning}.")
    return file


def _is_archive(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return "config.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _is_image(shape: tuple[int | None, ...], pixels: int) -> bool:
    if len(shape) == 1:
        return shape[0] in (None, pixels)
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
