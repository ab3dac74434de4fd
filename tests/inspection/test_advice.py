"""`advise`: its numbers against closed forms, and what it says against what `inspect` sees."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import norm

import keras_initscope as initscope
from keras_initscope.activations import as_nonlinearity
from keras_initscope.diagnosis.signal import DEEP
from keras_initscope.inspection import cost
from keras_initscope.inspection.choosing import choice_of, chosen_of
from keras_initscope.inspection.pairings import STEEP
from keras_initscope.inspection.working_range import FLAT, saturated_share
from keras_initscope.records import Advice, Quantity
from keras_initscope.theory.nonlinearities import nonlinearity

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


def test_relu_costs_what_relu_costs():
    found = cost.cost_of("relu")
    assert (found.forward, found.training) == (1, 1)


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
    chosen, pairings = choice_of(name, phi, 12, structure)
    longer = next(each for each in pairings if each.code == chosen.code)
    shorter = chosen_of(name, phi, 12, structure)
    assert (shorter.code, shorter.strain) == (longer.code, longer.strain)


def test_saturation_is_what_is_flat_at_either_end():
    """`P(|z| > 3)` for a hard sigmoid; of ReLU, which rests at zero, nothing."""
    flat = 2 * float(norm.sf(3 / 2))
    assert saturated_share(nonlinearity("hard_sigmoid"), 4.0) == pytest.approx(flat, rel=1e-6)
    assert saturated_share(nonlinearity("relu"), 4.0) == pytest.approx(0.0, abs=1e-9)


def test_units_that_are_flat_for_all_examples_alike_saturate():
    found = initscope.advise("hard_sigmoid", 30, cost=False)
    critical = _pairing(found, "Critical(")
    assert critical.slope > STEEP
    assert critical.apart < 0.1
    assert critical.verdict == "trains slowly: saturates"


#: Of every shape, those that the articles compare first.
TWELVE = (
    *("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish"),
    *("tanh", "softsign", "sigmoid", "softplus", "hard_sigmoid"),
)
_SIGNAL = {"F1", "F2", "F3", "B1", "B2"}


@pytest.mark.slow
@pytest.mark.parametrize("depth", [5, 30, 100])
@pytest.mark.parametrize("activation", TWELVE)
def test_a_look_at_a_network_of_its_making_sees_what_it_says(activation, depth):
    """Signal to within 4 standard deviations of networks of width 256, and the same verdict."""
    width = 256
    x = np.random.default_rng(0).normal(size=(256, width)).astype(np.float32)
    advice = initscope.advise(activation, depth, cost=False)
    keras.utils.set_random_seed(0)
    hidden = [
        layers.Dense(
            width,
            activation,
            kernel_initializer=advice.initializer,
            bias_initializer=advice.bias_initializer,
        )
        for _ in range(depth)
    ]
    model = keras.Sequential([keras.Input((width,)), *hidden, layers.Dense(10)])
    report = initscope.inspect(model, x)
    sizes = report.measured.profile(Quantity.PREACTIVATION, "root_mean_square")
    first, last = hidden[0].name, hidden[-1].name
    theory = report.predicted.find(Quantity.ACTIVATION, last).values
    error = np.log1p(theory["relative_error"] ** 2) ** 0.5
    off = 2 * np.log(sizes[last] / sizes[first] / advice.chosen.signal)
    assert abs(off - np.log(theory["relative_median"])) < 4 * error
    codes = {each.code for each in report.findings}
    if advice.trains:
        assert not codes & _SIGNAL
    if advice.chosen.verdict == "trains":
        assert "U1" not in codes
    if not advice.trains:
        assert codes & _SIGNAL


@pytest.mark.parametrize("activation", TWELVE)
def test_signal_mean_and_saturation_are_those_of_drawn_networks(activation):
    """Sampled, to within 5 standard errors of 8 networks and a hundredth."""
    depth, width, rng = 5, 256, np.random.default_rng(0)
    phi, chosen = (
        as_nonlinearity(activation),
        initscope.advise(activation, depth, cost=False).chosen,
    )
    found = []
    for _ in range(8):
        a = rng.normal(size=(64, width))
        squares = []
        for _ in range(depth):
            kernel = rng.normal(size=(width, width)) * (chosen.weight_variance / width) ** 0.5
            z = a @ kernel + rng.normal(size=width) * chosen.bias_variance**0.5
            a = phi.f(z)
            squares.append(np.mean(z**2))
        size, flat = np.sqrt(np.mean(a**2)), np.abs(phi.df(z)) < FLAT * phi.max_slope
        resting = flat & (np.abs(a) < FLAT * size)
        kept = flat & ~resting if resting.mean() > 0.6 * flat.mean() else flat
        growth = np.log(squares[-1] / squares[0])
        found.append((a.mean() / size, kept.mean(), growth))
    error = np.std(found, axis=0, ddof=1) / 8**0.5
    said = (chosen.mean, chosen.saturated, 2 * np.log(chosen.signal))
    off = np.abs(np.mean(found, axis=0) - said)
    assert np.all(off < 5 * error + 0.01)


@pytest.mark.parametrize(
    ("activation", "written"),
    [("relu", '"relu"'), (keras.layers.PReLU(), "activation"), (keras.ops.tanh, '"tanh"')],
)
def test_an_activation_is_written_by_a_name_that_keras_knows(activation, written):
    assert f"    {written},\n" in initscope.advise(activation, 5, cost=False).code


def test_of_a_constant_nothing_is_advised():
    with pytest.raises(ValueError, match="a function that changes with its input"):
        initscope.advise(lambda x: 0 * x, 5)
