"""Activations transformed so that a network's correlation map has the wanted value and slope.

Owns Deep Kernel Shaping (Martens et al., 2021) and Tailored Activation Transformations (Zhang et
al., 2022) of smooth activations: which numbers to transform by, for a network given as a structure.
Rectifiers are in `rectifiers`.
"""

from __future__ import annotations

import numpy as np

from keras_initscope.theory import kernel_conditions as local
from keras_initscope.theory.composition import Structure, maximal
from keras_initscope.theory.kernel_conditions import (
    centered,
    local_slope,
    mean_and_variance,
    solve,
    variance_slope,
)
from keras_initscope.theory.moments import slope_second_moment
from keras_initscope.theory.nonlinearity import Nonlinearity
from keras_initscope.theory.transformed import Transformation

_STARTS = [
    (float(np.log(scale)), shift)
    for shift in (1.0, -1.0, 0.1, 3.0, -3.0)
    for scale in (0.1, 0.3, 1.0)
]
_TINY = 1e-30


def dks(phi: Nonlinearity, network: Structure, slope: float = 1.5) -> Transformation:
    """Transform a smooth activation by Deep Kernel Shaping.

    Solves, for the transformed activation `f` and `z ~ N(0, 1)`,

    ```
    E f^2 = 1             variance 1 stays
    E f f' z = 1          deviations of the variance neither grow nor die
    E f = 0               C(0) = 0: different examples stay uncorrelated
    E f'^2 = psi          C'(1), the factor of the squared gradient
    ```

    with `psi` such that the largest slope of any subnetwork's correlation map is `slope`.

    Args:
        phi: The activation, not scale-invariant.
        network: Its structure: a number of activations in a row, or see `composition`.
        slope: The largest slope, above 1; the paper's 1.5.

    Returns:
        The four numbers.

    Raises:
        ValueError: If the slope is not above 1, or no such transformation is found.

    Example:

    ```python
    from keras_initscope.theory.nonlinearities import nonlinearity

    found = dks(nonlinearity("tanh"), 50)
    assert abs(found.input_scale - 0.1284404787) < 1e-9
    ```
    """
    _check_scale(phi, "DKS")
    psi = local_slope(network, slope)

    def errors(logarithm: float, shift: float) -> tuple[float, float]:
        by = centered(phi, _scale(logarithm), shift)
        return variance_slope(phi, by) - 1, local.slope(phi, by) - psi

    found = solve(errors, _STARTS)
    if found is None:
        raise _no_solution(phi, "DKS")
    return centered(phi, _scale(found[0]), found[1])


def tat(phi: Nonlinearity, network: Structure, curvature: float = 0.3) -> Transformation:
    """Transform a smooth activation by TAT.

    Solves, for the transformed activation `f` and `z ~ N(0, 1)`,

    ```
    E f^2 = 1             variance 1 stays
    E f f' z = 1          deviations of the variance neither grow nor die
    E f'^2 = 1            C'(1): so does the squared gradient
    E f''^2 = kappa       C''(1)
    ```

    with `kappa` such that the largest curvature of any subnetwork's correlation map at 1 is
    `curvature`. For rectifiers, which have no curvature to choose, see `rectifiers`.

    Args:
        phi: The activation, without kinks.
        network: Its structure: a number of activations in a row, or see `composition`.
        curvature: The largest curvature, positive; the paper's 0.3.

    Returns:
        The four numbers.

    Raises:
        ValueError: If the curvature is not positive, the activation has kinks, or no such
            transformation is found.

    Example:

    ```python
    from keras_initscope.theory.gains import gain
    from keras_initscope.theory.nonlinearities import nonlinearity
    from keras_initscope.theory.transformed import transformed

    softplus = nonlinearity("softplus")
    made = transformed(softplus, tat(softplus, 50))
    assert abs(gain(made) - 1) < 1e-9 and abs(gain(made, "backward") - 1) < 1e-9
    ```
    """
    if not curvature > 0:
        raise ValueError(f"The curvature must be positive. Received: curvature={curvature}.")
    _check_scale(phi, "TAT")
    if not all(phi.is_differentiable_at(kink) for kink in phi.kinks):
        raise ValueError(
            f"TAT by curvature needs an activation without kinks; {phi.name} has some at "
            f"{phi.kinks}. Expected one such as 'tanh'; for rectifiers use the leaky ReLU of TAT."
        )
    kappa = curvature / maximal(network, lambda x: x + 1, 0.0)
    for sign in (1.0, -1.0):

        def errors(logarithm: float, shift: float, sign: float = sign) -> tuple[float, float]:
            by = _of_unit_slope(phi, _scale(logarithm), shift, sign)
            # One is logarithmic: curvatures differ by orders of magnitude.
            return variance_slope(phi, by) - 1, float(np.log(local.curvature(phi, by) / kappa))

        found = solve(errors, _STARTS)
        if found is not None:
            return _of_unit_slope(phi, _scale(found[0]), found[1], sign)
    raise _no_solution(phi, "TAT")


def _of_unit_slope(phi: Nonlinearity, scale: float, shift: float, sign: float) -> Transformation:
    """Output scale and shift that make `E f'^2` and `E f^2` one; two shifts do."""
    mean, variance = mean_and_variance(phi, scale, shift)
    size = max(scale**2 * float(slope_second_moment(phi, scale**2, shift)), _TINY)
    rest = float(np.sqrt(max(size - variance, 0.0)))  # never negative (Poincare's inequality)
    return Transformation(
        input_scale=scale,
        input_shift=shift,
        output_scale=size**-0.5,
        output_shift=sign * rest - mean,
    )


def _no_solution(phi: Nonlinearity, method: str) -> ValueError:
    return ValueError(
        f"No transformation of {phi.name} satisfies {method} for this network. Expected a smooth "
        "activation such as 'tanh', 'softplus', 'gelu' or 'silu', and a network of some depth."
    )


def _scale(logarithm: float) -> float:
    return float(np.exp(np.clip(logarithm, -12, 6)))


def _check_scale(phi: Nonlinearity, method: str) -> None:
    if phi.is_scale_invariant:
        raise ValueError(
            f"{method} needs an activation with a scale of its own; {phi.name} has none. "
            "Expected one such as 'tanh'; for rectifiers use a leaky ReLU of theory.rectifiers."
        )
