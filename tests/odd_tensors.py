"""Tensors that spoil histograms, each with what must be seen of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from keras import ops
from measuring import measure

from keras_initscope.records import Quantity

SIZE = 4_096


@dataclass
class Odd:
    """A tensor as the model has it, and whether its values lie decades apart."""

    values: np.ndarray
    dtype: str = "float32"
    is_spread: bool = False

    @property
    def finite(self):
        return int(np.isfinite(self.values).sum())

    @cached_property
    def measured(self):
        """Statistics and histogram, by way of the graph, as a gradient."""
        return measure([ops.array(self.values, self.dtype)], Quantity.KERNEL_GRADIENT)


def _draw(seed=0):
    return np.random.default_rng(seed)


def _spoilt(*values):
    normal = _draw().normal(size=SIZE).astype(np.float32)
    normal[: len(values)] = values
    return normal


ODD = {
    "a NaN among them": Odd(_spoilt(np.nan)),
    "infinities among them": Odd(_spoilt(np.inf, -np.inf, np.inf)),
    "an outlier": Odd(_spoilt(1e6), is_spread=True),
    "Student t": Odd(_draw().standard_t(1.5, size=SIZE) * 1e-5, is_spread=True),
    "lognormal": Odd(_draw().lognormal(sigma=3.0, size=SIZE), is_spread=True),
    "ones": Odd(np.ones(SIZE)),
    "zeros": Odd(np.zeros(SIZE)),
    "denormals": Odd(2.0**-149 * _draw().integers(1, 2**20, size=SIZE)),
    "the greatest floats": Odd(
        np.repeat(np.finfo(np.float32).max * np.float32([-1, 1]), SIZE // 2)
    ),
    "nothing": Odd(np.zeros(0)),
    "NaN alone": Odd(np.full(SIZE, np.nan)),
    "infinity alone": Odd(np.full(SIZE, -np.inf)),
    "whole numbers": Odd(_draw().poisson(3.0, size=SIZE)),
    "integers": Odd(_draw().integers(-50, 50, size=SIZE), dtype="int32"),
    "bfloat16": Odd(_draw().lognormal(sigma=3.0, size=SIZE), dtype="bfloat16", is_spread=True),
    "float16": Odd(_draw().normal(size=SIZE), dtype="float16"),
}


def assert_drawn(bins, logarithmic, odd):
    """What a dashboard gets, as `(k, 3)` arrays, holds every finite value and shows its spread."""
    bins, logarithmic = np.reshape(bins, (-1, 3)), np.reshape(logarithmic, (-1, 3))
    for table in (bins, logarithmic):
        assert np.isfinite(table).all()
        assert (table[:, 0] <= table[:, 1]).all()
        assert (table[:, 2] >= 0).all()
    assert bins[:, 2].sum() == np.float64(odd.finite)
    assert logarithmic[:, 2].sum() <= odd.finite
    if odd.is_spread:
        assert np.count_nonzero(logarithmic[:, 2] >= 1) >= 10
