"""The losses of single batches, which Keras does not report."""

from __future__ import annotations

from typing import Any

import keras


class BatchLosses(keras.callbacks.Callback):
    """Keeps the loss of each batch before its step.

    Keras reports the mean since the metrics were reset last, so they are before each batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[Any] = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Forget the batches before."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the loss of this one."""
        self.values.append(float((logs or {})["loss"]))
