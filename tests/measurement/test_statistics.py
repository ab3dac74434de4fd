"""Each row of the table against NumPy in float64, for values of any shape, size and sort."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from measuring import assert_agree, measure, measure_stack, reference

from keras_initscope.measurement import histograms, packing, statistics, views
from keras_initscope.measurement.backends import tensorflow as backend
from keras_initscope.records import Quantity

EPS = float(np.finfo(np.float32).eps)
SHAPE = (64, 12)  # examples, units
RNG = np.random.default_rng(0)

VALUES = {
    "normal": RNG.normal(size=SHAPE),
    "shifted": RNG.normal(5.0, 0.5, size=SHAPE),
    "student_t": RNG.standard_t(2, size=SHAPE),
    "lognormal": RNG.lognormal(0.0, 2.0, size=SHAPE),
    "sparse": RNG.normal(size=SHAPE) * (RNG.random(SHAPE) < 0.3),
    "tiny": RNG.normal(size=SHAPE) * 1e-30,
    "huge": RNG.normal(size=SHAPE) * 1e30,
    "greatest": RNG.choice([-1.0, 1.0], size=SHAPE) * float(np.finfo(np.float32).max),
    "one_unit_rules": RNG.normal(size=SHAPE) * np.where(np.arange(12) == 3, 100.0, 1e-3),
}


def _float32(name):
    return VALUES[name].astype(np.float32)


@pytest.fixture(params=[True, False], ids=["masked", "chosen"])
def masked(request, monkeypatch):
    """Small tensors always have a mask; of large ones the graph chooses, here of all."""
    if not request.param:
        monkeypatch.setattr(views, "_SMALL", 0)


@pytest.mark.usefixtures("masked")
@pytest.mark.parametrize("name", VALUES)
def test_every_row_is_what_numpy_says(name):
    values = _float32(name)
    assert_agree(measure([ops.array(values)]).values, reference(values))


def test_every_row_of_the_table_has_a_reference():
    rows = {row.name for row in statistics.rows(signal=True, sloped=False)}
    assert rows == set(reference(VALUES["normal"]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_are_measured_in_float32(dtype):
    values = ops.cast(ops.array(VALUES["normal"]), dtype)
    exact = np.asarray(ops.cast(values, "float64"))
    assert_agree(measure([values]).values, reference(exact))


def test_half_precision_squares_do_not_overflow():
    values = ops.cast(ops.array(VALUES["normal"] * 1e4), "float16")
    exact = np.asarray(ops.cast(values, "float64"))
    assert_agree(measure([values]).values, reference(exact))


@pytest.mark.usefixtures("masked")
def test_non_finite_values_are_counted_and_left_out():
    values = _float32("normal")
    values[3, 1], values[5, 1], values[7, 2] = np.nan, np.inf, -np.inf
    found = measure([ops.array(values)]).values
    assert found["nonfinite_count"] == 3
    assert_agree(found, reference(values))


def test_units_that_do_what_another_one_does():
    values = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    values[:, 3] = values[:, 0]
    values[:, 4:] = 1.0  # constants tell nothing
    assert measure([ops.array(values)]).values["duplicate_fraction"] == pytest.approx(2 / 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nothing_finite_leaves_nothing_known_but_the_count(bad):
    found = measure([ops.full(SHAPE, bad)]).values
    assert found["nonfinite_count"] == np.prod(SHAPE)
    assert found["zero_fraction"] == 0
    unknown = set(found) - {"nonfinite_count", "zero_fraction"}
    assert {name for name in unknown if np.isfinite(found[name])} == set()


def test_zeros():
    found = measure([ops.zeros(SHAPE)]).values
    for name in ("mean", "variance", "minimum", "maximum", "root_mean_square"):
        assert found[name] == 0
    assert found["signal"] == found["constant"] == 0
    assert found["zero_fraction"] == 1
    assert np.isnan(found["skewness"])
    assert np.isnan(found["kurtosis"])


@pytest.mark.parametrize("value", [1.0, 0.1, -3.7e-20, 1e30])
def test_a_constant_has_no_spread_and_no_shape(value):
    found = measure([ops.full(SHAPE, value, "float32")]).values
    assert found["mean"] == pytest.approx(value, rel=4 * EPS)
    assert found["root_mean_square"] == pytest.approx(abs(value), rel=4 * EPS)
    assert found["constant"] == pytest.approx(value**2, rel=8 * EPS)
    # What is left of the spread is the rounding of the mean.
    for name in ("variance", "signal"):
        assert 0 <= found[name] <= (8 * EPS * value) ** 2


def test_denormals_are_small_numbers_or_zero_but_never_spoil_anything():
    """Devices may flush float32's denormals to zero; both readings are right."""
    values = np.full(SHAPE, 2.0**-140, np.float32)
    found = measure([ops.array(values)]).values
    assert found["nonfinite_count"] == 0
    for name in ("mean", "minimum", "maximum", "root_mean_square"):
        assert 0 <= found[name] <= 2.0**-126


