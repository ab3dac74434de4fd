"""`inspect`: one look at a model, measured and predicted.

Owns what is said where something cannot be measured or predicted.
"""

from __future__ import annotations

import time
from dataclasses import replace
from math import inf, isfinite
from typing import Any

import keras
import numpy as np

from keras_initscope import graph
from keras_initscope.batches import Batch, batch_of, is_text
from keras_initscope.callbacks.watch import steps_taken
from keras_initscope.calls import check_inputs, inputs_in_order
from keras_initscope.diagnosis import Case, coverage, diagnose
from keras_initscope.diagnosis.weights import is_fast
from keras_initscope.inspection.losses import (
    COTANGENT,
    losses_mismatch,
    step_of,
    targets_mismatch,
)
from keras_initscope.inspection.refusal import InspectionError
from keras_initscope.inspection.remedies import Trial, tried
from keras_initscope.inspection.undisturbed import undisturbed, weights_alone
from keras_initscope.measurement import backends
from keras_initscope.measurement.meter import Meter
from keras_initscope.measurement.rehearsal import Rehearsal, rehearsing
from keras_initscope.prediction.matching import matched
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.records import Quantity, Report, Snapshot, StepInfo, rows

#: Steps that are rehearsed where the first one moves weights far; by then a loss has come down
#: again that only the first step of an adaptive optimizer has thrown up.
_REHEARSED = 5
_FORWARD = (Quantity.PREACTIVATION, Quantity.ACTIVATION)
_BACKWARD = (Quantity.PREACTIVATION_GRADIENT, Quantity.ACTIVATION_GRADIENT)
_SCALED = (
    "The gradients of theory are multiplied by one factor, so that they agree with those of the "
    "loss in the deepest layer where both are known."
)

_UNCERTAIN = (
    "From layer {} on, networks of this width differ from each other, and theory from any one of "
    "them, by a factor of ten and more. What helps theory and network: wider layers, normalization "
    "layers, or `calibrate`."
)
_TENFOLD = float(np.sqrt(np.expm1(np.log(10) ** 2)))  # of a log-normal variable

_TRAINED = (
    "Theory takes weights to be independent; those of a trained model are not. The scatter that is "
    "stated for theory is that of fresh weights."
)


def inspect(
    model: Any, x: Any, y: Any = None, loss: Any = None, *, remedies: bool = False
) -> Report:
    """See what a model does with signal and gradient before it trains.

    Use it on a fresh model, to see at which layer activations or gradients vanish or explode, and
    whether theory expected it. It runs one training step on a batch without its effects, with
    `training=True` (BatchNormalization takes the statistics of the batch, dropout drops), measures
    every layer, and predicts the same numbers from the moments of the batch and the weights as
    they are. Variables, seeds, metrics, optimizer and random number generators stay as they are; a
    model without weights is built.

    What is differentiated is the compiled loss, by way of the model's own training step; for a
    model without one the mean of `loss` over the examples, and what the model adds to it; and where
    there is neither `loss` nor `y`, the outputs themselves, each element times +1 or -1, drawn with
    a fixed seed. Then the derivative of the sum by each output of each example has variance 1, as
    signal theory assumes. A loss that is a mean over `B` examples has cotangents smaller by `B`.
    Its mean square gradients are shown as they are: multiply them by `B**2` to compare them with
    those of a cotangent.

    Predicted gradients are brought to the scale of the measured loss by one factor, see
    `keras_initscope.prediction.matching.matched`.

    Args:
        model: A Keras model of any kind, compiled or not.
        x: Inputs as arrays or tensors, in whatever structure the model takes; or a
            `tf.data.Dataset`, `keras.utils.PyDataset` or generator, which gives its first batch.
            Of arrays 256 examples are taken, spread evenly from the first to the last; fewer, down
            to 8, if they would hold more than 4 million numbers.
        y: Targets for the loss, as arrays; a dataset brings its own.
        loss: For a model that is not compiled with one: a name, function or instance as in
            `keras.losses`.
        remedies: Whether to try, on copies of the model, what might remove each finding, and to
            look again: those that do are in `Report.remedies`, each with the line to write. Takes a
            look for each of them.

    Returns:
        A `keras_initscope.records.Report`: one row a layer with mean square and signal share of the
        activation, mean square of the gradient, measured and predicted, and both snapshots. Where
        the training step cannot be run without effects, it holds the weights alone and says why.

    Raises:
        ValueError: If the model does not take the data, or data and loss do not go together.
        RuntimeError: If Keras runs on a backend that cannot be measured.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_initscope as initscope

    hidden = [keras.layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(5)]
    model = keras.Sequential([keras.Input((20,)), *hidden, keras.layers.Dense(1)])
    report = initscope.inspect(model, np.random.default_rng(0).normal(size=(200, 20)))
    print(report)
    assert all(0.2 < row.q_ratio < 5 for row in report.rows[:5])  # of one unit none is typical
    ```
    """
    return look(model, x, y, loss, remedies=remedies)


