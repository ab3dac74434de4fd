"""Any model trains bit for bit as without the monitor, and is measured."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from random_models import BATCH, SHAPES, build, recipes
from training import assert_nothing_left, assert_same_training, fresh, train

from keras_initscope import VarianceMonitor

STEPS = 2


def _trained(recipe, monitors=()):
    model = fresh(lambda: build(recipe), recipe.policy)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, *SHAPES[recipe.start])).astype(np.float32)
    y = rng.normal(size=(STEPS * BATCH, 2)).astype(np.float32)
    optimizer = keras.optimizers.get(recipe.optimizer)
    optimizer.clipnorm = recipe.clip
    compiled = {"optimizer": optimizer, "loss": "mse", "jit_compile": recipe.jit}
    return train(model, compiled, [{"x": x, "y": y, "batch_size": BATCH}], monitors)


def _check(recipe, directory):
    monitor = VarianceMonitor(directory, update_freq=1, outputs=["snapshots"])
    plain, watched = _trained(recipe), _trained(recipe, [monitor])
    assert not watched.said
    assert_same_training(watched, plain)
    assert_nothing_left(watched, plain)
    assert [snapshot.step for snapshot in monitor.history] == list(range(STEPS))
    for quantity in ("kernel", "kernel_gradient", "activation", "activation_gradient"):
        assert monitor.history[0].profile(quantity, "variance"), quantity


# The same ones each time, and as they are: to look for a simpler one would take minutes.
RUN = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=6, **RUN)
@given(recipe=recipes(jit=12))
def test_any_model(recipe, tmp_path_factory):
    _check(recipe, tmp_path_factory.mktemp("random"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_models(part, tmp_path_factory):
    """Thirty-two others, in parts that can run side by side."""

    @seed(part)
    @settings(max_examples=8, database=None, **{**RUN, "derandomize": False})
    @given(recipe=recipes(jit=8))
    def check(recipe):
        _check(recipe, tmp_path_factory.mktemp("random"))

    check()
