"""history: its starts, its claims and its whole protocol."""

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import history as module
from keras_initscope.presets.digits import pixels
from keras_initscope.presets.timeline_picture import Line, draw_timeline

CLAIMS = presets.get("history").expects
COLUMNS = ("of_mean", "of_components", "test_error", "signal", "gradient", "gradient_theory")


def _table(findings, **columns):
    row = {**dict.fromkeys(COLUMNS, 1.0), "findings": findings, **columns}
    return [{"initialization": name, **row} for name in module.PROPOSALS]


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("small", lambda n, m: 1e-4),
        ("large", lambda n, m: 1.0),
        ("larger", lambda n, m: 16.0),
        ("xavier", lambda n, m: 2 / (n + m)),
        ("orthogonal", lambda n, m: 1 / n),
        ("he", lambda n, m: 2 / n),
        ("he-average", lambda n, m: 4 / (n + m)),
        ("kumar", lambda n, m: 12.8 / n),
    ],
)
def test_every_proposal_has_its_variance(name, variance):
    """Over three seeds; the largest kernel has 3072 weights."""
    kernels = [module.started(name, None, 1, seed).layers[0].kernel for seed in range(3)]
    measured = float(np.mean(np.square(kernels)))
    assert measured == pytest.approx(variance(64, 48), rel=4 * np.sqrt(2 / (3 * 64 * 48)))


def test_lsuv_gives_unit_variance_in_front_of_the_units_and_the_same_weights_again():
    train_x, _ = pixels(0)
    network = module.started("lsuv", train_x, 1, seed=0)
    first = train_x[:256] @ np.asarray(network.layers[0].kernel) + np.asarray(
        network.layers[0].bias
    )
    assert np.var(first) == pytest.approx(1, abs=0.1)
    again = module.started("lsuv", train_x, 1, seed=0)
    np.testing.assert_array_equal(again.layers[3].kernel, network.layers[3].kernel)


def test_where_nothing_learns_the_claims_of_learning_fail():
    met = {claim.claim: claim.check(_table("F3")).met for claim in CLAIMS}
    assert met["of_mean of small"]
    assert not met["of_mean of kumar"]
    assert not met["of_mean of large"]
    assert not met["findings (initialization kumar)"]


def test_where_all_learn_the_claims_of_not_learning_fail():
    met = {c.claim: c.check(_table("-", of_mean=0.3, gradient=9.0)).met for c in CLAIMS}
    assert met["of_mean of kumar"]
    for name in module.STUCK:
        assert not met[f"of_mean of {name}"]
        assert not met[f"F3 is found (initialization {name})"]
    assert not met["gradient of xavier, measured over theory"]


def test_the_gradient_of_small_weights_is_the_closed_form():
    """sqrt(prod fan_out Var(w) / 16) of the seven kernels behind the first layer."""
    model = keras.Sequential(module.started("small", None, 1, seed=0).layers)
    train_x, _ = pixels(0)
    report = module.inspect(module.compiled(model), train_x, train_x)
    closed = np.sqrt(np.prod([n * 1e-4 / 16 for n in (32, 16, 8, 16, 32, 48, 64)]))
    assert module._left(report, train_x)["gradient_theory"] == pytest.approx(closed, rel=0.5)


def test_the_picture_has_a_row_for_a_network_without_signal(tmp_path):
    image = np.zeros((8, 20), dtype="float32")
    lines = [Line("images", image), Line("mean", image, 4.7)]
    lines.append(Line("small", image, 4.7, {"signal": 0.0, "gradient": 1e-14}))
    path = draw_timeline(tmp_path / "history.png", "title", lines)
    assert path.read_bytes().startswith(b"\x89PNG")
