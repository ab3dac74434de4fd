"""What the initializers draw: variances, matrices, windows, sparsity; and every known defect cured.

Outputs for inputs of unit second moment are measured by the layer itself.
"""

from itertools import pairwise

import keras
import numpy as np
import pytest

import keras_initscope as initscope
from keras_initscope.fans import fans_of
from keras_initscope.initializers import (
    Critical,
    CriticalBias,
    DeltaOrthogonal,
    Dirac,
    Fixup,
    GainScaling,
    Gated,
    Kumar,
    ResidualScaling,
    ScaledOrthogonal,
    Sparse,
)
from keras_initscope.initializers.fitting import fitted

L = keras.layers
SHAPE = (300, 200)


def _numbers(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))


def _gram(matrix):
    return matrix.T @ matrix


# --- variances ---------------------------------------------------------------------------------

FANS = {"fan_in": 300, "fan_out": 200, "fan_avg": 250, "fan_geo_avg": np.sqrt(300 * 200)}
GAINS = {"fan_in": "forward", "fan_out": "backward", "fan_avg": "average",
         "fan_geo_avg": "geometric"}  # fmt: skip
KURTOSIS = {"truncated_normal": 2.37, "untruncated_normal": 3.0, "uniform": 1.8}


@pytest.mark.parametrize("distribution", KURTOSIS)
@pytest.mark.parametrize("mode", FANS)
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", None])
def test_gain_scaling_has_the_squared_gain_over_the_fan(activation, mode, distribution):
    values = _numbers(GainScaling(activation, mode, distribution, seed=1)(SHAPE))
    expected = initscope.gain(activation, GAINS[mode]) ** 2 / FANS[mode]
    error = np.sqrt((KURTOSIS[distribution] - 1) / values.size)
    assert np.mean(values**2) / expected == pytest.approx(1, abs=4 * error)


def test_for_relu_it_is_he_and_for_no_activation_it_is_lecun():
    for activation, keras_own in (("relu", "HeNormal"), (None, "LecunNormal")):
        theirs = getattr(keras.initializers, keras_own)(seed=2)(SHAPE)
        np.testing.assert_allclose(GainScaling(activation, seed=2)(SHAPE), theirs, rtol=1e-6)


@pytest.mark.parametrize("activation", [keras.layers.LeakyReLU(0.3), keras.activations.gelu])
def test_layers_and_functions_are_taken_and_saved(activation):
    original = GainScaling(activation, seed=3)
    config = keras.saving.serialize_keras_object(original)
    copy = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(copy(SHAPE), original(SHAPE))


def test_what_theory_alone_knows_cannot_be_saved_and_says_so():
    initializer = GainScaling(initscope.layers.RReLU().nonlinearity)
    with pytest.raises(ValueError, match=r"cannot be saved\. Expected the name"):
        initializer.get_config()


