"""When to look: at every n-th step, once an epoch, or as often as a share of the time allows.

Owns the clockwork alone; the callback asks it before each step and tells it what things cost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

_GUESS = 3.0  # a look before any was timed is taken to cost this many training steps


class Schedule(ABC):
    """Decides at which training steps to look; step 0 and the last one are looked at anyway."""

    @abstractmethod
    def due(self, step: int, length: int, *, new_epoch: bool) -> bool:
        """Whether to look before the training steps `step` .. `step + length - 1`."""

    def spent(self, looking: float) -> None:  # noqa: B027
        """Note the seconds that a look took; most need not know."""

    def trained(self, seconds: float) -> None:  # noqa: B027
        """Note the seconds since the last call that went into anything but looking."""


class EverySteps(Schedule):
    """Look at each step whose number is a multiple of `period`."""

    def __init__(self, period: int) -> None:
        self._period = period

    def due(self, step: int, length: int, *, new_epoch: bool) -> bool:
        """Whether a multiple of the period lies ahead."""
        return -step % self._period < length


class EveryEpoch(Schedule):
    """Look at the first step of each epoch."""

    def due(self, step: int, length: int, *, new_epoch: bool) -> bool:
        """Whether an epoch begins."""
        return new_epoch


class Budget(Schedule):
    """Look as often as keeps the time spent on it within a share of the training time.

    Args:
        share: Seconds of looking for each second of training.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._training = self._looking = 0.0
        self._steps = self._looks = 0

    def due(self, step: int, length: int, *, new_epoch: bool) -> bool:
        """Whether one more look keeps within the share."""
        self._steps += length
        return self._looking + self._expected() <= self._share * self._training

    def _expected(self) -> float:
        if self._looks:
            return self._looking / self._looks
        return _GUESS * self._training / max(1, self._steps)

    def spent(self, looking: float) -> None:
        """Note the seconds that a look took."""
        self._looking += looking
        self._looks += 1

    def trained(self, seconds: float) -> None:
        """Note the seconds since the last call that went into anything but looking."""
        self._training += seconds
