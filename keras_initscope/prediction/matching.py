"""A prediction beside a measurement of the same model: `matched`.

Owns what the two must share to be compared: depths, and the size of the gradient at the outputs,
which no theory of signals knows and the loss decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from keras_initscope.records import Quantity, Snapshot, TensorStats

#: How each statistic of a gradient grows with the gradient.
_POWERS = {"mean": 1, "root_mean_square": 1, "variance": 2}


def matched(predicted: Snapshot, measured: Snapshot) -> Snapshot:
    """A prediction in the depths and the units of a measurement.

    Predicted gradients are those of a cotangent of variance 1 at the outputs. Gradients are linear
    in it, so one factor for all makes the deepest gradient that both know as large as it was
    measured; what is left to compare is how it changes on its way back.

    Args:
        predicted: What `predict_signal` returned.
        measured: A snapshot of the same model.

    Returns:
        The prediction, for the step that was measured, without layers that were not measured, and
        without gradients where no gradient can be compared.

    Example:

    ```python
    from keras_initscope.prediction.matching import matched
    from keras_initscope.records import Quantity, Snapshot, StepInfo, Tap, TensorStats


    def snapshot(**variances):
        gradient = Quantity.ACTIVATION_GRADIENT
        stats = tuple(
            TensorStats(
                tap=Tap(layer=layer, quantity=gradient, depth=depth, size=8),
                values={"root_mean_square": variance**0.5, "variance": variance},
            )
            for depth, (layer, variance) in enumerate(variances.items())
        )
        info = StepInfo(loss=None, learning_rate=None, time=0.0)
        return Snapshot(step=0, info=info, stats=stats)


    found = matched(snapshot(a=4.0, b=1.0), measured=snapshot(a=0.5, b=0.25))
    assert found.profile("activation_gradient", "variance") == {"a": 1.0, "b": 0.25}
    ```
    """
    depths = {entry.tap.layer: entry.tap.depth for entry in measured.stats}
    known = [entry for entry in predicted.stats if entry.tap.layer in depths]
    factor = _factor(known, measured, depths)
    stats = [
        replace(_scaled(entry, factor), tap=replace(entry.tap, depth=depths[entry.tap.layer]))
        for entry in known
        if factor is not None or not entry.tap.quantity.is_gradient
    ]
    stats.sort(key=lambda entry: entry.tap.depth)
    unknown = {layer: why for layer, why in predicted.unknown.items() if layer in depths}
    return replace(predicted, step=measured.step, stats=tuple(stats), unknown=unknown)


def _factor(
    known: list[TensorStats], measured: Snapshot, depths: Mapping[str, int]
) -> float | None:
    """By what a predicted gradient must be multiplied, `None` where none can be compared."""
    sizes = {(entry.tap.layer, entry.tap.quantity): _size(entry) for entry in measured.stats}
    ratios = [
        # The gradient of a preactivation is nearer to the loss' own where a layer has both.
        (depths[layer], quantity is Quantity.PREACTIVATION_GRADIENT, sizes[layer, quantity] / size)
        for layer, quantity, size in (
            (entry.tap.layer, entry.tap.quantity, _size(entry)) for entry in known
        )
        if quantity.is_gradient
        and size > 0
        and isfinite(sizes.get((layer, quantity), float("nan")))
    ]
    return max(ratios)[2] if ratios else None


def _size(entry: TensorStats) -> float:
    return entry.values.get("root_mean_square", float("nan"))


def _scaled(entry: TensorStats, factor: float | None) -> TensorStats:
    if factor is None or not entry.tap.quantity.is_gradient:
        return entry
    values = {name: value * factor ** _POWERS.get(name, 0) for name, value in entry.values.items()}
    return replace(entry, values=values)
