"""Trained networks, TensorBoard over their log directories, and a browser."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from end_to_end.dashboard import browse, serve
from sklearn.datasets import load_digits

import keras_initscope as initscope

PICTURES = Path(__file__).parents[2] / "docs" / "images"
README_PICTURES = {"tensorboard_histograms.png", "tensorboard_depth.png"}


@dataclass(frozen=True)
class Run:
    """A log directory and what the monitor saw on the way."""

    log_dir: Path
    history: list
    prediction: object
    findings: list


@pytest.fixture(scope="session")
def digits():
    """The first 512 handwritten digits, standardized, and their labels."""
    x, y = load_digits(return_X_y=True)
    x = ((x - x.mean()) / x.std()).astype("float32")
    return x[:512], y[:512]


@pytest.fixture(scope="session")
def mixed_run(digits, tmp_path_factory):
    """Layers of many kinds, one with a name as odd as TensorFlow allows."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8, 1), name="image"),
            layers.Conv2D(12, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Activation("relu", name="relu"),
            layers.Dropout(0.1, name="dropout"),
            layers.Reshape((8, 96), name="lines"),
            layers.LSTM(16, name="lstm"),
            layers.Dense(32, activation="tanh", name="dense>1"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="mixed",
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return _train(model, digits, tmp_path_factory.mktemp("mixed"), batch_size=32, epochs=2, freq=8)


@pytest.fixture(scope="session")
def deep_run(digits, tmp_path_factory):
    """Twelve tanh layers that start with weights too small, so that the signal dies on its way."""
    keras.utils.set_random_seed(1)
    small = keras.initializers.RandomNormal(stddev=0.75 / np.sqrt(64))
    hidden = [
        keras.layers.Dense(64, activation="tanh", kernel_initializer=small, name=f"dense_{i}")
        for i in range(1, 13)
    ]
    model = keras.Sequential(
        [keras.Input((64,)), *hidden, keras.layers.Dense(10, activation="softmax", name="digit")],
        name="deep",
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    return _train(
        model, digits, tmp_path_factory.mktemp("deep"), batch_size=128, epochs=80, freq=20
    )


def _train(model, data, directory, *, batch_size, epochs, freq):
    monitor = initscope.VarianceMonitor(directory / "logs", update_freq=freq, on_finding="ignore")
    model.fit(*data, batch_size=batch_size, epochs=epochs, callbacks=[monitor], verbose=0)
    return Run(
        log_dir=directory / "logs",
        history=list(monitor.history),
        prediction=monitor.prediction,
        findings=list(monitor.findings),
    )


@pytest.fixture(scope="session", params=[False, True], ids=["python reader", "data server"])
def load_fast(request):
    """Either of TensorBoard's two ways to read files.

    The data server is a program built for some machines only, those of CI among them; where there
    is none, TensorBoard reads with Python alone, and so does this.
    """
    if request.param:
        data_server = pytest.importorskip("tensorboard_data_server")
        if data_server.server_binary() is None:
            pytest.skip("tensorboard_data_server has no binary for this machine")
    return request.param


@pytest.fixture(scope="session")
def served(load_fast, mixed_run, tmp_path_factory):
    """TensorBoard over the mixed run."""
    output = tmp_path_factory.mktemp("tensorboard") / "output.txt"
    with serve(mixed_run.log_dir, output, load_fast=load_fast) as server:
        yield server


@pytest.fixture(scope="session")
def served_deep(deep_run, tmp_path_factory):
    """TensorBoard over the deep run."""
    output = tmp_path_factory.mktemp("tensorboard") / "output.txt"
    with serve(deep_run.log_dir, output, load_fast=False) as server:
        yield server


@pytest.fixture
def browser(tmp_path):
    """Debian's Chromium without a window; skipped where it is not installed, which CI does."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no chromium and chromedriver: apt-get install chromium chromium-driver")
    with browse(chromium, chromedriver, tmp_path / "profile", size=(1440, 1320)) as opened:
        yield opened


@pytest.fixture
def picture(tmp_path):
    """Where a screenshot goes: the README's into the documentation, only where asked for."""

    def path(name):
        asked = os.environ.get("INITSCOPE_UPDATE_PICTURES") == "1"
        return PICTURES / name if asked and name in README_PICTURES else tmp_path / name

    return path
