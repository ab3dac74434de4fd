"""A measured and a predicted snapshot, laid beside each other layer by layer.

Owns which of a layer's tensors stands for it in a report.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras_initscope.records import LayerInfo, LayerRow, ModelInfo, Quantity, Snapshot, TensorStats

_Table = Mapping[tuple[str, Quantity], TensorStats]


def rows(model: ModelInfo, measured: Snapshot, predicted: Snapshot) -> tuple[LayerRow, ...]:
    """One row a layer, in forward order.

    Args:
        model: The layers.
        measured: What was measured of them.
        predicted: What theory says of them.

    Returns:
        The rows.
    """
    found, expected = _main(measured), _main(predicted)
    return tuple(
        _row(layer, found, expected, predicted.unknown.get(layer.path, ""))
        for layer in model.layers
    )


def _main(snapshot: Snapshot) -> _Table:
    """The first tensor of each quantity of each layer: of several outputs the main one."""
    table: dict[tuple[str, Quantity], TensorStats] = {}
    for entry in snapshot.stats:
        table.setdefault((entry.tap.layer, entry.tap.quantity), entry)
    return table


def _row(layer: LayerInfo, measured: _Table, predicted: _Table, unknown: str) -> LayerRow:
    activation = measured.get((layer.path, Quantity.ACTIVATION))
    expected = predicted.get((layer.path, Quantity.ACTIVATION))
    back = _gradient_of(layer.path, measured) or _gradient_of(layer.path, predicted)
    gradient = measured.get((layer.path, back)) if back else None
    expected_gradient = predicted.get((layer.path, back)) if back else None
    tensors = [each for each in (activation, gradient) if each is not None]
    return LayerRow(
        layer=layer,
        predicted_q=_mean_square(expected),
        measured_q=_mean_square(activation),
        signal_share=_signal_share(activation),
        predicted_gradient=_mean_square(expected_gradient),
        measured_gradient=_mean_square(gradient),
        q_error=_value(expected, "relative_error"),
        gradient_error=_value(expected_gradient, "relative_error"),
        q_median=_value(expected, "relative_median"),
        gradient_median=_value(expected_gradient, "relative_median"),
        nonfinite=sum(int(each.values.get("nonfinite_count", 0)) for each in tensors),
        unknown=unknown,
    )


def _gradient_of(path: str, table: _Table) -> Quantity | None:
    kinds = (Quantity.PREACTIVATION_GRADIENT, Quantity.ACTIVATION_GRADIENT)
    return next((kind for kind in kinds if (path, kind) in table), None)


def _value(stats: TensorStats | None, name: str) -> float | None:
    return None if stats is None else stats.values.get(name)


def _mean_square(stats: TensorStats | None) -> float | None:
    root = _value(stats, "root_mean_square")
    return None if root is None else root**2


def _signal_share(stats: TensorStats | None) -> float | None:
    signal, constant = _value(stats, "signal"), _value(stats, "constant")
    if signal is None or constant is None or signal + constant == 0:
        return None
    return signal / (signal + constant)