def test_the_greatest_values_are_right_in_a_stack_too():
    """Devices take powers of many numbers at once by a formula that is off by the last bit."""
    values = _float32("greatest") * np.float32(0.3)
    for stats in measure_stack([ops.array(values)] * 56):
        assert_agree(stats.values, reference(values))


def test_empty_tensors_have_nothing_to_tell():
    stats = measure([ops.zeros((0, 5))])
    assert stats.tap.size == 0
    assert stats.histogram.total == 0
    assert stats.values["nonfinite_count"] == 0
    assert np.isnan(stats.values["mean"])


@pytest.mark.parametrize("quantity", [q for q in Quantity if not statistics.is_signal(q)])
def test_weights_and_gradients_have_no_units(quantity):
    values = _float32("shifted")
    found = measure([ops.array(values)], quantity=quantity).values
    expected = reference(values)
    del expected["signal"], expected["constant"], expected["duplicate_fraction"]
    assert set(found) == set(expected)
    assert_agree(found, expected)


def test_signal_and_constant_make_up_the_mean_square():
    """E[a^2] = mean over units of (variance over examples + squared mean over examples)."""
    for name in VALUES:
        found = measure([ops.array(_float32(name))]).values
        together = found["signal"] + found["constant"]
        assert together == pytest.approx(found["root_mean_square"] ** 2, rel=1e-5)


def test_weights_of_many_shapes_are_reduced_together_to_the_numbers_of_each(monkeypatch):
    """They are brought to one length with NaNs, which must leave no trace."""
    shapes = [(1,), (2, 3), (16,), (17,), (3, 5, 4), (256,), (257,), (40, 60), (90, 91), (8_192,)]
    shapes = shapes * 8 + [(8_193,), (0, 3)]
    values = [RNG.normal(1.0, 2.0, size=shape).astype(np.float32) for shape in shapes]
    values[1].flat[0], values[6].flat[3], values[12].flat[2] = np.nan, np.inf, 0.0
    packing._part.cache_clear()  # what was built before would not be built again
    reductions, original = [], packing._reduce
    monkeypatch.setattr(
        packing, "_reduce", lambda *args: (reductions.append(1), original(*args))[1]
    )
    found = measure_stack([ops.array(array) for array in values], Quantity.BIAS)
    assert 0 < len(reductions) <= 8
    for array, stats in zip(values, found, strict=True):
        assert stats.tap.size == array.size
        assert stats.histogram.total == min(array.size, histograms.SAMPLE)
        if array.size:
            expected = reference(array)
            del expected["signal"], expected["constant"], expected["duplicate_fraction"]
            assert_agree(stats.values, expected)


def test_shares_are_exact_in_a_stack_too():
    shapes = [(4,), (3, 5), (16,), (7, 7), (100,)] * 8
    for stats in measure_stack([ops.zeros(shape) for shape in shapes], Quantity.BIAS):
        assert stats.values["zero_fraction"] == 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_several_dtypes_too(dtype):
    tensors = [ops.cast(ops.array(VALUES["normal"]), kind) for kind in ("float32", dtype)]
    for tensor, stats in zip(tensors, measure_stack(tensors, Quantity.KERNEL), strict=True):
        expected = reference(np.asarray(ops.cast(tensor, "float64")))
        del expected["signal"], expected["constant"], expected["duplicate_fraction"]
        assert_agree(stats.values, expected)


def test_a_batch_collapsed_to_one_vector_has_no_signal():
    vector = RNG.normal(size=12)
    values = np.float32(vector + 1e-3 * RNG.normal(size=SHAPE))
    found = measure([ops.array(values)]).values
    assert found["signal"] == pytest.approx(np.mean(np.var(np.float64(values), axis=0)), rel=1e-3)
    assert found["variance"] > 0.1  # while over all elements it looks healthy


def test_units_lie_along_the_axis_that_is_named():
    values = RNG.normal(size=(4, 3, 5, 6)).astype(np.float32) * np.arange(1, 4)[None, :, None, None]
    last = np.moveaxis(values, 1, -1).reshape(-1, 3)
    found = measure([ops.array(values)], unit_axis=1).values
    assert_agree(found, reference(last))


def test_several_calls_are_taken_together():
    calls = [RNG.normal(size=(n, 6)).astype(np.float32) + n for n in (8, 16)]
    stats = measure([ops.array(call) for call in calls])
    assert stats.tap.size == 24 * 6
    assert_agree(stats.values, reference(np.concatenate(calls)))


@pytest.mark.parametrize("shape", [(4_000, 37), (37, 4_000), (150_001, 1)], ids=str)
def test_large_tensors_are_reduced_in_pieces_to_the_same_numbers(shape, monkeypatch):
    values = np.random.default_rng(1).normal(0.3, 2.0, size=shape).astype(np.float32)
    values.flat[17] = np.nan
    values.flat[values.size - 2] = 7.0
    whole = measure([ops.array(values)]).values
    monkeypatch.setattr(views, "PIECE", 10_000)
    pieces = measure([ops.array(values)]).values
    assert_agree(pieces, reference(values))
    assert_agree(pieces, dict(whole))


