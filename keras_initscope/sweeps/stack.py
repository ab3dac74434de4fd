"""Networks of one kind, trained as one computation on TensorFlow.

Owns the stacked variables and the steps over them: each variable of the networks, of their
optimizer and of their metrics has a first axis of networks, and `tf.vectorized_map` makes of one
network's step that of all. Imported where TensorFlow is the backend of Keras.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from keras_initscope.sweeps.alike import AloneError
from keras_initscope.sweeps.cells import Plain
from keras_initscope.sweeps.data import Parts
from keras_initscope.sweeps.grid import Training
from keras_initscope.sweeps.stateless import stateless

_JUDGED = 256  # examples at once
State = list[Any]


class Stack:
    """Networks that differ in numbers alone.

    Args:
        models: Compiled and built; the first one is what the others are computed by.
        seeds: Of the order in which each sees the examples.
        parts: Examples.
        training: Number of steps, and examples a step.
    """

    def __init__(
        self, models: Sequence[Any], seeds: Sequence[int], parts: Parts, training: Training
    ) -> None:
        self._parts = Parts(*(keras.tree.map_structure(_tensor, part) for part in parts))
        self._count = len(keras.tree.flatten(parts.x)[0])
        self._size = training.batch_size
        self._passes = ceil(self._count / self._size)
        self._steps = training.steps or training.epochs * self._passes
        self._taken = 0
        self._draw = _orders(seeds, self._count)
        self._order = self._draw()
        self._model = models[0]
        self._optimizer = stateless(self._model)
        _build_metrics(self._model, *self._examples(slice(0, self._size)))
        self._loss = tf.zeros(len(models))
        self._state = self._stacked(models)
        self._function = tf.function(self._steps_of_all, autograph=False)

    def batch(self, number: int) -> tuple[Any, Any]:
        """The examples of one network's first step."""
        return self._examples(self._order[number, : self._size])

    def advance(self, steps: int | None = None) -> None:
        """Take so many steps, or all that are left."""
        end = self._steps if steps is None else min(self._taken + steps, self._steps)
        while self._taken < end:
            start = self._taken % self._passes
            if start == 0 and self._taken:
                self._order = self._draw()
                self._reset_metrics()
            stop = min(self._passes, start + end - self._taken)
            limits = tf.constant(start), tf.constant(stop)
            self._state, self._loss = _closed(
                self._function, self._state, self._loss, self._order, *limits
            )
            self._taken += stop - start

    def losses(self) -> list[float]:
        """Mean loss of each network since its epoch began; not a number where it diverged."""
        return [float(loss) for loss in self._loss]

    def weights(self, number: int) -> list[np.ndarray]:
        """The variables of one network, those that are trained first."""
        count = len(self._own)
        return [variable[number].numpy() for variable in self._state[:count]]

    def scores(self) -> list[dict[str, Plain]]:
        """Loss and metrics of each network on the examples to judge by, and `train_loss`."""
        self._reset_metrics()
        function = tf.function(self._judged, autograph=False)
        found = {name: each.numpy() for name, each in _closed(function, self._state).items()}
        if any(each.ndim != 1 for each in found.values()):
            raise AloneError("a metric of theirs has more than one number")
        return [
            {**{name: float(found[name][n]) for name in sorted(found)}, "train_loss": loss}
            for n, loss in enumerate(self.losses())
        ]

    @property
    def _own(self) -> list[Any]:
        return [*self._model.trainable_variables, *self._model.non_trainable_variables]

    @property
    def _variables(self) -> list[Any]:
        metrics = self._model.metrics_variables
        return [*self._own, *self._optimizer.variables, *metrics]

    def _stacked(self, models: Sequence[Any]) -> State:
        """What optimizer and metrics begin with is the same for all, but for the learning rate."""
        of_each = [[*m.trainable_variables, *m.non_trainable_variables] for m in models]
        own = [np.stack([v.numpy() for v in each]) for each in zip(*of_each, strict=True)]
        state = [tf.constant(each) for each in own]
        for variable in self._variables[len(own) :]:
            values = [variable.numpy()] * len(models)
            if variable is self._optimizer.learning_rate:
                values = [model.optimizer.learning_rate.numpy() for model in models]
            state.append(tf.constant(np.stack(values)))
        return state

    def _reset_metrics(self) -> None:
        metrics = self._model.metrics_variables
        count = len(self._state) - len(metrics)
        fresh = [tf.stack([tf.constant(v.numpy())] * len(self._loss)) for v in metrics]
        self._state = [*self._state[:count], *fresh]

    def _examples(self, which: Any) -> tuple[Any, Any]:
        def taken(array: Any) -> Any:
            return array[which] if isinstance(which, slice) else tf.gather(array, which)

        x, y = self._parts.x, self._parts.y
        return keras.tree.map_structure(taken, x), keras.tree.map_structure(taken, y)

    def _steps_of_all(self, state: State, loss: Any, order: Any, start: Any, stop: Any) -> Any:
        def goes_on(step: Any, state: State, loss: Any) -> Any:
            return (step < stop) & tf.reduce_any(tf.math.is_finite(loss))

        def body(step: Any, state: State, loss: Any) -> Any:
            chosen = order[:, step * self._size : (step + 1) * self._size]
            return step + 1, *tf.vectorized_map(self._step, (state, loss, chosen))

        return tf.while_loop(goes_on, body, (start, state, loss))[1:]

    def _step(self, of_one: Any) -> tuple[State, Any]:
        """A step of one network; one whose loss is no longer a number stays as it is."""
        state, loss, chosen = of_one
        trained = state[: len(self._model.trainable_variables)]
        x, y = self._examples(chosen)
        with self._scope(state) as scope:
            with tf.GradientTape() as tape:
                tape.watch(trained)
                y_pred, loss_now = self._seen(x, y, training=True)
                scaled = self._optimizer.scale_loss(loss_now)
            gradients = tape.gradient(scaled, trained)
            self._optimizer.apply([g if g is None else tf.convert_to_tensor(g) for g in gradients])
            running = self._model.compute_metrics(x, y, y_pred)["loss"]
        goes_on = tf.math.is_finite(loss)
        after = [tf.where(goes_on, *each) for each in zip(self._of(scope), state, strict=True)]
        return after, tf.where(goes_on, running, loss)

    def _judged(self, state: State) -> dict[str, Any]:
        count = len(keras.tree.flatten(self._parts.test_x)[0])

        def body(first: Any, state: State) -> Any:
            def taken(array: Any) -> Any:
                return array[first : first + _JUDGED]

            parts = self._parts.test_x, self._parts.test_y
            x, y = (keras.tree.map_structure(taken, part) for part in parts)
            return first + _JUDGED, tf.vectorized_map(lambda one: self._look(one, x, y), state)

        _, state = tf.while_loop(lambda first, _: first < count, body, (0, state))
        return tf.vectorized_map(self._results, state)

    def _look(self, state: State, x: Any, y: Any) -> State:
        with self._scope(state) as scope:
            y_pred, _ = self._seen(x, y, training=False)
            self._model.compute_metrics(x, y, y_pred)
        return self._of(scope)

    def _results(self, state: State) -> dict[str, Any]:
        with self._scope(state):
            return {
                name: tf.cast(each, keras.config.floatx())
                for name, each in self._model.get_metrics_result().items()
            }

    def _seen(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        """Prediction and loss, the latter noted for the mean, as in Keras' own steps."""
        how = {"training": training} if self._model._call_has_training_arg else {}
        y_pred = self._model(x, **how)
        loss = self._model.compute_loss(x, y, y_pred, None, training=training)
        count = tf.shape(keras.tree.flatten(x)[0])[0]
        self._model.metrics[0].update_state(loss, sample_weight=count)
        return y_pred, loss

    def _scope(self, state: State) -> Any:
        mapping = list(zip(self._variables, state, strict=True))
        return keras.StatelessScope(mapping, collect_losses=True)

    def _of(self, scope: Any) -> State:
        return [scope.get_current_value(variable) for variable in self._variables]


def _build_metrics(model: Any, x: Any, y: Any) -> None:
    """Metrics and losses of Keras make their variables when they first see something."""
    with keras.StatelessScope():
        y_pred = model(x)
    model.compute_loss(x, y, y_pred, None, training=False)
    model.compute_metrics(x, y, y_pred)
    model.reset_metrics()


def _orders(seeds: Sequence[int], count: int) -> Callable[[], Any]:
    """Draws an epoch's order of the examples for each network: that which `fit` would draw."""
    drawn: dict[int, Any] = {}
    for seed in set(seeds):
        keras.utils.set_random_seed(seed)
        numbers = ArrayDataAdapter(np.arange(count), batch_size=count, shuffle=True)
        drawn[seed] = numbers.get_tf_dataset()
    return lambda: tf.stack([next(iter(drawn[seed])) for seed in seeds])


def _tensor(array: np.ndarray) -> Any:
    is_float = np.issubdtype(array.dtype, np.floating)
    return tf.constant(array, keras.config.floatx() if is_float else None)


def _closed(function: Any, *args: Any) -> Any:
    """Call a graph that must hold no variable: it would be one network's, and not all networks'."""
    with _quiet():
        graph = function.get_concrete_function(*args)
    if any(tensor.dtype == tf.resource for tensor in graph.captured_inputs):
        raise AloneError("they read or change a variable that is not the model's own")
    return function(*args)


@contextmanager
def _quiet() -> Iterator[None]:
    """TensorFlow warns of each operation that it loops over."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
