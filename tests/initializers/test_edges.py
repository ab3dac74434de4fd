"""Shapes and arguments that no weights can be made of are refused, with what was expected."""

import pytest

from keras_initscope.initializers import DeltaOrthogonal, Dirac, Gated, ScaledOrthogonal, Sparse


@pytest.mark.parametrize("kind", [ScaledOrthogonal, DeltaOrthogonal, lambda: Sparse(2)])
def test_axes_of_no_length(kind):
    with pytest.raises(ValueError, match=r"axes of length 1 or more. Received: shape=\(0, 4\)"):
        kind()((0, 4))


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [((0,), (7,), "axes of a shape of 4"), ((0, 1), (1, 2), "not both")],
)
def test_axes_that_are_none_or_both(inputs, outputs, said):
    with pytest.raises(ValueError, match=said):
        ScaledOrthogonal(input_axes=inputs, output_axes=outputs)((2, 3, 4, 5))


@pytest.mark.parametrize("arguments", [([],), ("zeros", 0), ("zeros", -4)])
def test_no_gates(arguments):
    with pytest.raises(ValueError, match="`gates` to be an integer of at least 1"):
        Gated(*arguments)


def test_a_shape_without_axes_has_no_gates():
    with pytest.raises(ValueError, match="divided into 4 gates"):
        Gated("zeros")(())


def test_no_groups():
    with pytest.raises(ValueError, match="`groups` to be an integer of at least 1"):
        Dirac(groups=0)


@pytest.mark.parametrize("shape", [(5,), (1, 1, 1, 1, 2, 2)])
def test_shapes_that_are_no_kernels(shape):
    with pytest.raises(ValueError, match="two to five axes"):
        Dirac()(shape)


@pytest.mark.parametrize("kind", [ScaledOrthogonal, DeltaOrthogonal, Sparse, Gated, Dirac])
def test_integers_are_no_weights(kind):
    with pytest.raises(ValueError, match=r"floating-point dtype.*Received: int32"):
        kind()((4, 4), dtype="int32")