def look(
    model: Any,
    x: Any,
    y: Any,
    loss: Any,
    steps: int | None = None,
    remedies: bool = False,
) -> Report:
    """As `inspect`, of a model that is known to have been trained for so many steps."""
    if not isinstance(model, keras.Model):
        raise InspectionError(
            f"Expected a Keras model. Received: {model!r} (of type {type(model).__name__})"
        )
    batch = batch_of(x, y, spread=True)
    report = _look_at(model, batch, y, loss, steps)
    if not (remedies and report.findings):
        return report

    def again(trial: Trial) -> Report:
        return _look_at(trial.model, trial.batch, y, trial.loss, steps)

    found, notes = tried(Trial(model=model, batch=batch, loss=loss), report, again)
    return replace(report, remedies=found, notes=(*report.notes, *notes))


def _look_at(model: Any, batch: Batch, y: Any, loss: Any, steps: int | None) -> Report:
    backend = backends.current()
    check_inputs(model, batch)
    batch = replace(batch, x=graph.as_taken(model, batch.x))
    _build(model, batch)
    taken = steps_taken(model) if steps is None else steps
    with undisturbed(model), rehearsing(model) as rehearsal:
        step, words = step_of(model, batch, y, loss)
        notes: list[str] = []
        nodes, quantities = graph.layers(model), frozenset(Quantity)
        meter = Meter(model, nodes, quantities, notes.append, step, rehearses=True)
        predicted = _predicted(model, batch)  # before the steps that are tried move weights
        meter.before(batch.data)
        if meter.fault is not None and backend.is_refusal(meter.fault):
            raise InspectionError(_refused(model, batch, words, backend.message(meter.fault)))
        if meter.fault is not None and (mismatch := losses_mismatch(model)):
            raise InspectionError(mismatch) from meter.fault
        updates = _updates(rehearsal, meter, notes)
        measured = meter.after(taken, updates).snapshot()
        info = meter.info(None)
        case = Case(model=info, snapshot=measured)
        if updates and is_fast(case) and not rehearsal.is_at_peak:
            losses = _losses(rehearsal, meter, batch)
            case = replace(case, rehearsed=(measured.info.loss or 0.0, *losses))
    rescale = words != COTANGENT
    predicted = matched(predicted, measured, rescale=rescale)
    notes.extend([_SCALED] if rescale and _has_gradients(predicted) else [])
    notes.extend([_TRAINED] if taken else [])
    notes.extend(_uncertain(predicted))
    case = replace(case, predicted=predicted)
    checked, unchecked = coverage(case)
    return Report(
        model=info,
        measured=measured,
        predicted=predicted,
        rows=rows(info, measured, predicted),
        loss=words,
        examples=batch.examples,
        findings=diagnose(case),
        checked=checked,
        unchecked=unchecked,
        notes=(*notes, *_nonfinite(batch, measured)),
    )


def _updates(rehearsal: Rehearsal, meter: Meter, notes: list[str]) -> int:
    """Rehearse the step that was looked at; how many were."""
    if not rehearsal.is_possible:
        return 0
    try:
        return int(rehearsal.step(meter.applied))
    except Exception as error:  # the optimizer may be the user's and raise anything
        notes.append(
            "How far a step moves the weights is not measured, for the optimizer cannot be copied: "
            f"{type(error).__name__}: {error}"
        )
        return 0


