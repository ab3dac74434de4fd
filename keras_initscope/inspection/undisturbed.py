"""The guard of a look: what a training step leaves behind in Keras is put back.

Owns what a dry run touches beside variables: the losses and metrics that `compile` made and the
first step would build, and the random number generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from keras.src.backend.common import global_state

_GENERATOR = "global_seed_generator"


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Leave no trace on a model and on random number generators.

    Within it the model has no compiled metrics, which a look has no use for, and a loss of its own
    where the compiled one is not built.
    """
    held = {name: model.__dict__.get(name) for name in ("_compile_metrics", "_compile_loss")}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    generator = global_state.get_global_attribute(_GENERATOR)
    # Past Keras' attribute tracking, which would note a change of the model.
    model.__dict__.update(_compile_metrics=None, _compile_loss=_fresh(held["_compile_loss"]))
    try:
        yield
    finally:
        model.__dict__.update(held)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        global_state.set_global_attribute(_GENERATOR, generator)


def _fresh(loss: Any) -> Any:
    if loss is None or loss.built:
        return loss
    return type(loss)(loss._user_loss, loss._user_loss_weights, loss.reduction, loss.output_names)
