"""What `relu-scale` measures, and that its claims can fail."""

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import relu_scale as module


@pytest.fixture(scope="module")
def rows():
    return presets.run("relu-scale", seed=3, steps=60).rows


def test_a_network_without_biases_is_homogeneous(rows):
    one, large = rows
    assert large["logits"] == pytest.approx(10 * one["logits"], rel=1e-4)


def test_the_first_loss_is_that_of_the_network_taken_apart(rows):
    experiment = presets.build("relu-scale", seed=3, steps=60)
    for row in rows:
        name = f"variance {row['variance']:g}"
        data, order = experiment.data(name), module.drawn_batches(1437, 60, module.BATCH, 3)
        first = order[: module.BATCH]
        loss = experiment.model(name).evaluate(data.train_x[first], data.train_y[first], verbose=0)
        assert row["first_loss"] == pytest.approx(loss, rel=1e-4)


def test_the_greatest_rate_is_the_last_that_learns():
    losses = np.full(len(module.RATES), np.nan)
    assert module._greatest_rate(losses) == 0
    losses[:5] = [2.0, 0.5, 1.1, 1.2, np.inf]
    assert module._greatest_rate(losses) == module.RATES[2]


def test_its_claims_fail_where_size_does_not_matter(rows):
    alike = [{**rows[0], "variance": variance} for variance in module.VARIANCES]
    met = [claim.check(alike).met for claim in presets.get("relu-scale").expects]
    assert met == [False, False, False, True]
    better = [alike[0], {**alike[1], "best_accuracy": 1.0}]
    assert not presets.get("relu-scale").expects[3].check(better).met
