"""A transformed row is the row at another Gaussian."""

import pytest

from keras_initscope.theory.moments import output_mean, second_moment, slope_second_moment
from keras_initscope.theory.nonlinearities import nonlinearity
from keras_initscope.theory.transformed import Transformation, transformed


@pytest.mark.parametrize("name", ["tanh", "leaky_relu", "rrelu", "hard_tanh", "sin"])
@pytest.mark.parametrize("scale", [0.3, -2.0, 7.0])
def test_moments_of_a_transformed_row_are_those_of_the_row_at_another_gaussian(name, scale):
    phi = nonlinearity(name)
    by = Transformation(input_scale=scale, input_shift=0.4, output_scale=3.0, output_shift=-0.2)
    made, variance = transformed(phi, by), scale**2
    mean, power = (float(m(phi, variance, 0.4)) for m in (output_mean, second_moment))
    assert output_mean(made) == pytest.approx(3 * (mean - 0.2), abs=1e-12)
    assert second_moment(made) == pytest.approx(9 * (power - 0.4 * mean + 0.04), rel=1e-11)
    slope = float(slope_second_moment(phi, variance, 0.4))
    assert slope_second_moment(made) == pytest.approx(9 * variance * slope, rel=1e-11)


def test_an_input_scale_of_zero_is_refused():
    with pytest.raises(ValueError, match="a constant"):
        transformed(nonlinearity("tanh"), Transformation(input_scale=0.0))