@pytest.mark.parametrize("mode", ["fan", "FAN_IN"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(ValueError, match="Expected a mode of"):
        GainScaling("relu", mode)


def test_kumar_is_exact_for_the_sigmoid():
    assert Kumar("sigmoid").scale == pytest.approx(12.8, rel=1e-12)
    assert Kumar("tanh").scale == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(("activation", "why"), [("relu", "kink"), ("hard_shrink", "f'")])
def test_kumar_refuses_what_its_premise_does_not_cover(activation, why):
    with pytest.raises(ValueError, match=why):
        Kumar(activation)


@pytest.mark.parametrize("bias_variance", [0.0, 0.05, None])
def test_critical_weights_have_chi_one_at_the_fixed_point(bias_variance):
    weight = Critical("tanh", bias_variance).scale
    bias = CriticalBias("tanh", bias_variance).stddev ** 2
    found = initscope.criticality("tanh", bias_variance=bias, weight_variance=weight)
    assert found.chi_1 == pytest.approx(1, abs=1e-6)


def test_where_nothing_is_critical_both_say_what_helps():
    for kind in (Critical, CriticalBias):
        with pytest.raises(ValueError, match="no critical weight variance"):
            kind("relu", bias_variance=0.1)


def test_residual_branches_share_one_unit_of_growth():
    """50 branches of a linear network: (1 + 1/L)^L instead of 2^L, in expectation."""
    rng, branches, width = np.random.default_rng(0), 50, 64
    initializer = ResidualScaling(branches, seed=keras.random.SeedGenerator(0))
    found = []
    for _ in range(20):
        x = rng.normal(size=(32, width))
        for _ in range(branches):
            x = x + x @ _numbers(initializer((width, width)))
        found.append(np.mean(x**2))
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx((1 + 1 / branches) ** branches, abs=4 * error)


@pytest.mark.parametrize(("layers", "power"), [(2, 1), (3, 1 / 2), (5, 1 / 4)])
def test_fixup_divides_by_the_depth_to_the_power_of_the_paper(layers, power):
    assert Fixup(16, layers).scale == pytest.approx(2 * 16**-power)
    with pytest.raises(ValueError, match="the last one: use 'zeros'"):
        Fixup(16, 1)


# --- matrices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (64, 64), (3, 3, 4, 40)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_scaled_orthogonal_keeps_the_variance_of_every_shape(shape, gain):
    values = _numbers(ScaledOrthogonal(gain, seed=1)(shape)).reshape(-1, shape[-1])
    rows, columns = values.shape
    assert np.mean(np.sum(values**2, axis=0)) == pytest.approx(gain**2, rel=1e-6)
    if rows >= columns:
        np.testing.assert_allclose(_gram(values), gain**2 * np.eye(columns), atol=1e-5)
    else:
        wide = gain**2 * columns / rows
        np.testing.assert_allclose(_gram(values.T), wide * np.eye(rows), atol=1e-5 * wide)


def test_where_widths_agree_or_shrink_it_is_keras_own():
    for shape in ((64, 64), (100, 20)):
        ours, theirs = ScaledOrthogonal(seed=2)(shape), keras.initializers.Orthogonal(seed=2)(shape)
        np.testing.assert_array_equal(ours, theirs)


def test_einsum_dense_tells_it_which_axes_it_contracts():
    layer = L.MultiHeadAttention(4, 8, kernel_initializer=ScaledOrthogonal())
    layer.build((None, 5, 32), (None, 5, 32))
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        matrix = _numbers(dense.kernel).reshape(32, 32)
        np.testing.assert_allclose(_gram(matrix), np.eye(32), atol=1e-5)
    matrix = _numbers(layer.output_dense.kernel).reshape(32, 32)
    np.testing.assert_allclose(_gram(matrix), np.eye(32), atol=1e-5)


def test_axes_in_neither_list_number_matrices_of_their_own():
    values = _numbers(ScaledOrthogonal(seed=3, input_axes=(0, 1), output_axes=(-1,))((3, 3, 5, 4)))
    matrices = values.transpose(2, 0, 1, 3).reshape(5, 9, 4)
    for matrix in matrices:
        np.testing.assert_allclose(_gram(matrix), np.eye(4), atol=1e-6)
    assert np.abs(matrices[0] - matrices[1]).max() > 0.1


@pytest.mark.parametrize("kind", [ScaledOrthogonal, DeltaOrthogonal, Sparse])
def test_a_vector_is_no_kernel(kind):
    with pytest.raises(ValueError, match="two axes or more"):
        kind()((5,))


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 8), (8, 24), (24, 8)])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("size", [3, 4])
def test_delta_orthogonal_is_one_matrix_at_each_position(rank, size, inputs, outputs):
    layer = getattr(L, f"Conv{rank}D")(
        outputs, size, padding="same", kernel_initializer=DeltaOrthogonal(seed=1)
    )
    x = np.random.default_rng(0).normal(size=(2, *(5,) * rank, inputs)).astype("float32")
    matrix = _numbers(ScaledOrthogonal(seed=1)((inputs, outputs)))
    np.testing.assert_allclose(layer(x), x @ matrix, atol=1e-5)