@pytest.mark.parametrize("quantity", [Quantity.KERNEL, Quantity.ACTIVATION])
def test_tensors_above_the_size_of_a_piece_are_right(quantity):
    values = np.random.default_rng(2).normal(1.0, 0.1, size=(9_001, 67)).astype(np.float32)
    assert values.size > 2 * views.PIECE
    found = measure([ops.array(values)], quantity=quantity).values
    expected = reference(values)
    assert_agree(found, {name: expected[name] for name in found})


# Slopes of units by construction: column 0 is in the middle, 1 far below, 2 far above.
FAR = np.float32([[0.3, -30.0, 30.0], [-0.2, -31.0, 31.0], [0.1, -32.0, 32.0]])
DEAD_AND_SATURATED = {
    "relu": (1 / 3, 1 / 3),  # a unit that never fires is also one without slope
    "tanh": (2 / 3, 2 / 3),  # 1 - tanh(30)^2 is zero in float32
    "sigmoid": (1 / 3, 2 / 3),  # sigmoid(30) rounds to one, sigmoid(-30) not to zero
    "gelu": (1 / 3, 1 / 3),
    "elu": (1 / 3, 1 / 3),  # exp(-30) - 1 rounds to -1
    "leaky_relu": (0.0, 0.0),
    "softplus": (0.0, 1 / 3),
}


def sloped(name, values):
    """What the table says of an activation function at these preactivations."""
    function = keras.activations.get(name)
    elementwise, bound = backend.slope_bound(function)
    assert elementwise
    outputs, slope = backend.with_slope(function, ops.array(values))
    return measure([outputs], slopes=[slope], slope_bound=bound).values


@pytest.mark.parametrize("name", DEAD_AND_SATURATED)
def test_dead_and_saturated_units_by_construction(name):
    dead, saturated = DEAD_AND_SATURATED[name]
    found = sloped(name, FAR)
    assert found["dead_fraction"] == pytest.approx(dead)
    assert found["saturated_fraction"] == pytest.approx(saturated)


def test_a_unit_that_lives_for_one_example_is_not_dead():
    values = np.full((100, 2), -1.0, np.float32)
    values[42, 0] = 1.0
    found = sloped("relu", values)
    assert found["dead_fraction"] == 0.5
    assert found["saturated_fraction"] == 1.0  # a mean slope of 1/100 is below a twentieth


def test_a_negative_slope_is_a_slope():
    found = sloped("silu", np.full((4, 3), -2.0, np.float32))
    assert found["dead_fraction"] == found["saturated_fraction"] == 0


def test_a_kink_does_not_make_healthy_zeros_dead():
    """Zeros that a ReLU gives are no sign: half of them belong to a healthy layer."""
    values = RNG.normal(size=(200, 50)).astype(np.float32)
    found = sloped("relu", values)
    assert found["zero_fraction"] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / values.size))
    assert found["dead_fraction"] == 0


def test_without_a_known_bound_saturation_is_unknown():
    stats = measure([ops.ones(SHAPE)], slopes=[ops.ones(SHAPE)], slope_bound=float("nan"))
    assert np.isnan(stats.values["saturated_fraction"])
    assert stats.values["dead_fraction"] == 0


def test_slopes_are_reduced_in_pieces_to_the_same_numbers(monkeypatch):
    values = np.random.default_rng(3).normal(size=(4_000, 30)).astype(np.float32)
    values[:, :10] = -np.abs(values[:, :10])
    monkeypatch.setattr(views, "PIECE", 5_000)
    assert sloped("relu", values)["dead_fraction"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "glu", "sparsemax"])
def test_functions_that_mix_elements_are_not_taken_for_elementwise(name):
    function = getattr(keras.activations, name)
    assert backend.slope_bound(function) == (False, pytest.approx(np.nan, nan_ok=True))


BOUNDS = {
    "linear": 1.0,
    "relu": 1.0,
    "tanh": 1.0,
    "sigmoid": 0.25,
    "softsign": 1.0,
    "elu": 1.0,
    "softplus": 1.0,
    "selu": 1.05070098 * 1.67326324,  # just left of zero
    "gelu": 1.1289042,  # Phi(x) + x phi(x) at x = sqrt(2)
    "silu": 1.0998393,  # the root of d^2 silu
}


@pytest.mark.parametrize("name", BOUNDS)
def test_the_steepest_slope_of_known_functions(name):
    elementwise, bound = backend.slope_bound(keras.activations.get(name))
    assert elementwise
    assert bound == pytest.approx(BOUNDS[name], rel=2e-2)
    assert bound <= BOUNDS[name] * (1 + 1e-5)


def test_trying_a_function_out_neither_warns_nor_records(recwarn):
    with tf.GradientTape() as tape:
        backend.slope_bound(keras.activations.softmax)
        x = tf.Variable(2.0)
        y = x * x
    assert not recwarn.list
    assert float(tape.gradient(y, x)) == 4.0


def test_the_bound_is_found_also_while_a_graph_is_built():
    """Within `tf.init_scope` no tape records, so that every bound would look like one."""
    found = []

    @tf.function
    def traced():
        found.append(backend.slope_bound(keras.activations.sigmoid))

    traced()
    assert found == [(True, pytest.approx(0.25))]
