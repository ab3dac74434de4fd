"""Kumar's variance: chi_1 against mean-field theory, and the protocol of the training."""

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.prediction.gains import criticality
from keras_initscope.presets import kumar_2017 as module
from keras_initscope.presets.digits import digits

NAMES = ("small", "xavier", "he", "kumar")


def _claims(column):
    return [claim for claim in presets.get("kumar-2017").expects if claim.claim.startswith(column)]


def test_the_expected_numbers_are_those_of_theory():
    for name in NAMES:
        chi = criticality("sigmoid", weight_variance=module.GAINS[name]).chi_1
        assert module._CHI_1[name] == pytest.approx(chi, rel=5e-4)  # four digits
    falls = {name: module._CHI_1[name] ** (-module.DEPTH / 2) for name in NAMES}
    assert [round(falls[name]) for name in ("xavier", "he", "kumar")] == [1364, 308, 13]


@pytest.fixture(scope="module")
def chi_rows():
    return [{"initializer": name, **module._chi_1(name, 50, seed=2)} for name in NAMES]


def test_the_drawn_networks_meet_theory(chi_rows):
    claims = _claims("chi_1")
    assert len(claims) == len(NAMES)
    assert [str(claim.check(chi_rows)) for claim in claims if not claim.check(chi_rows).met] == []
    for row in chi_rows:
        assert row["gain"] == pytest.approx(module.GAINS[row["initializer"]], rel=0.01)


def test_each_claim_on_chi_1_fails_with_the_weights_of_another(chi_rows):
    shifted = [
        {**row, "initializer": name}
        for row, name in zip(chi_rows, NAMES[1:] + NAMES[:1], strict=True)
    ]
    assert not any(claim.check(shifted).met for claim in _claims("chi_1"))


def test_the_claims_tell_training_from_not_training():
    claims = _claims("accuracy")
    for accuracy, trains in ((0.99, True), (0.2, False)):
        rows = [{"initializer": name, "train_accuracy": accuracy} for name in NAMES]
        for claim in claims:
            assert claim.check(rows).met == (("of kumar" in claim.claim) == trains)


def test_the_best_of_the_learning_rates_is_taken(monkeypatch, tmp_path):
    reached = dict(zip(module.RATES, (0.4, 0.9, 0.2), strict=True))

    def trained(run, name, data, steps, rate):
        look = {"gradient variance": {"step 0": [rate]}}
        return {"rate": rate, "train_accuracy": reached[rate], "test_accuracy": 0.5}, look

    monkeypatch.setattr(module, "_trained", trained)
    result = presets.run("kumar-2017", tmp_path, draws=1)
    assert [row["initializer"] for row in result.rows] == list(NAMES)
    assert {row["train_accuracy"] for row in result.rows} == {0.9}
    first = presets.run("kumar-2017", tmp_path, draws=1, rates=1)
    assert {row["rate"] for row in first.rows} == {module.RATES[0]}


def test_a_training_run_is_logged_and_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "INITIALIZERS", {"kumar": module.INITIALIZERS["kumar"]})
    result = presets.run("kumar-2017", tmp_path, seed=1, steps=3, rates=1, draws=1)
    (row,) = result.rows
    assert 0 < row["train_accuracy"] < 1
    assert list((tmp_path / "kumar-rate-1").rglob("events.out.tfevents*"))
    assert result.files[-1].read_bytes().startswith(b"\x89PNG")


def test_all_kernels_have_the_variance_of_their_fan_in():
    model = module._network("kumar", digits(0), seed=0)
    kernels = [np.asarray(layer.kernel) for layer in model.layers]
    assert [kernel.shape for kernel in kernels] == [(64, 128), *[(128, 128)] * 4, (128, 10)]
    for kernel in kernels:
        four_errors = 4 * (2 / kernel.size) ** 0.5
        assert len(kernel) * np.mean(kernel**2) == pytest.approx(12.8, rel=four_errors)
    assert not np.array_equal(kernels[1], kernels[2])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_only_kumar_trains_with_other_seeds(seed):
    result = presets.run("kumar-2017", seed=seed, quick=True)
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
