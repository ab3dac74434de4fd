"""The watch: stands before a model's training function for the duration of one `fit`.

Owns the order of events around a training step: look, train on the very same batch, read off. The
training function itself is never changed, and every batch reaches it exactly once.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import keras

from keras_initscope.callbacks.schedule import Schedule
from keras_initscope.graph import optimizers
from keras_initscope.measurement import backends
from keras_initscope.measurement.meter import Meter, Reading


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a watch tells.

    Args:
        foresee: Called with the batch when the first look is about to be taken.
        beside: Called with the number of steps taken, for whoever looks as well.
        take: Called with each look and the seconds that the looks before it took for each second of
            training, without the first one and those for which anything was traced; returns the
            seconds that were spent on earlier ones beside training, and not told before.
        speak: Called before each execution of training steps, for what is to be told in this
            thread.
        leave: Called when there will be no more of them.
    """

    foresee: Callable[[Any], None]
    beside: Callable[[int], None]
    take: Callable[[Reading, float], float]
    speak: Callable[[], None]
    leave: Callable[[], None]


class Watch:
    """Takes the place of `model.train_function`.

    Args:
        model: The model being fitted.
        meter: Measures it.
        schedule: Says when.
        audience: Told of the first look to come and of each look.
        planned: Epochs, and steps an epoch or `None`, of this fit.
        start: Training steps taken before this fit.

    Attributes:
        step: Training steps taken so far.
        active: Whether it still stands there.
    """

    def __init__(
        self,
        model: Any,
        meter: Meter,
        schedule: Schedule,
        audience: Audience,
        planned: tuple[int, int | None],
        start: int,
    ) -> None:
        self.model, self._meter, self._schedule, self._audience = model, meter, schedule, audience
        self._epochs, self._epoch_steps = planned
        self._backend = backends.current()
        self._replay = self._backend.Replay()
        self._history = getattr(model, "history", None)
        self.step = self._start = start
        self._counted = steps_taken(model)
        self._epoch, self._batch = -1, 0
        self._looked_at, self._looked_last = -1, False
        self._last_batch: Any = None
        self._training = self._looking = self._look_seconds = 0.0
        self._mark = time.perf_counter()
        self._real = model.train_function
        self.active = True
        model.train_function = self

    def leave(self) -> None:
        """Give the model its training function back."""
        self.active = False
        if self.model.train_function is self:
            real = self._real
            while isinstance(real, Watch) and not real.active:
                real = real._real
            self.model.train_function = real
        self._last_batch = None
        self._audience.leave()

    def begin_epoch(self, epoch: int) -> None:
        """Note that an epoch begins."""
        self._settle()
        self._epoch, self._batch = epoch, 0

    def _settle(self) -> None:
        """Take back the steps by which an epoch's last execution was shorter than the others.

        Where the data are endless it was as long as they were, which the optimizer may tell.
        """
        if self._epoch_steps and self._batch > self._epoch_steps:
            if steps_taken(self.model) - self._counted != self.step - self._start:
                self.step -= self._batch - self._epoch_steps
            self._batch = self._epoch_steps

    def __call__(self, iterator: Any) -> Any:
        """Train on what the iterator gives next, and look first if it is time."""
        if self.active and getattr(self.model, "history", None) is not self._history:
            self.leave()  # that fit was broken off, this is another one
        if not self.active or not self._backend.is_data(iterator):
            return self._real(iterator)  # as for `train_on_batch`
        length = int(self.model.steps_per_execution)
        due = False
        with self._harmless():
            self._audience.speak()
            due = self._due(iterator, length)
        return self._watched(iterator, length) if due else self._plain(iterator, length)

    def finish(self) -> None:
        """Look at what training arrived at, unless its last step was looked at."""
        self._settle()
        if self._looked_at >= 0 and not self._looked_last:
            with self._timed():
                self._meter.before(self._last_batch)
                self._audience.beside(self.step)
                self._report(self._meter.after(self.step, 0))

    def _due(self, iterator: Any, length: int) -> bool:
        self._account_training()
        asked = self._schedule.due(self.step, self._ahead(length), new_epoch=self._batch == 0)
        first = self._looked_at < 0
        return (first or asked or self._is_last(length)) and self._meter.is_ready(iterator)

    def _ahead(self, length: int) -> int:
        """How many steps the next execution takes, as far as anybody knows."""
        return min(length, self._epoch_steps - self._batch) if self._epoch_steps else length

    def _is_last(self, length: int) -> bool:
        if not self._epoch_steps or self._epoch < self._epochs - 1:
            return False
        return self._batch + length >= self._epoch_steps

    def _plain(self, iterator: Any, length: int) -> Any:
        outputs = self._trained(iterator)
        self._looked_last = False
        self._advance(length)
        return outputs

    def _watched(self, iterator: Any, length: int) -> Any:
        batches = list(islice(iterator, length)) if self._meter.needs_batch else []
        if self._meter.needs_batch and not batches:
            return self._trained(iterator)  # which says in its own way that there are no more
        steps = len(batches) or self._ahead(length)
        self._last_batch = batches[-1] if batches else None
        counts = self._looked_at >= 0 and not self._is_last(length)
        looked = False
        with self._harmless(), self._timed():
            if batches and self._looked_at < 0:
                self._audience.foresee(batches[0])
            self._meter.before(batches[0] if batches else None)
            self._audience.beside(self.step)
            looked = True
        outputs = self._trained(self._again(batches, iterator, length) if batches else iterator)
        if looked:
            with self._harmless(), self._timed():
                self._report(self._meter.after(self.step, steps))
            self._charge(counts)
        self._advance(steps)
        return outputs

    def _again(self, batches: list[Any], iterator: Any, length: int) -> Any:
        own = type(self.model).make_train_function is not keras.Model.make_train_function
        asked = float("inf") if own else length  # nobody knows what a user's function asks for
        try:
            return self._replay(batches, iterator, asked)
        except Exception as error:  # a kind of batch that cannot be put back as it came
            announce(
                f"VarianceMonitor hands batches on outside tf.data, because {error!r}. Training "
                "goes on with the same data."
            )
            return chain(batches)

    def _trained(self, iterator: Any) -> Any:
        """Train; let the fit go when it breaks off."""
        try:
            return self._real(iterator)
        except BaseException as error:  # training's own, Ctrl-C too: it goes on to the caller
            if not self._backend.is_end_of_data(error):
                self.leave()
            raise
        finally:
            self._account_training()

    def _advance(self, steps: int) -> None:
        self.step += steps
        self._batch += steps

    def _report(self, reading: Reading) -> None:
        self._looked_at, self._looked_last = reading.step, True
        training = max(self._training, 1e-9)
        self._look_seconds += self._audience.take(reading, self._looking / training)

    def _charge(self, counts: bool) -> None:
        """Count a look and let the schedule know of it, unless anything was traced for it."""
        if counts and self._look_seconds < float("inf"):
            self._looking += self._look_seconds
            self._schedule.spent(self._look_seconds)
        self._look_seconds = 0.0

    def _elapsed(self) -> float:
        now = time.perf_counter()
        spent, self._mark = now - self._mark, now
        return spent

    def _account_training(self) -> None:
        spent = self._elapsed()
        self._training += spent
        self._schedule.trained(spent)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count the time as looking; a look for which anything was traced tells nothing."""
        self._account_training()
        setup = self._meter.setup_seconds
        yield
        spent = self._elapsed()
        self._look_seconds += float("inf") if self._meter.setup_seconds > setup else spent

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """A fault inside ends the watch, not the fit."""
        try:
            yield
        except Exception as error:  # whatever it is, training is more important
            self.leave()
            announce(stood_aside(error))
        except BaseException:  # somebody ends the fit
            self.leave()
            raise


def stood_aside(error: BaseException) -> str:
    """The sentence that says why the monitor stopped."""
    return (
        f"VarianceMonitor stands aside, training goes on without it. Reason: "
        f"{type(error).__name__}: {error}"
    )


def announce(message: str) -> None:
    """Warn, without ever raising: warnings may have been turned into errors.

    What is true again is said again: Python tells the same sentence once a process, and a user who
    repeats a fit would take it to be mended.
    """
    try:
        warnings.warn_explicit(message, UserWarning, __file__, 0)
    except Warning:
        sys.stderr.write(f"{message}\n")


def training_function(model: Any) -> Any:
    """A model's training function, whoever stands before it."""
    function = model.train_function
    while isinstance(function, Watch):
        function = function._real
    return function


def steps_taken(model: Any) -> int:
    """How many training steps a model's optimizers have counted, 0 where none counts any."""
    return max(map(_counted, optimizers(model)), default=0)


def _counted(optimizer: Any) -> int:
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    iterations = getattr(optimizer, "iterations", None)
    if iterations is None:
        return 0
    return int(iterations.numpy()) * (getattr(optimizer, "gradient_accumulation_steps", None) or 1)
