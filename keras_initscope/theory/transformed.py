"""Nonlinearities with their input and output scaled and shifted.

Owns the affine transformation of a row; `shaping` chooses its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from keras_initscope.theory.gaussian import REACH, Array, Function
from keras_initscope.theory.nonlinearity import Nonlinearity


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformation:
    """`f(x) = output_scale (phi(input_scale x + input_shift) + output_shift)`.

    The form of Martens et al. (2021, eq. 6).

    Args:
        input_scale: Factor of the input, not zero.
        input_shift: Added to the scaled input.
        output_scale: Factor of the shifted output.
        output_shift: Added to the output of `phi`, before it is scaled.

    Example:

    ```python
    assert Transformation(output_scale=2.0).input_scale == 1.0
    ```
    """

    input_scale: float = 1.0
    input_shift: float = 0.0
    output_scale: float = 1.0
    output_shift: float = 0.0


@lru_cache(maxsize=256)
def transformed(phi: Nonlinearity, by: Transformation) -> Nonlinearity:
    """The row of a transformed nonlinearity, its kinks moved with it.

    Args:
        phi: The nonlinearity.
        by: How it is transformed.

    Returns:
        Its row; the same object for the same arguments.

    Raises:
        ValueError: If the input scale is zero: the result would be a constant.

    Example:

    ```python
    import numpy as np

    from keras_initscope.theory.nonlinearities import nonlinearity

    made = transformed(nonlinearity("relu"), Transformation(input_shift=-1.0, output_scale=3.0))
    assert made.kinks == (1.0,)
    assert np.allclose(made.f(np.array([0.0, 2.0])), [0.0, 3.0])
    ```
    """
    if not by.input_scale:
        raise ValueError(
            f"An input scale of zero makes {phi.name} a constant. Received: {by}. Expected a "
            "positive or negative number."
        )
    a, b, c = by.input_scale, by.input_shift, by.output_scale

    def inside(function: Function, factor: float) -> Function:
        return lambda x: factor * function(a * x + b)

    def f(x: Array) -> Array:
        return c * (phi.f(a * x + b) + by.output_shift)

    return replace(
        phi,
        name=f"{phi.name} transformed by ({a:.6g}, {b:.6g}, {c:.6g}, {by.output_shift:.6g})",
        f=f,
        df=inside(phi.df, a * c),
        kinks=tuple(sorted({(kink - b) / a for kink in (*phi.kinks, *_features(a))})),
        width=phi.width / abs(a),
        reach=max(phi.reach, phi.reach * abs(a)) if phi.reach > REACH else phi.reach,
        spread=None if phi.spread is None else inside(phi.spread, c * c),
        slope_spread=None if phi.slope_spread is None else inside(phi.slope_spread, (a * c) ** 2),
    )


def _features(input_scale: float) -> list[float]:
    """Panel ends around the origin of a function that the scale makes narrower than 1."""
    if abs(input_scale) <= 1:
        return []
    steps = [2.0**k for k in range(64) if 2.0**k < abs(input_scale)]
    return [0.0, *steps, *(-step for step in steps)]
