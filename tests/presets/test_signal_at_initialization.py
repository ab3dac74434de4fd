"""The 100 -> 5 x 50 tanh network at initialization: theory, and the network itself."""

import keras
import numpy as np
import pytest
from scipy.stats import norm

from keras_initscope import presets
from keras_initscope.presets import signal_at_initialization as module

STDDEV = {
    "small-weights": lambda fan_in: 0.01,
    "large-weights": lambda fan_in: 1.0,
    "unit-gain": lambda fan_in: fan_in**-0.5,
}


def _theory(stddev):
    """Mean square and saturated share of each layer in the limit of infinite width."""
    z = np.linspace(-12, 12, 200_001)
    weights = norm.pdf(z)
    mean_square, fan_in = 1.0, 100
    for _ in range(5):
        q = fan_in * stddev(fan_in) ** 2 * mean_square
        mean_square = np.average(np.tanh(np.sqrt(q) * z) ** 2, weights=weights)
        yield {
            "mean_square": mean_square,
            "saturated": 2 * norm.sf(np.arctanh(0.99) / np.sqrt(q)),
        }
        fan_in = 50


@pytest.mark.parametrize("name", STDDEV)
def test_the_expected_numbers_are_those_of_the_limit_of_infinite_width(name):
    theory = list(_theory(STDDEV[name]))
    claims = presets.get(name).expects
    assert len(claims) == 5
    for claim, layer in zip(claims, theory, strict=True):
        column = claim.claim.partition(" ")[0]
        centre = (claim.interval.low + claim.interval.high) / 2
        assert centre == pytest.approx(layer[column], rel=5e-4)  # four digits


@pytest.mark.parametrize("name", STDDEV)
def test_the_picture_shows_measurement_and_theory(name):
    drawn = module.theory(STDDEV[name])
    for row, layer in zip(drawn, _theory(STDDEV[name]), strict=True):
        assert row["mean_square"] == pytest.approx(layer["mean_square"], rel=1e-6)
        assert row["saturated"] == pytest.approx(layer["saturated"], rel=1e-6, abs=1e-12)
    result = presets.run(name, draws=5)
    size, share = module._panels(result.rows, drawn)
    for panel, column in ((size, "mean_square"), (share, "saturated")):
        curve = panel.curves["measured"]
        assert curve.measured == ([1, 2, 3, 4, 5], [row[column] for row in result.rows])
        assert curve.theory == ([1, 2, 3, 4, 5], [row[column] for row in drawn])
    assert list(result.pictures) == ["signal"]
    assert result.pictures["signal"].startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", STDDEV)
def test_the_draws_meet_theory_with_any_seed(name, seed):
    result = presets.run(name, seed=seed, quick=True)
    assert result.parameters == {"draws": 400}
    assert [verdict for verdict in result.verdicts if not verdict.met] == []


@pytest.mark.parametrize("other", STDDEV)
@pytest.mark.parametrize("name", STDDEV)
def test_each_preset_fails_with_the_weights_of_another(name, other):
    """The tolerances are tight enough to tell the three initializations apart."""
    rows = presets.run(other, quick=True).rows
    met = [claim.check(rows).met for claim in presets.get(name).expects]
    assert all(met) == (name == other)


@pytest.mark.parametrize("name", STDDEV)
def test_the_batched_computation_is_that_of_a_keras_network(name):
    draws, seed = 3, 7
    hidden = module._activations(draws, seed, STDDEV[name])
    generator = keras.random.SeedGenerator(seed)
    inputs = keras.random.normal((draws, module.EXAMPLES, 100), seed=generator)
    model = keras.Sequential([keras.Input((100,))])
    for _ in range(5):
        model.add(keras.layers.Dense(50, "tanh", use_bias=False))
    kernels = [
        keras.initializers.RandomNormal(stddev=STDDEV[name](fan_in), seed=generator)(
            (draws, fan_in, 50)
        )
        for fan_in in (100, 50, 50, 50, 50)
    ]
    for draw in range(draws):
        model.set_weights([np.asarray(kernel[draw]) for kernel in kernels])
        values = inputs[draw]
        for layer, expected in zip(model.layers, hidden, strict=True):
            values = layer(values)
            scale = np.sqrt(np.mean(expected[draw] ** 2))
            np.testing.assert_allclose(values, expected[draw], rtol=1e-3, atol=1e-4 * scale)
