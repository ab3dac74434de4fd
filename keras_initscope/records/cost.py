"""What an activation costs beside a ReLU.

Owns its words. Times nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_initscope.text import number_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Time that an activation takes, as multiples of the time that ReLU takes.

    Args:
        forward: Of the function alone, as in prediction.
        training: Of the function and its derivative together, as in a training step.
        numbers: How many numbers it was applied to at once.
    """

    forward: float
    training: float
    numbers: int

    def __str__(self) -> str:
        return (
            f"It costs {number_text(self.forward, 2)} times what ReLU does forward, and "
            f"{number_text(self.training, 2)} times with its gradient; timed here, on "
            f"{self.numbers:,} numbers."
        )