def test_delta_orthogonal_serves_depthwise_and_transposed_kernels():
    values = _numbers(DeltaOrthogonal(seed=1, input_axes=(-1,), output_axes=(-2,))((3, 3, 8, 5)))
    np.testing.assert_allclose(
        values[1, 1] @ values[1, 1].T, 8 / 5 * _projection(values), atol=1e-5
    )
    one = _numbers(DeltaOrthogonal(seed=1, input_axes=(0, 1), output_axes=(3,))((3, 3, 6, 1)))
    np.testing.assert_allclose(np.abs(one[1, 1]), 1, atol=1e-6)
    assert np.count_nonzero(one) == 6


def _projection(values):
    """Onto the space that five inputs span among eight outputs."""
    basis = np.linalg.qr(values[1, 1])[0]
    return basis @ basis.T


@pytest.mark.parametrize("size", [1, 3, 4, (2, 5)])
@pytest.mark.parametrize("kind", [L.Conv2D, L.Conv2DTranspose])
def test_dirac_is_the_identity(kind, size):
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")
    layer = kind(4, size, padding="same", kernel_initializer=Dirac())
    np.testing.assert_allclose(layer(x), x, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
def test_dirac_works_in_every_dimension_and_leaves_more_outputs_empty(rank):
    x = np.random.default_rng(0).normal(size=(2, *(4,) * rank, 3)).astype("float32")
    layer = getattr(L, f"Conv{rank}D")(5, 3, padding="same", kernel_initializer=Dirac(2.0))
    y = np.asarray(layer(x))
    np.testing.assert_allclose(y[..., :3], 2 * x, atol=1e-6)
    np.testing.assert_array_equal(y[..., 3:], 0)


def test_dirac_hands_on_each_group():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 6)).astype("float32")
    layer = L.Conv2D(6, 3, padding="same", groups=3, kernel_initializer=Dirac(groups=3))
    np.testing.assert_allclose(layer(x), x, atol=1e-6)
    with pytest.raises(ValueError, match="divided into groups"):
        Dirac(groups=4)((3, 3, 2, 6))


@pytest.mark.parametrize("shape", [(100, 400), (3, 3, 10, 400), (6, 400)], ids=str)
def test_sparse_units_have_so_many_inputs_and_unit_gain(shape):
    values = _numbers(Sparse(15, seed=1)(shape)).reshape(-1, shape[-1])
    count = min(15, len(values))
    assert np.all(np.count_nonzero(values, axis=0) == count)
    error = np.sqrt(2 / (count * shape[-1]))
    assert np.mean(np.sum(values**2, axis=0)) == pytest.approx(1, abs=4 * error)
    # Every input is as likely as any other.
    share = np.count_nonzero(values, axis=1) / shape[-1]
    chance = count / len(values)
    noise = 5 * np.sqrt(chance * (1 - chance) / shape[-1]) + 1e-12
    np.testing.assert_allclose(share, chance, atol=noise)


# --- gates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "gates"), [(L.LSTM, 4), (L.GRU, 3)])
@pytest.mark.parametrize("inner", ["orthogonal", ScaledOrthogonal(seed=1)])
def test_each_gate_is_orthogonal_and_differs_from_the_others(kind, gates, inner):
    layer = kind(48, recurrent_initializer=Gated(inner, gates))
    layer.build((None, 5, 7))
    parts = np.split(_numbers(layer.cell.recurrent_kernel), gates, axis=1)
    for part in parts:
        np.testing.assert_allclose(_gram(part), np.eye(48), atol=1e-5)
    for first, second in pairwise(parts):
        assert np.abs(first - second).max() > 0.1


def test_kernels_of_a_convolutional_lstm_have_gates_too():
    layer = L.ConvLSTM2D(6, 3, recurrent_initializer=Gated())
    layer.build((None, 2, 5, 5, 3))
    for part in np.split(_numbers(layer.cell.recurrent_kernel), 4, axis=-1):
        np.testing.assert_allclose(_gram(part.reshape(-1, 6)), np.eye(6), atol=1e-5)


def test_a_forget_bias_is_one_initializer_for_each_gate():
    constant = keras.initializers.Constant(2.0)
    bias = Gated(["zeros", constant, "zeros", "zeros"])
    layer = L.LSTM(3, bias_initializer=bias, unit_forget_bias=False)
    layer.build((None, 5, 7))
    np.testing.assert_array_equal(layer.cell.bias, np.repeat([0, 2, 0, 0], 3))
    with pytest.raises(ValueError, match="one for each gate"):
        Gated(["zeros", "ones"], gates=4)


