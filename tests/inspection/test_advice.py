"""`advise`: its numbers against closed forms, and what it says against what `inspect` sees."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

import keras_initscope as initscope
from keras_initscope.activations import as_nonlinearity
from keras_initscope.diagnosis.signal import DEEP
from keras_initscope.inspection import cost
from keras_initscope.inspection.advice import _choice, _chosen
from keras_initscope.records import Advice

WIDTH = 128
X = np.random.default_rng(0).normal(size=(64, WIDTH)).astype(np.float32)


def _pairing(advice, code):
    return next(each for each in advice.pairings if code in each.code)


def _network(activation, depth, kernel, bias=keras.initializers.Zeros):
    keras.utils.set_random_seed(0)
    hidden = [
        layers.Dense(WIDTH, activation, kernel_initializer=kernel(), bias_initializer=bias())
        for _ in range(depth)
    ]
    return keras.Sequential([keras.Input((WIDTH,)), *hidden, layers.Dense(10)])


def test_relu_takes_he_and_halves_with_glorot():
    advice = initscope.advise("relu", depth=31)
    assert isinstance(advice.initializer, keras.initializers.HeNormal)
    assert isinstance(advice.bias_initializer, keras.initializers.Zeros)
    assert advice.trains
    assert (advice.forward_gain, advice.backward_gain) == pytest.approx((2**0.5, 2**0.5))
    assert advice.chosen.signal == pytest.approx(1.0)
    glorot = _pairing(advice, "lecun_normal")
    assert glorot.signal == pytest.approx(2.0**-15)
    assert glorot.gradient == pytest.approx(2.0**-15)
    assert not glorot.trains


def test_sigmoid_needs_more_than_glorot_and_he():
    advice = initscope.advise("sigmoid", depth=6)
    names = ("lecun_normal", "he_normal", "Kumar", "Critical")
    gradients = [_pairing(advice, name).gradient for name in names]
    assert gradients == sorted(gradients)
    assert gradients[0] < 1e-3 < 0.1 < gradients[3]
    assert any("mean zero" in each for each in advice.corrections)


def test_an_unstable_point_is_not_recommended_where_a_stable_one_is():
    advice = initscope.advise("gelu", depth=30)
    assert advice.variance_slope < 1
    assert advice.case == "stable"
    made, biases = advice.initializer, advice.bias_initializer
    assert made.scale == pytest.approx(advice.chosen.weight_variance)
    assert biases.stddev**2 == pytest.approx(advice.chosen.bias_variance)
    assert "CriticalBias" in advice.code


def test_selu_takes_lecun():
    assert initscope.advise("selu", depth=10).chosen.code == '"lecun_normal"'


def test_what_has_no_critical_point_gets_alternatives():
    advice = initscope.advise("softplus", depth=30)
    assert not advice.trains
    assert advice.alternatives
    assert all(each.strain < advice.chosen.strain for each in advice.alternatives)
    assert "initscope.tailor(model)" in [each.code for each in advice.alternatives]


def test_normalization_makes_gradients_explode_and_residual_branches_do_not():
    """1.4669 a layer for ReLU (theory), the weights' scale divided out."""
    normalized = initscope.advise("relu", depth=31, structure="normalized")
    assert normalized.chosen.gradient == pytest.approx(1.4669**15, rel=1e-3)
    assert normalized.chosen.verdict == "gradient explodes"
    residual = initscope.advise("relu", depth=31, structure="residual")
    assert residual.chosen.code.startswith("initscope.initializers.ResidualScaling(31")
    assert residual.chosen.signal == pytest.approx((1 + 1 / 31) ** 15)


def test_objects_are_new_each_time():
    advice = initscope.advise("relu", depth=3)
    kernels = [np.asarray(advice.initializer((8, 8))) for _ in range(2)]
    assert advice.initializer is not advice.initializer
    assert not np.array_equal(*kernels)


def test_layers_are_taken():
    by_layer = initscope.advise(layers.LeakyReLU(0.5), depth=4)
    assert by_layer.initializer.scale == pytest.approx(2 / 1.25)
    assert "GainScaling(activation)" in by_layer.code


