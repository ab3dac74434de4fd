"""A process that is killed leaves a log that can be read, and loses one record at most."""

import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from keras_initscope.writers import read_jsonlines

KILLS = 10
#: All else is written each step.
ONCE = "initscope/model"
#: Page and JSON text of what is wrong, written where others are true than before.
ON_CHANGE = ("findings", "initscope/findings")
LONGEST = 4.0  # seconds of training before the kill


def _train(log_dir, told):
    """Look at every step and tell, past all buffers, of each that is over."""
    import keras

    from keras_initscope import VarianceMonitor

    class Tell(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            os.write(told, b".")

    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(8, "tanh") for _ in "abc")])
    model.compile("sgd", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    monitor = VarianceMonitor(log_dir, update_freq=1, outputs=["tensorboard", "snapshots"])
    model.fit(
        x, np.ones((8, 8)), batch_size=8, epochs=10**6, verbose=0, callbacks=[monitor, Tell()]
    )


def _killed(context, log_dir, wait):
    """Train in a process of its own, kill it; how many steps it told of."""
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=_train_to, args=(log_dir, told))
    process.start()
    told.close()
    first = os.read(heard.fileno(), 1)
    assert first == b"."
    time.sleep(wait)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    rest = iter(lambda: os.read(heard.fileno(), 1 << 16), b"")
    return 1 + sum(map(len, rest))


def _train_to(log_dir, told):
    _train(log_dir, told.fileno())


def _steps_in_both_files(log_dir):
    """Steps of the lines, and of each tag in the events; all that is written each step agrees."""
    lines = [snapshot.step for snapshot in read_jsonlines(log_dir)[1]]
    events = EventAccumulator(os.path.join(log_dir, "train"), {"tensors": 0}).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if "update" not in tag]
    found = {tuple(_values(events, tag)) for tag in tags if tag not in (ONCE, *ON_CHANGE)}
    assert len(found) == 1, "a record holds all of a step or nothing"
    _findings_are_whole(events)
    return lines, list(found.pop())


def _findings_are_whole(events):
    """At each step the last text names as many as the scalar counts; the page goes with it."""
    page, texts = (_values(events, tag) for tag in ON_CHANGE)
    counts = _values(events, "signal/findings")
    assert page.keys() == texts.keys() <= counts.keys()
    shown = None
    for step, count in counts.items():
        shown = json.loads(texts[step]) if step in texts else shown
        assert len(shown) == count


def _values(events, tag):
    return {event.step: make_ndarray(event.tensor_proto).tolist() for event in events.Tensors(tag)}


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    context = multiprocessing.get_context("spawn")
    rng = random.Random(0)
    for number in range(KILLS):
        log_dir = str(tmp_path / str(number))
        over = _killed(context, log_dir, wait=LONGEST * rng.random() ** 2)
        for steps in _steps_in_both_files(log_dir):
            assert steps == list(range(len(steps)))
            assert len(steps) >= over - 1, "more than the record under way is lost"
