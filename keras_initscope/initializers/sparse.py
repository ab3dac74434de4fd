"""Weights of which most are zero."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import keras
from keras import ops

from keras_initscope.arguments import checked_gain, whole
from keras_initscope.initializers.fan_scaling import FanScaling
from keras_initscope.initializers.matrices import drawing_dtype, layout, seed_for


@keras.saving.register_keras_serializable("keras_initscope")
class Sparse(FanScaling):
    """A few large weights for each unit, the others zero.

    Use it for wide layers whose units shall start out different: the input of a unit does not
    become more Gaussian, and its weights not smaller, as the layer below gets wider.

    Formula:

    `k = min(connections, fan_in)` inputs of each unit, drawn without replacement, have weights from
    `N(0, gain^2 / k)`; a unit's output has `gain^2` times the second moment of its inputs. The
    paper's `N(0, 1)` is `gain = sqrt(connections)`.

    Args:
        connections: Weights of each unit that are not zero. The default 15 is the paper's.
        gain: Factor of the standard deviation of the outputs, positive.
        seed: A Python integer or a `keras.random.SeedGenerator`. An integer (or `None`, for a
            random one) gives the same values at each call, a `SeedGenerator` new ones.
        input_axes: Axes of the weight that count as input units; `None` takes all but the last.
            Axes in neither list number independent matrices.
        output_axes: Axes of the weight that count as output units.
        fans: `(fan_in, fan_out)` where the sum over the inputs is not that over the axes.

    Raises:
        ValueError: If there is not at least one connection.

    Example:

    ```python
    import keras

    from keras_initscope.initializers import Sparse

    kernel = Sparse(connections=5, seed=0)((100, 40))
    assert int(keras.ops.count_nonzero(kernel)) == 5 * 40
    ```

    Reference:

    - [Martens, 2010](https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf), section 5
    """

    def __init__(
        self,
        connections: int = 15,
        gain: float = 1.0,
        seed: int | keras.random.SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
        fans: Sequence[float] | None = None,
    ) -> None:
        self.connections = whole("connections", connections, 1, "For no weights use 'zeros'.")
        self.gain = checked_gain(gain)
        scale = self.gain * self.gain
        super().__init__(scale, "fan_in", "untruncated_normal", seed, input_axes, output_axes, fans)

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Draw the weights.

        Args:
            shape: Shape of the weight, two axes or more.
            dtype: Its dtype; `None` takes `keras.config.floatx()`.

        Returns:
            A tensor of that shape.
        """
        found = layout(shape, self.input_axes, self.output_axes)
        asked, dtype = drawing_dtype(dtype)
        count = min(self.connections, found.rows)
        size = (found.count, found.rows, found.columns)
        fan_in = self.fans[0] if self.fans else found.rows
        deviation = self.gain * sqrt(found.rows / (fan_in * count))
        places = keras.random.uniform(size, dtype=dtype, seed=self.seed)
        rank = ops.argsort(ops.argsort(places, axis=1), axis=1)
        values = keras.random.normal(
            size, stddev=deviation, dtype=dtype, seed=seed_for(self.seed, 1)
        )
        drawn = ops.where(rank < count, values, ops.zeros_like(values))
        return ops.cast(found.arranged(drawn), asked)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = self._own("seed", "input_axes", "output_axes", "fans")
        return {"connections": self.connections, "gain": self.gain, **own}
