"""Initializers for residual networks, which would otherwise grow with their depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_initscope.activations import activation_config, as_nonlinearity
from keras_initscope.arguments import whole
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.theory.gains import gain


@keras.saving.register_keras_serializable("keras_initscope")
class ResidualScaling(FanScaling):
    """Weights that make each of many residual branches add its share of the signal, and no more.

    Use it for the last weights of every residual branch, so that all branches together add a
    bounded factor however many there are: `(1 + 1/L)^L < e` instead of `2^L`. To start with
    branches that add nothing, use `"zeros"` of Keras there, or for the scale (`gamma_initializer`)
    of a normalization that ends the branch.

    Formula:

    `variance = gain^2 / (branches fan_in)`, with the gain of the activation in front of the weights

    Args:
        branches: Number of residual branches `L` in the network.
        activation: The activation that these weights follow, whose gain is made up for: a name, an
            elementwise function, a layer or `None`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units; see `GainScaling`.
        output_axes: Axes of the weight that count as output units.
        fans: `(fan_in, fan_out)` where neither shape nor axes show them.

    Raises:
        ValueError: If there is no branch, or the activation passes no signal.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import ResidualScaling

    kernel = ResidualScaling(branches=50, activation="relu", seed=0)((100, 400))
    assert abs(float(keras.ops.var(kernel)) - 2 / (50 * 100)) < 1e-5
    ```

    Reference:

    - [Hayou et al., 2021](https://arxiv.org/abs/2010.12859), for the uniform scaling
    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 5.1, for the zeros
    """

    def __init__(
        self,
        branches: int,
        activation: Any = None,
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.branches = whole("branches", branches, 1, "Count those of the whole network.")
        self.activation = activation
        scale = gain(as_nonlinearity(activation)) ** 2 / self.branches
        super().__init__(scale, "fan_in", distribution, seed, input_axes, output_axes, fans)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the scale follows from them."""
        own = self._own("distribution", "seed", "input_axes", "output_axes", "fans")
        activation = activation_config(self.activation)
        return {"branches": self.branches, "activation": activation, **own}


@keras.saving.register_keras_serializable("keras_initscope")
class Fixup(FanScaling):
    """He's weights, made smaller so that a residual network trains without normalization.

    Use it for all weights of a residual branch but the last, which start as `"zeros"`, as does the
    layer that classifies. A step of gradient descent then changes the network's output by an amount
    that does not depend on its depth. The paper adds one scalar bias in front of each weight and
    activation, and one scalar factor a branch.

    Formula:

    `variance = 2 / fan_in  branches^(-1 / (branch_layers - 1))`, He's standard deviation times
    `branches^(-1 / (2 branch_layers - 2))`

    Args:
        branches: Number of residual branches `L` in the network.
        branch_layers: Layers with weights in each branch, at least 2; 2 for a basic block, 3 for a
            bottleneck.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units; see `GainScaling`.
        output_axes: Axes of the weight that count as output units.
        fans: `(fan_in, fan_out)` where neither shape nor axes show them.

    Raises:
        ValueError: If there is no branch, or fewer than two layers in it.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import Fixup

    first = keras.layers.Conv2D(16, 3, kernel_initializer=Fixup(branches=27, seed=0))
    last = keras.layers.Conv2D(16, 3, kernel_initializer="zeros")

    kernel = Fixup(branches=25, seed=0)((100, 400))
    assert abs(float(keras.ops.var(kernel)) - 2 / 100 / 25) < 2e-5
    ```

    Reference:

    - [Zhang et al., 2019](https://arxiv.org/abs/1901.09321), section 3
    """

    def __init__(
        self,
        branches: int,
        branch_layers: int = 2,
        distribution: str = "truncated_normal",
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.branches = whole("branches", branches, 1, "Count those of the whole network.")
        hint = "With one layer a branch that layer is the last one: use 'zeros'."
        self.branch_layers = whole("branch_layers", branch_layers, 2, hint)
        scale = 2.0 * self.branches ** (-1 / (self.branch_layers - 1))
        super().__init__(scale, "fan_in", distribution, seed, input_axes, output_axes, fans)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the scale follows from them."""
        own = self._own("distribution", "seed", "input_axes", "output_axes", "fans")
        return {"branches": self.branches, "branch_layers": self.branch_layers, **own}
