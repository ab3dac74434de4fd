"""Starts and minima: the same start twice, the claims, and the whole protocol."""

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import start_selects_minimum as module

CLAIMS = presets.get("start-selects-minimum").expects


def test_the_loss_is_that_of_keras():
    data, model = module.data_of(0), module.network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(loss(data.test_y, model(data.test_x)))
    losses = module._losses(model.get_weights(), data)
    assert losses[1] == pytest.approx(expected, rel=1e-5)


def test_the_same_start_ends_at_the_same_weights_and_another_elsewhere(tmp_path):
    """Also after another training, whose momentum must be forgotten."""
    result = presets.run("start-selects-minimum", tmp_path, steps=50, starts=2)
    assert [row["scale"] for row in result.rows] == list(module.SCALES)
    assert [row["same_start"] for row in result.rows] == [0, 0]
    assert all(row["nearest"] > 0.5 for row in result.rows)
    assert (tmp_path / "minima.png").read_bytes().startswith(b"\x89PNG")


def test_the_claims_fail_where_all_starts_end_alike():
    row = dict.fromkeys(("nearest", "lowest_wall", "highest_wall_matched", "disagreement"), 0.0)
    row |= {"same_start": 1e-7, "moved": 1.0, "train_loss": 0.1, "test_loss": 0.1}
    rows = [{**row, "scale": scale} for scale in module.SCALES]
    rows[1]["test_loss"] = 0.09
    assert not any(claim.check(rows).met for claim in CLAIMS)


def test_the_networks_are_those_that_are_trained():
    experiment = presets.build("start-selects-minimum", seed=2)
    assert experiment.networks == ("factor 1", "factor 6")
    one, other = (experiment.model(name) for name in experiment.networks)
    ratio = np.linalg.norm(other.get_weights()[2]) / np.linalg.norm(one.get_weights()[2])
    assert ratio == pytest.approx(6, rel=1e-4)


@pytest.mark.slow
def test_the_claims_hold_with_another_seed():
    result = presets.run("start-selects-minimum", seed=1, quick=True)
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