def _losses(rehearsal: Rehearsal, meter: Meter, batch: Batch) -> list[float]:
    """Losses on the same batch after the first step, and after others that follow it."""
    losses = []
    for _ in range(_REHEARSED):
        meter.before(batch.data)
        rehearsal.step(meter.applied)
        loss = meter.after(0, 0).snapshot().info.loss
        losses.append(inf if loss is None or not isfinite(loss) else loss)
    return losses


def _uncertain(predicted: Snapshot) -> list[str]:
    errors = predicted.profile(Quantity.ACTIVATION, "relative_error")
    return [_UNCERTAIN.format(path) for path, error in errors.items() if error > _TENFOLD][:1]


def _has_gradients(predicted: Snapshot) -> bool:
    return any(stats.tap.quantity in _BACKWARD for stats in predicted.stats)


def _build(model: Any, batch: Batch) -> None:
    if graph.has_weights(model):
        return

    def symbolic(tensor: Any) -> Any:
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        return keras.KerasTensor((None, *tensor.shape[1:]), dtype)

    try:
        with weights_alone(model):
            graph.build(model, (keras.tree.map_structure(symbolic, batch.x),))
    except Exception as error:  # the model is the user's and may raise anything
        cause = error.__context__ if isinstance(error, RuntimeError) else None  # Keras wraps it
        raise InspectionError(
            f"The model {model.name!r} has no weights yet and cannot be built from this data: "
            f"{backends.current().message(cause or error)} Received: {batch}. Call the model on a "
            "batch first, or give it an `Input`."
        ) from error


def _refused(model: Any, batch: Batch, words: str, reason: str) -> str:
    return (
        losses_mismatch(model)
        or targets_mismatch(model, batch, words)
        or (
            f"The model {model.name!r} does not take this batch: {reason} Received: {batch}. Give "
            "data of the shape, dtype and range that you would `fit` the model to."
        )
    )


def _predicted(model: Any, batch: Batch) -> Snapshot:
    """A prediction, or one that knows of no layer and says why."""
    reason = _unpredictable(batch)
    if not reason:
        given = inputs_in_order(model, batch.x)
        try:
            return predict_signal(model, given if len(given) > 1 else given[0])
        except Exception as error:  # the look goes on without it
            reason = f"{type(error).__name__}: {error}"
    return Snapshot(
        step=0,
        info=StepInfo(loss=None, learning_rate=None, time=time.time()),
        stats=(),
        origin="predicted",
        unknown={node.path: reason for node in graph.layers(model)},
    )


def _unpredictable(batch: Batch) -> str:
    if batch.examples < 2:
        return "a single example has no moments; give a batch of several."
    if any(map(is_text, keras.tree.flatten(batch.x))):
        return "x holds texts, which have no moments."
    if _bad_inputs(batch):
        return "x holds values that are NaN or infinite."
    return ""


def _bad_inputs(batch: Batch) -> int:
    arrays = [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(batch.x)]
    floats = [array for array in arrays if np.issubdtype(array.dtype, np.floating)]
    return sum(int(np.count_nonzero(~np.isfinite(array))) for array in floats)


def _nonfinite(batch: Batch, measured: Snapshot) -> list[str]:
    """Where values that are not finite begin, in forward and in backward order."""
    found = _bad_inputs(batch)
    notes = [f"x holds {found} values that are NaN or infinite."] if found else []
    bad = [each.tap for each in measured.stats if each.values.get("nonfinite_count")]
    forward = [tap for tap in bad if tap.quantity in _FORWARD]
    backward = [tap for tap in bad if tap.quantity in _BACKWARD]
    for name, taps in (("Values", forward[:1]), ("Gradients", backward[-1:])):
        for tap in taps:
            count = int(measured.find(tap.quantity, tap.name).values["nonfinite_count"])
            notes.append(
                f"{name} are NaN or infinite from the {tap.quantity.value.split('_')[0]} of layer "
                f"{tap.layer} on: {count} of {tap.size} there."
                + (" All numbers are of the finite ones." if count < tap.size else "")
            )
    return notes
