"""What the shape of a weight shows of its fans, for whoever knows no layer.

Owns the counting of axes; draws no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod


def shape_fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[float, float]:
    """The fans that a shape shows, as `keras.initializers` counts them.

    The best guess of whoever knows no layer: right for `Dense` and for plain convolutions.

    Args:
        shape: Shape of a weight.
        input_axes: Axes that count as input units, with `output_axes`.
        output_axes: Axes that count as output units.

    Returns:
        Fan-in and fan-out: the last two axes times the window in front of them, or the given axes.

    Raises:
        ValueError: If the shape has no such axes, or one is given twice.

    Example:

    ```python
    from keras_initscope.fans import shape_fans

    assert shape_fans((3, 3, 16, 32)) == (144.0, 288.0)
    assert shape_fans((3, 3, 16, 1), (0, 1), (3,)) == (9.0, 1.0)
    ```
    """
    if input_axes is not None and output_axes is not None:
        inputs, outputs = axes_of_shape(shape, input_axes, output_axes)
        return float(prod(shape[i] for i in inputs)), float(prod(shape[i] for i in outputs))
    if len(shape) < 2:
        return float(prod(shape)), float(prod(shape))
    field = prod(shape[:-2])
    return float(field * shape[-2]), float(field * shape[-1])


def axes_of_shape(
    shape: Sequence[int], input_axes: Sequence[int], output_axes: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a shape that count as inputs and as outputs, counted from the first.

    Args:
        shape: Shape of a weight.
        input_axes: Axes that count as input units; negative ones count from the last axis.
        output_axes: Axes that count as output units, likewise.

    Returns:
        Both, without negative numbers.

    Raises:
        ValueError: If the shape has no such axes, or one is given twice.

    Example:

    ```python
    from keras_initscope.fans import axes_of_shape

    assert axes_of_shape((3, 3, 16, 32), (-1,), (-2,)) == ((3,), (2,))
    ```
    """
    count, received = (
        len(shape),
        f"input_axes={tuple(input_axes)}, output_axes={tuple(output_axes)}",
    )
    if not all(-count <= axis < count for axis in (*input_axes, *output_axes)):
        raise ValueError(
            f"Expected axes of a shape of {count}. Received: shape={tuple(shape)}, {received}."
        )
    inputs, outputs = (tuple(axis % count for axis in axes) for axes in (input_axes, output_axes))
    if len({*inputs, *outputs}) < len(inputs) + len(outputs):
        raise ValueError(
            "Expected axes that count once, as inputs or as outputs, not both. "
            f"Received: shape={tuple(shape)}, {received}."
        )
    return inputs, outputs
