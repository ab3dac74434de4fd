"""A measured and a predicted snapshot, laid beside each other layer by layer.

Owns which of a layer's tensors stands for it in a report, and what a report says of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from keras_initscope.records.snapshot import LayerInfo, ModelInfo, Quantity, Snapshot, TensorStats

_Table = Mapping[tuple[str, Quantity], TensorStats]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRow:
    """What a report says of one layer; `None` stands for what is not known or not there.

    Args:
        layer: The layer.
        predicted_q: Predicted mean square of its activation, `q = E a^2`.
        measured_q: Measured mean square of its activation.
        signal_share: Measured share of `q` that tells examples apart, between 0 and 1.
        predicted_gradient: Predicted mean square of the gradient, which has mean 0 in theory: of
            the preactivation where the layer has one, else of the activation.
        measured_gradient: Measured mean square of the same gradient.
        q_error: How far a single network of this width scatters around `predicted_q`, as a
            standard deviation relative to it.
        gradient_error: The same for `predicted_gradient`.
        q_median: The median over networks of this width, relative to `predicted_q`.
        gradient_median: The same for `predicted_gradient`.
        nonfinite: Number of measured elements of activation and gradients that are NaN or infinite;
            the mean squares are those of the others.
        unknown: Why theory says nothing of this layer, or empty.
        update: Share of its own size by which one training step moves the kernel.
        saturated: Share of units whose activation function is flat for all or most examples, dead
            ones among them.
    """

    layer: LayerInfo
    predicted_q: float | None = None
    measured_q: float | None = None
    signal_share: float | None = None
    predicted_gradient: float | None = None
    measured_gradient: float | None = None
    q_error: float | None = None
    gradient_error: float | None = None
    q_median: float | None = None
    gradient_median: float | None = None
    nonfinite: int = 0
    unknown: str = ""
    update: float | None = None
    saturated: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say, as of a cell whose recurrent layer stands for it."""
        numbers = (
            self.predicted_q,
            self.measured_q,
            self.predicted_gradient,
            self.measured_gradient,
        )
        return not self.unknown and self.nonfinite == 0 and all(n is None for n in numbers)

    @property
    def q_ratio(self) -> float | None:
        """Measured over predicted mean square of the activation; `None` where both are 0."""
        return _ratio(self.measured_q, self.predicted_q)

    @property
    def gradient_ratio(self) -> float | None:
        """Measured over predicted mean square of the gradient; `None` where both are 0."""
        return _ratio(self.measured_gradient, self.predicted_gradient)


def _ratio(measured: float | None, predicted: float | None) -> float | None:
    if measured is None or predicted is None or measured == predicted == 0:
        return None
    return measured / predicted if predicted else inf


def rows(
    model: ModelInfo, measured: Snapshot, predicted: Snapshot | None = None
) -> tuple[LayerRow, ...]:
    """One row a layer, in forward order.

    Args:
        model: The layers.
        measured: What was measured of them.
        predicted: What theory says of them, if it was asked.

    Returns:
        The rows.
    """
    found, expected = _main(measured), _main(predicted)
    unknown = predicted.unknown if predicted else {}
    steps = max(1, measured.info.updates)
    return tuple(
        _row(layer, found, expected, unknown.get(layer.path, ""), steps) for layer in model.layers
    )


def _main(snapshot: Snapshot | None) -> _Table:
    """The first tensor of each quantity of each layer: of several outputs the main one."""
    table: dict[tuple[str, Quantity], TensorStats] = {}
    for entry in snapshot.stats if snapshot else ():
        table.setdefault((entry.tap.layer, entry.tap.quantity), entry)
    return table


def _row(
    layer: LayerInfo, measured: _Table, predicted: _Table, unknown: str, steps: int
) -> LayerRow:
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
        update=_update(layer.path, measured, steps),
        saturated=_value(activation, "saturated_fraction"),
    )


def _update(path: str, table: _Table, steps: int) -> float | None:
    moved = _value(table.get((path, Quantity.KERNEL_UPDATE)), "root_mean_square")
    size = _value(table.get((path, Quantity.KERNEL)), "root_mean_square")
    return moved / steps / size if moved is not None and size else None


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
