"""Theory against networks that really run: second moments forward and backward, layer by layer."""

import pytest

from benchmarks.montecarlo import deviations, measured, predicted, tolerance
from benchmarks.networks import NETWORKS

# Keras 3.15 variables convert to NumPy 2 arrays in a way that NumPy deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FAST = ("tanh", "residual", "max-pooling", "attention", "gru")


def _agree(name, draws, batch):
    build, width, weighted = NETWORKS[name][:3]
    options = NETWORKS[name][3] if len(NETWORKS[name]) > 3 else {}
    rows, snapshot = deviations(build, draws, batch=batch, **options)
    allowed = tolerance(width, weighted, draws)
    assert not snapshot.unknown
    assert len(rows) > 1
    for layer, q, g, _, true_g in rows:
        assert abs(q - 1) < allowed, (layer, "q", q)
        if true_g > 0:
            assert abs(g - 1) < allowed, (layer, "g", g)


@pytest.mark.parametrize("name", FAST)
def test_a_few_draws_agree(name):
    _agree(name, draws=4, batch=32)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_many_draws_agree(name):
    _agree(name, draws=32, batch=128)


def test_the_comparison_would_notice_a_wrong_activation():
    build, width, weighted = NETWORKS["tanh"]
    theory = predicted(build)[0]
    truth = measured(NETWORKS["relu"][0], 8, batch=32)
    ratios = [theory[layer][0] / q for layer, (q, _) in truth.items()]
    assert abs(ratios[-1] - 1) > tolerance(width, weighted, 8)
