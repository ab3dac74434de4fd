"""The circle of poole-2016, its length, and the picture of both."""

from math import cosh, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from keras_initscope import presets
from keras_initscope.presets import poole_2016 as module
from keras_initscope.presets.circle_picture import draw_circles, length, projected


@pytest.mark.parametrize(
    ("name", "quoted"), [("ordered", 0.837), ("chaotic", 1.152), ("more chaotic", 1.539)]
)
def test_the_growth_is_the_root_of_chi_1_at_the_fixed_point(name, quoted):
    variance = module.WEIGHT_DEVIATIONS[name] ** 2

    def mean(function, q):
        return quad(lambda z: norm.pdf(z) * function(sqrt(q) * z), -12, 12, points=[0])[0]

    def excess(q):
        return variance * mean(lambda x: np.tanh(x) ** 2, q) + module.BIAS_DEVIATION**2 - q

    q = brentq(excess, 0.01, 50)
    chi = variance * mean(lambda x: cosh(x) ** -4, q)
    assert module.theory(name).q == pytest.approx(q, rel=1e-6)
    assert module.growth(name) == pytest.approx(sqrt(chi), rel=1e-6)
    assert module.growth(name) == pytest.approx(quoted, abs=6e-4)


def test_the_circle_is_round_closed_and_of_the_mean_square_q():
    circle = module._circle("chaotic", 50, 3)
    q = module.theory("chaotic").q
    np.testing.assert_allclose(np.mean(circle**2, axis=1), q, rtol=1e-5)
    np.testing.assert_allclose(circle[0], circle[-1], atol=1e-5)
    assert length(circle) == pytest.approx(2 * pi * sqrt(50 * q), rel=1e-5)
    assert np.linalg.matrix_rank(circle, tol=1e-3) == 2


def test_the_layers_are_those_of_the_network():
    model = module._network("ordered", 30, 1)
    layers = module._layers(model, "ordered", 1)
    assert len(layers) == module.LAYERS == 1 + len(model.weights) // 2
    np.testing.assert_allclose(model(layers[0]), layers[-1], rtol=1e-5, atol=1e-6)
    kernel, bias = np.concatenate([w.numpy().ravel() for w in model.weights[::2]]), model.weights[1]
    error = sqrt(2 / kernel.size)  # of a variance
    assert np.var(kernel) * 30 == pytest.approx(1, abs=4 * error)
    assert np.std(bias) == pytest.approx(0.3, rel=4 / sqrt(2 * 30))


@pytest.mark.parametrize("other", [name for name in module.WEIGHT_DEVIATIONS if name != "chaotic"])
def test_the_claims_tell_the_phases_apart(other):
    rows = [
        {"network": name, "growth": module.growth(taken), "mean_square": module.theory(taken).q}
        for name in module.WEIGHT_DEVIATIONS
        for taken in ((other if name == "chaotic" else name),)
    ]
    failed = [
        v.claim for v in (c.check(rows) for c in presets.get("poole-2016").expects) if not v.met
    ]
    assert len(failed) == 2
    assert all(", chaotic" in claim for claim in failed)


def test_a_narrow_network_makes_all_files(tmp_path):
    result = presets.run("poole-2016", tmp_path, width=20, draws=1)
    assert [path.name for path in result.files] == ["table.csv", "circle.png", "length.png"]
    ordered, chaotic, _ = result.rows
    assert ordered["growth"] < 1 < chaotic["growth"]


def test_a_curve_is_seen_in_its_own_plane(tmp_path):
    """And a point, of which no direction is the widest, makes a picture all the same."""
    circle = module._circle("chaotic", 12, 0)
    seen = projected(circle)
    assert length(seen) == pytest.approx(length(circle), rel=1e-5)
    draw_circles(tmp_path / "c.png", "T", ["a", "b"], {"x": [circle, 0 * circle]})
    assert (tmp_path / "c.png").stat().st_size > 3000
