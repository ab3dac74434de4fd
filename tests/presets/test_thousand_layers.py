"""thousand-layers in small: the same code, and claims that can fail."""

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import thousand_layers
from keras_initscope.presets.thousand_layers import GAUSSIAN, ORTHOGONAL, Q
from keras_initscope.theory.meanfield import chi_1, variance_map
from keras_initscope.theory.nonlinearities import nonlinearity


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thousand-layers")
    return presets.run("thousand-layers", folder, seed=1, depth=4, steps=50, seeds=2)


def test_each_kind_of_weights_has_its_row(result):
    assert [row["weights"] for row in result.rows] == [GAUSSIAN, ORTHOGONAL]
    assert {row["seeds"] for row in result.rows} == {2}
    assert all(row["lowest"] <= row["accuracy"] <= 1 for row in result.rows)
    assert all(1 / 64 <= row["one_direction"] <= 1 for row in result.rows)
    assert [path.name for path in result.files] == ["table.csv", "loss.png"]


def test_the_weights_are_critical_at_their_variance():
    experiment = presets.build("thousand-layers", depth=400)
    for kind in (GAUSSIAN, ORTHOGONAL):
        kernel, bias = experiment.model(kind).get_layer("hidden").get_weights()
        weights, biases = 64 * np.mean(kernel**2), np.mean(bias**2)
        phi = nonlinearity("tanh")
        assert float(chi_1(phi, Q, weights)) == pytest.approx(1, rel=4 * np.sqrt(2 / kernel.size))
        assert biases == pytest.approx(1.258e-6, rel=4 * np.sqrt(2 / bias.size))
        exact = 1.01971076
        assert float(variance_map(phi, Q, exact, 1.258e-6)) == pytest.approx(Q, rel=1e-5)


def test_orthogonal_kernels_are_and_gaussian_ones_are_not():
    experiment = presets.build("thousand-layers", depth=3)
    for kind, deviation in ((ORTHOGONAL, 1e-5), (GAUSSIAN, 1.0)):
        kernel = experiment.model(kind).get_layer("hidden").get_weights()[0]
        gram = kernel @ np.swapaxes(kernel, 1, 2) / 1.01971076 - np.eye(64)
        norms = np.linalg.norm(gram, ord=2, axis=(1, 2))
        assert np.all(norms < deviation) if kind == ORTHOGONAL else np.all(norms > deviation)


def test_depth_brings_gaussian_signals_onto_one_line():
    looks = {}
    for kind in (GAUSSIAN, ORTHOGONAL):
        trial = presets.build("thousand-layers", depth=100).trials[kind](0)
        looks[kind] = thousand_layers._look(trial.model, trial.data.train_x)
    images = np.linalg.svd(trial.data.train_x.astype("float64"), compute_uv=False) ** 2
    share = images[0] / images.sum()
    assert looks[ORTHOGONAL] == (pytest.approx(1, abs=0.05), pytest.approx(share, abs=0.02))
    assert looks[GAUSSIAN][1] > 0.6


@pytest.mark.parametrize("value", [0.1, 0.95])
def test_its_claims_tell_training_from_not_training(value):
    columns = ("accuracy", "lowest", "signal", "one_direction")
    rows = [{"weights": kind, **dict.fromkeys(columns, value)} for kind in (GAUSSIAN, ORTHOGONAL)]
    met = [claim.check(rows).met for claim in presets.get("thousand-layers").expects]
    assert any(met)
    assert not all(met)
