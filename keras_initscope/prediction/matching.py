"""A prediction brought to the scale and the depths of a measurement.

Owns how the two are laid beside each other. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from keras_initscope.records import Quantity, Snapshot, TensorStats

#: Power of the gradient's scale in each statistic of it.
_POWERS = {"mean": 0.5, "variance": 1.0, "root_mean_square": 0.5}


def matched(predicted: Snapshot, measured: Snapshot, *, rescale: bool = True) -> Snapshot:
    """A prediction in the depths of a measurement, its gradients for the measured cotangent.

    Gradients are linear in the cotangent at the outputs, which a prediction takes to have variance
    1 and a loss does not. So all their second moments are multiplied by one factor, under which
    they agree with the measured ones in the deepest layer where both are known, positive and
    finite: in its preactivation, for what an activation function at the output does to the gradient
    depends on the loss; in its activation where no layer has a preactivation.

    Args:
        predicted: Of origin `"predicted"`.
        measured: Of the same model.
        rescale: Whether gradients are multiplied; not where the measured cotangent has variance 1.

    Returns:
        The prediction, for the step that was measured. Without gradients if there is no layer to
        take the factor from.

    Example:

    ```python
    from keras_initscope.prediction.matching import matched
    from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats


    def snapshot(*gradients):
        info = StepInfo(loss=None, learning_rate=None, time=0.0)
        kind = Quantity.ACTIVATION_GRADIENT
        stats = tuple(
            TensorStats(
                tap=Tap(layer=f"dense_{depth}", quantity=kind, depth=depth, size=1),
                values={"root_mean_square": gradient},
            )
            for depth, gradient in enumerate(gradients)
        )
        return Snapshot(step=0, info=info, stats=stats)


    found = matched(snapshot(2.0, 1.0), snapshot(0.3, 0.1))
    assert found.profile("activation_gradient", "root_mean_square")["dense_0"] == 0.2
    ```
    """
    factor = _factor(predicted, measured) if rescale else 1.0
    depths = {entry.tap.layer: entry.tap.depth for entry in measured.stats}
    stats = sorted(_moved(predicted, depths, factor), key=lambda entry: entry.tap.depth)
    return replace(predicted, step=measured.step, stats=tuple(stats))


def _moved(
    predicted: Snapshot, depths: dict[str, int], factor: float | None
) -> Iterator[TensorStats]:
    for entry in predicted.stats:
        tap = replace(entry.tap, depth=depths.get(entry.tap.layer, entry.tap.depth))
        if not tap.quantity.is_gradient:
            yield replace(entry, tap=tap)
        elif factor is not None:
            values = {
                name: value * factor ** _POWERS.get(name, 0.0)
                for name, value in entry.values.items()
            }
            yield replace(entry, tap=tap, values=values)


def _factor(predicted: Snapshot, measured: Snapshot) -> float | None:
    for quantity in (Quantity.PREACTIVATION_GRADIENT, Quantity.ACTIVATION_GRADIENT):
        expected = predicted.profile(quantity, "root_mean_square")
        found = measured.profile(quantity, "root_mean_square")
        for layer in reversed(found):
            if 0.0 < found[layer] < inf and 0.0 < expected.get(layer, 0.0) < inf:
                return (found[layer] / expected[layer]) ** 2
    return None