@pytest.mark.slow  # what nobody has described is looked at point by point
def test_functions_are_taken():
    by_function = initscope.advise(lambda x: keras.ops.tanh(x), depth=4)
    assert by_function.chosen.weight_variance == initscope.advise("tanh", 4).chosen.weight_variance


def test_a_width_tells_how_far_single_networks_scatter():
    """Relative variance of the log: 5 / n a layer for ReLU."""
    notes = " ".join(initscope.advise("relu", depth=100, width=500).notes)
    assert f"factor of {np.exp(1.0):.2g}" in notes
    assert "Conditioning of a layer of 500 inputs: 234" in notes  # 1 + n mu^2 / Var, 47.7 at 101


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("relu", 1), "depth"), (("relu", 5, 0), "width"), (("relu", 5, None, "wide"), "structure")],
)
def test_what_cannot_be_asked(arguments, word):
    with pytest.raises(ValueError, match=word):
        initscope.advise(*arguments)


def test_it_reads_as_text_and_as_markdown():
    advice = initscope.advise("sigmoid", depth=10)
    assert isinstance(advice, Advice)
    for text in (str(advice), advice.markdown()):
        assert "Kumar" in text
        assert "What would suit this depth better" in text
        assert "import keras_initscope as initscope" in text
    assert all(len(line) <= 130 for line in str(advice).splitlines())


@pytest.mark.parametrize(("activation", "depth"), [("relu", 20), ("tanh", 20), ("selu", 20)])
def test_where_it_is_followed_a_look_finds_nothing(activation, depth):
    advice = initscope.advise(activation, depth)
    assert advice.chosen.strain < DEEP / 2
    model = _network(activation, depth, *advice.makers)
    assert initscope.inspect(model, X).findings == ()


@pytest.mark.parametrize(
    ("activation", "code"), [("relu", "lecun_normal"), ("sigmoid", "he_normal")]
)
def test_where_it_says_that_nothing_is_learnt_a_look_finds_why(activation, code):
    pairing = _pairing(initscope.advise(activation, 20), code)
    assert not pairing.trains
    kernel = {
        "lecun_normal": keras.initializers.LecunNormal,
        "he_normal": keras.initializers.HeNormal,
    }
    assert initscope.inspect(_network(activation, 20, kernel[code]), X).findings


class Ticking:
    """A clock that says that one thing after another took so long."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.reads = seconds, 0.0, 0

    def __call__(self):
        if self.reads % 2:
            self.now += self.seconds[self.reads // 2 % len(self.seconds)]
        self.reads += 1
        return self.now


def test_cost_is_the_ratio_to_relu_of_what_a_clock_says():
    """In turns: the function, ReLU, the function with its gradient, ReLU with its."""
    found = cost.timed(keras.activations.gelu, clock=Ticking(3.0, 2.0, 10.0, 4.0))
    assert (found.forward, found.training) == (1.5, 2.5)


@pytest.mark.parametrize(
    "activation",
    ["linear", "relu", "erf", "lecun_tanh", "rrelu", layers.PReLU(), layers.Dense(3, "tanh")],
)
def test_whatever_has_a_gradient_has_a_cost(activation):
    found = cost.cost_of(activation)
    assert found.forward > 0
    assert found.training > 0
    if isinstance(activation, keras.Layer):
        assert not activation.built
    advice = replace(initscope.advise("relu", 3, cost=False), cost=found)
    assert str(found) in " ".join(str(advice).split())


def test_what_cannot_be_timed_has_no_cost():
    assert cost.cost_of(as_nonlinearity("tanh")) is None  # a function of NumPy arrays
    advice = initscope.advise("tanh", 3, cost=False)
    assert advice.cost is None
    assert "costs" not in str(advice)


@pytest.mark.parametrize("name", ["tanh", "selu", "softplus", "exponential"])
@pytest.mark.parametrize("structure", ["plain", "residual", "normalized"])
def test_the_short_way_to_the_best_pairing_leads_to_the_same(name, structure):
    """Alternatives are compared without walking through what cannot be chosen."""
    phi = as_nonlinearity(name)
    chosen, pairings = _choice(name, phi, 12, structure)
    assert _chosen(name, phi, 12, structure) in [p for p in pairings if p.code == chosen.code]
