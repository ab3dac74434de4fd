"""Several devices at once: the tests of `two_devices`, where there are two; other strategies."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_initscope import VarianceMonitor
from keras_initscope.measurement.backends import tensorflow as backend


@pytest.mark.slow
def test_two_devices():
    path = Path(__file__).with_name("two_devices.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_strategy_that_is_not_measured(tmp_path, monkeypatch):
    """`MultiWorkerMirroredStrategy` with several workers, on which plain `fit` fails by itself."""
    for module in (backend, backend.devices):
        monkeypatch.setattr(module, "replicas", lambda model: 2)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="a")])
    model.compile("sgd", "mse")
    monitor = VarianceMonitor(tmp_path, update_freq=1)
    with pytest.warns(UserWarning, match="MirroredStrategy alone is measured") as recorded:
        model.fit(np.ones((16, 4)), np.ones((16, 2)), 8, verbose=0, callbacks=[monitor])
    assert len(recorded) == 1
    for snapshot in monitor.history:
        kinds = {str(s.tap.quantity) for s in snapshot.stats}
        assert kinds == {"kernel", "bias", "kernel_update"}
