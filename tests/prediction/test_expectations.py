"""Expectations over maps agree with theory, however many positions there are."""

import numpy as np
import pytest

from keras_initscope.prediction.expectations import of_gaussian, of_pair, over_rows
from keras_initscope.theory import moments
from keras_initscope.theory.nonlinearities import nonlinearity


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "hard_sigmoid"])
@pytest.mark.parametrize("slopes", [False, True])
def test_many_pairs_agree_with_single_ones(name, slopes):
    phi = nonlinearity(name)
    rng = np.random.default_rng(0)
    v = rng.uniform(0.5, 2, 12)
    c, m = v * rng.uniform(-0.9, 0.9, 12), rng.uniform(-0.5, 0.5, 12)
    exact = moments.slope_cross_moment if slopes else moments.cross_moment
    truth = [float(exact(phi, *row)) for row in zip(v, c, m, strict=True)]
    assert np.allclose(of_pair(phi, v, c, m, slopes=slopes), truth, rtol=0.01, atol=2e-3)


def test_a_large_map_is_as_exact_as_three_digits():
    phi, v = nonlinearity("tanh"), np.linspace(0.5, 1.5, 400).reshape(20, 20)
    found = of_gaussian("square", phi, v, np.zeros((1, 1)))
    assert np.allclose(found, moments.second_moment(phi, v), rtol=2e-3)


def test_what_is_not_known_stays_so():
    found = over_rows(lambda x, y: x + y, np.array([1.0, np.nan]), np.array([2.0, 2.0]))
    assert found[0] == 3.0
    assert np.isnan(found[1])
