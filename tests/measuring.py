"""Statistics by their definitions, and ways to have them measured."""

import numpy as np
import pytest

from keras_initscope.measurement import packing
from keras_initscope.measurement.backends import tensorflow as backend
from keras_initscope.measurement.packing import Entry
from keras_initscope.records import Quantity


def measure(tensors, quantity=Quantity.ACTIVATION, slopes=(), **kwargs):
    """Statistics of one entry, by way of the graph and the packed array."""

    def look(tensors, slopes):
        entry = Entry(
            layer="a", quantity=quantity, depth=0, tensors=tensors, slopes=slopes, **kwargs
        )
        return packing.pack([entry], backend)

    (stats,) = _looked(look, tensors, list(slopes))
    return stats


def measure_stack(tensors, kind=Quantity.ACTIVATION):
    """Statistics of many entries, which are reduced together as far as their shapes allow."""

    def look(tensors):
        return packing.pack(
            [
                Entry(layer=f"a{depth}", quantity=kind, depth=depth, tensors=[tensor])
                for depth, tensor in enumerate(tensors)
            ],
            backend,
        )

    return _looked(look, tensors)


def _looked(look, *args):
    compiled = backend.Compiled(look)
    compiled.prepare(*args)
    arrays, layout = compiled(*args)
    packed = np.concatenate([backend.to_host(array) for array in arrays])
    return packing.unpack(packed, layout)


def reference(values):
    """The rows by their definitions, in float64, non-finite values left out."""
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    known = values[finite]
    masked = np.ma.masked_array(values, ~finite)
    centred = known - known.mean()
    variance = np.mean(centred**2)
    with np.errstate(invalid="ignore"):  # a constant has no shape
        skewness, kurtosis = np.mean(centred**3) / variance**1.5, np.mean(centred**4) / variance**2
    return {
        "mean": known.mean(),
        "variance": variance,
        "skewness": skewness,
        "kurtosis": kurtosis,
        "minimum": known.min(),
        "maximum": known.max(),
        "root_mean_square": np.sqrt(np.mean(known**2)),
        "zero_fraction": np.count_nonzero(values == 0) / values.size,
        "nonfinite_count": values.size - known.size,
        "signal": np.mean(masked.var(axis=0)),
        "constant": np.mean(masked.mean(axis=0) ** 2),
        "duplicate_fraction": duplicates(masked),
    }


def duplicates(masked):
    """The share of units with the mean and the variance of another one, constants left out."""
    units = masked.reshape(-1, masked.shape[-1])
    units = units / (np.ma.max(np.ma.abs(units)) or 1.0)  # so that squares of it are finite
    moments = np.stack([units.mean(axis=0).filled(0), units.var(axis=0).filled(0)])
    varied = moments[:, moments[1] > 0]
    near = np.isclose(varied[:, :, None], varied[:, None, :], rtol=1e-6, atol=0).all(axis=0)
    return np.count_nonzero(near.sum(axis=0) > 1) / moments.shape[1]


def assert_agree(found, expected, rel=1e-5):
    """Equal to a relative error; a mean and a skewness relative to the spread they stand for."""
    near = {"mean": expected.get("root_mean_square", 0.0), "skewness": 1.0}
    for name, value in expected.items():
        tolerance = rel * max(abs(value), near.get(name, 0.0))
        assert found[name] == pytest.approx(value, rel=0, abs=tolerance, nan_ok=True), name
