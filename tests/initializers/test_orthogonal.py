"""Orthogonal, delta-orthogonal, identical and sparse kernels: matrices, windows, variances."""

import keras
import numpy as np
import pytest
from initializers.reading import gram, numbers

from keras_initscope.initializers import (
    DeltaOrthogonal,
    Dirac,
    ScaledOrthogonal,
    Sparse,
)

L = keras.layers


@pytest.mark.parametrize("shape", [(64, 256), (256, 64), (64, 64), (3, 3, 4, 40)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_scaled_orthogonal_keeps_the_variance_of_every_shape(shape, gain):
    values = numbers(ScaledOrthogonal(gain, seed=1)(shape)).reshape(-1, shape[-1])
    rows, columns = values.shape
    assert np.mean(np.sum(values**2, axis=0)) == pytest.approx(gain**2, rel=1e-6)
    if rows >= columns:
        np.testing.assert_allclose(gram(values), gain**2 * np.eye(columns), atol=1e-5)
    else:
        wide = gain**2 * columns / rows
        np.testing.assert_allclose(gram(values.T), wide * np.eye(rows), atol=1e-5 * wide)


def test_where_widths_agree_or_shrink_it_is_keras_own():
    for shape in ((64, 64), (100, 20)):
        ours, theirs = ScaledOrthogonal(seed=2)(shape), keras.initializers.Orthogonal(seed=2)(shape)
        np.testing.assert_array_equal(ours, theirs)


def test_einsum_dense_tells_it_which_axes_it_contracts():
    layer = L.MultiHeadAttention(4, 8, kernel_initializer=ScaledOrthogonal())
    layer.build((None, 5, 32), (None, 5, 32))
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense):
        matrix = numbers(dense.kernel).reshape(32, 32)
        np.testing.assert_allclose(gram(matrix), np.eye(32), atol=1e-5)
    matrix = numbers(layer.output_dense.kernel).reshape(32, 32)
    np.testing.assert_allclose(gram(matrix), np.eye(32), atol=1e-5)


def test_axes_in_neither_list_number_matrices_of_their_own():
    values = numbers(ScaledOrthogonal(seed=3, input_axes=(0, 1), output_axes=(-1,))((3, 3, 5, 4)))
    matrices = values.transpose(2, 0, 1, 3).reshape(5, 9, 4)
    for matrix in matrices:
        np.testing.assert_allclose(gram(matrix), np.eye(4), atol=1e-6)
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
    matrix = numbers(ScaledOrthogonal(seed=1)((inputs, outputs)))
    np.testing.assert_allclose(layer(x), x @ matrix, atol=1e-5)


def test_delta_orthogonal_serves_depthwise_and_transposed_kernels():
    values = numbers(DeltaOrthogonal(seed=1, input_axes=(-1,), output_axes=(-2,))((3, 3, 8, 5)))
    np.testing.assert_allclose(
        values[1, 1] @ values[1, 1].T, 8 / 5 * _projection(values), atol=1e-5
    )
    one = numbers(DeltaOrthogonal(seed=1, input_axes=(), output_axes=(-1,))((3, 3, 6, 1)))
    np.testing.assert_allclose(np.abs(one[1, 1]), 1, atol=1e-6)
    assert np.count_nonzero(one) == 6


EQUATIONS = {  # as in attention, whose kernels have three axes and no window
    "abc,cde->abde": ((6, 64), (None, 8, 16)),
    "abcd,cde->abe": ((6, 4, 16), (None, 48)),
    "abc,bcd->abd": ((6, 32), (6, 48)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_delta_orthogonal_is_orthogonal_where_an_einsum_has_no_window(equation):
    shape, outputs = EQUATIONS[equation]
    made = {}
    for kind in (DeltaOrthogonal, ScaledOrthogonal):
        layer = L.EinsumDense(equation, outputs, kernel_initializer=kind(seed=1))
        layer.build((None, *shape))
        made[kind] = numbers(layer.kernel)
    np.testing.assert_array_equal(made[DeltaOrthogonal], made[ScaledOrthogonal])
    _, kernel, outputs = equation.replace("->", ",").split(",")
    axes = tuple(i for i, label in enumerate(kernel) if label not in outputs)
    assert np.mean(np.sum(made[DeltaOrthogonal] ** 2, axis=axes)) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("axes", [((0, 1), (3,)), ((3,), (2,)), ((1,), (-1,))])
def test_delta_orthogonal_refuses_axes_that_leave_the_window_open(axes):
    with pytest.raises(
        ValueError, match=r"input_axes=\(-1,\), output_axes=\(-2,\) for a transposed"
    ):
        DeltaOrthogonal(input_axes=axes[0], output_axes=axes[1])((3, 3, 6, 4))


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
    values = numbers(Sparse(15, seed=1)(shape)).reshape(-1, shape[-1])
    count = min(15, len(values))
    assert np.all(np.count_nonzero(values, axis=0) == count)
    error = np.sqrt(2 / (count * shape[-1]))
    assert np.mean(np.sum(values**2, axis=0)) == pytest.approx(1, abs=4 * error)
    # Every input is as likely as any other.
    share = np.count_nonzero(values, axis=1) / shape[-1]
    chance = count / len(values)
    noise = 5 * np.sqrt(chance * (1 - chance) / shape[-1]) + 1e-12
    np.testing.assert_allclose(share, chance, atol=noise)