def test_a_kernel_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="divided into 4 gates"):
        Gated()((3, 10))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU])
def test_recurrent_layers_can_be_built_in_half_precision(kind, dtype):
    gates = 4 if kind is L.LSTM else 3
    layer = kind(16, dtype=dtype, recurrent_initializer=Gated("orthogonal", gates))
    assert np.isfinite(_numbers(layer(np.ones((2, 3, 5))))).all()
    rounding = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for part in np.split(_numbers(layer.cell.recurrent_kernel), gates, axis=1):
        np.testing.assert_allclose(_gram(part), np.eye(16), atol=8 * rounding)


def test_keras_alone_cannot_build_one_in_bfloat16():
    """If this fails, Keras has learnt it, and the docstring of `Gated` wants a word less."""
    with pytest.raises(Exception, match="bfloat16"):
        L.LSTM(16, dtype="bfloat16").build((2, 3, 5))


# --- the defects -------------------------------------------------------------------------------

DEFECTS = {  # layer, shape of its inputs: Keras' variance scaling gives .01 to .43 instead of 1
    "depthwise 64": (lambda: L.DepthwiseConv2D(3), (10, 10, 64)),
    "depthwise 1d": (lambda: L.DepthwiseConv1D(5), (20, 64)),
    "separable 64": (lambda: L.SeparableConv2D(64, 3), (10, 10, 64)),
    "separable 1d": (lambda: L.SeparableConv1D(64, 5), (20, 64)),
    "transposed": (lambda: L.Conv2DTranspose(64, 3), (10, 10, 16)),
    "transposed by 2": (lambda: L.Conv2DTranspose(32, 4, strides=2), (9, 9, 16)),
    "transposed 1d": (lambda: L.Conv1DTranspose(64, 4, strides=2), (20, 32)),
    "transposed 3d": (lambda: L.Conv3DTranspose(16, 2, strides=2), (5, 5, 5, 16)),
    "grouped": (lambda: L.Conv2D(64, 3, groups=8), (10, 10, 64)),
    "attention": (lambda: L.EinsumDense("abc,cde->abde", (None, 8, 16)), (6, 64)),
    "expanding": (lambda: L.Dense(256), (64,)),
    "embedding": (lambda: L.Embedding(1000, 64), None),
}
CURES = {
    "lecun": keras.initializers.LecunNormal,
    "gain": lambda seed: GainScaling(None, "fan_in", "uniform", seed=seed),
    "orthogonal": keras.initializers.Orthogonal,
}
STANDARD_ERROR = 0.0125  # .05 is four of them


