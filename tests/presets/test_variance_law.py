"""The scatter of variance-law is that of a product of chi squares, and its claims can fail."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import chi2

from keras_initscope import presets
from keras_initscope.presets import variance_law as module


@pytest.fixture(scope="module")
def rows():
    return presets.run("variance-law", draws=300, seed=3).rows


def test_a_linear_layer_multiplies_by_chi_square_over_n():
    factor = chi2(module.INPUTS)
    second = (factor.var() + factor.mean() ** 2) / module.INPUTS**2
    law = module.NETWORKS["linear, n Var w = 1"]
    assert law.deviation() == pytest.approx(sqrt(second**module.LAYERS - 1))
    assert law.deviation() == pytest.approx(0.468, abs=5e-4)


def test_a_relu_layer_scatters_by_the_fourth_moment_of_half_a_gaussian():
    z = np.linspace(-12, 12, 400_001)
    fourth = np.average((2 * np.maximum(z, 0) ** 2) ** 2, weights=np.exp(-z * z / 2))
    law = module.NETWORKS[module.RELU]
    assert law.deviation(1) == pytest.approx(sqrt((fourth - 1) / module.INPUTS))
    assert law.deviation() == pytest.approx(0.793, abs=5e-4)
    assert law.mean() == 1.0


@pytest.mark.parametrize("name", module.NETWORKS)
def test_a_network_in_the_mean_is_that_of_theory(rows, name):
    (row,) = (row for row in rows if row["network"] == name)
    law = module.NETWORKS[name]
    assert abs(row["mean"] - law.mean()) < 4 * law.deviation() * law.mean() / sqrt(300)
    assert row["median"] < row["mean"]


def test_the_claims_tell_the_laws_apart(rows):
    """With the weights of another row none of the means is met."""
    claims = [claim for claim in presets.get("variance-law").expects if "errors" in claim.claim]
    assert all(claim.check(rows).met for claim in claims)
    others = [row["mean"] for row in (*rows[1:4], rows[0], rows[2])]
    swapped = [
        {**row, "errors_off": (other / row["mean_theory"] - 1) / row["deviation"] * sqrt(300)}
        for row, other in zip(rows, others, strict=True)
    ]
    assert not any(claim.check(swapped).met for claim in claims)


def test_networks_are_drawn_anew_in_each_row(rows):
    """Or the linear ones would differ by a factor alone."""
    assert len({round(row["mean"] / row["mean_theory"], 6) for row in rows}) == len(rows)


def test_any_number_of_networks_is_drawn_in_heaps(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 70)
    law = module.NETWORKS["linear, n Var w = 1"]
    found = module._mean_squares(law, 150, module.keras.random.SeedGenerator(0))
    assert found.shape == (module.LAYERS, 150)
    assert len(np.unique(found[-1])) == 150