def _interior(y, layer):
    if "Transpose" not in type(layer).__name__:
        return y
    stride = layer.strides[0]
    margin = -(-(layer.kernel_size[0] - 1) // stride) * stride
    for axis in range(1, y.ndim - 1):
        size = (y.shape[axis] - 2 * margin) // stride * stride
        y = np.take(y, np.arange(margin, margin + size), axis=axis)
    return y


def _output_variances(kind, cure):
    """One number a draw of the weights, as many as bring their mean close enough."""
    make, shape = DEFECTS[kind]
    layer, rng = make(), np.random.default_rng(1)
    layer.build(None if shape is None else (None, *shape))
    found = []
    while len(found) < 8 or np.std(found) / np.sqrt(len(found)) > STANDARD_ERROR:
        for weight in fans_of(layer):
            if weight.fans is not None:
                seed = int(rng.integers(2**31))
                initializer = fitted(CURES[cure](seed=seed), weight.fans)
                weight.variable.assign(initializer(weight.variable.shape))
        x = np.arange(1000) if shape is None else rng.normal(size=(16, *shape)).astype("float32")
        found.append(np.mean(_interior(np.asarray(layer(x)), layer) ** 2))
    return found


@pytest.mark.parametrize("cure", CURES)
@pytest.mark.parametrize("kind", DEFECTS)
def test_with_true_fans_the_output_variance_is_one(kind, cure):
    assert 0.95 <= np.mean(_output_variances(kind, cure)) <= 1.05


IN_PLACE = {  # what a user passes, who knows the layout of the kernel
    "depthwise": (
        lambda **axes: L.DepthwiseConv2D(3, depthwise_initializer=ScaledOrthogonal(**axes)),
        {"input_axes": (0, 1), "output_axes": (3,)},
    ),
    "transposed": (
        lambda **axes: L.Conv2DTranspose(64, 3, kernel_initializer=GainScaling(None, **axes)),
        {"input_axes": (0, 1, 3), "output_axes": (2,)},
    ),
    "transposed by 2": (
        lambda **fans: L.Conv2DTranspose(
            64, 4, strides=2, kernel_initializer=GainScaling(None, **fans)
        ),
        {"fans": (4 * 4 * 16 / (2 * 2), 4 * 4 * 64)},
    ),
}


@pytest.mark.parametrize("kind", IN_PLACE)
def test_axes_and_fans_can_be_given_where_the_layer_is_made(kind):
    make, known = IN_PLACE[kind]
    found = {}
    for given in (True, False):
        samples = []
        for draw in range(12):
            keras.utils.set_random_seed(draw)
            layer = make(**(known if given else {}))
            x = keras.random.normal((8, 11, 11, 16), seed=draw)
            samples.append(np.mean(_interior(np.asarray(layer(x)), layer) ** 2))
        found[given] = np.mean(samples)
        error = np.std(samples, ddof=1) / np.sqrt(len(samples))
        if given:
            assert found[given] == pytest.approx(1, abs=4 * error + 1e-6)
    assert abs(found[False] - 1) > 0.25


def test_grouped_convolutions_are_scaled_by_the_outputs_of_a_group():
    layer = L.Conv2D(64, 3, groups=8)
    layer.build((None, 10, 10, 64))
    kernel = fans_of(layer)[0]
    initializer = keras.initializers.VarianceScaling(1.0, "fan_out", seed=1)
    values = _numbers(fitted(initializer, kernel.fans)(kernel.variable.shape))
    assert np.mean(values**2) * 9 * 64 / 8 == pytest.approx(1, abs=4 * np.sqrt(2 / values.size))


@pytest.mark.parametrize("inner", [keras.initializers.Orthogonal, ScaledOrthogonal])
def test_fitted_to_gates_an_orthogonal_kernel_is_orthogonal_in_each(inner):
    layer = L.LSTM(24)
    layer.build((None, 5, 7))
    for weight in fans_of(layer):
        if weight.fans is not None:
            values = _numbers(fitted(inner(seed=1), weight.fans)(weight.variable.shape))
            for part in np.split(values, 4, axis=1):
                assert np.mean(np.sum(part**2, axis=0)) == pytest.approx(1, rel=1e-5)
    for part in np.split(values, 4, axis=1):
        np.testing.assert_allclose(_gram(part), np.eye(24), atol=1e-5)


def test_what_has_no_fans_stays_and_a_generator_is_shared():
    layer = L.Dense(3)
    layer.build((None, 4))
    fans = fans_of(layer)[0].fans
    normal = keras.initializers.RandomNormal(seed=1)
    assert fitted(normal, fans) is normal
    generator = keras.random.SeedGenerator(1)
    assert fitted(GainScaling("relu", seed=generator), fans).seed is generator
    unseeded = GainScaling("relu")
    np.testing.assert_array_equal(fitted(unseeded, fans)((4, 3)), unseeded((4, 3)))


def test_without_a_seed_query_and_key_differ_with_one_they_do_not():
    """Keras copies the initializer for each projection, with its seed: leave the seed out."""
    for seed, same in ((1, True), (keras.random.SeedGenerator(1), True), (None, False)):
        layer = L.MultiHeadAttention(2, 4, kernel_initializer=GainScaling(None, seed=seed))
        layer.build((None, 5, 8), (None, 5, 8))
        equal = np.array_equal(layer.query_dense.kernel, layer.key_dense.kernel)
        assert equal == same
