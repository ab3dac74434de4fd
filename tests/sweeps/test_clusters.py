"""Cells in worker processes: of joblib on this machine, of Dask and of Ray on the loopback."""

import os
import signal
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest

from keras_initscope.sweeps import SweepError, sweep

# What the clusters' own libraries warn of is not ours to mend.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

CELLS = [{"number": number, "seed": 7} for number in range(6)]
ROWS = [
    {"number": n, "seed": 7, "drawn": float(np.random.default_rng(7 + n).normal()), "error": ""}
    for n in range(6)
]


def drawing(home):
    """A function that no module has, so that it has to travel as code."""

    def job(number, seed):
        if os.getpid() == home:
            raise RuntimeError("this is no worker")
        return {"drawn": np.random.default_rng(seed + number).normal()}

    return job


def failing():
    """The same, and one cell raises."""

    def job(number, seed):
        if number == 1:
            raise ValueError("not one")
        return {"square": number**2}

    return job


def check(log_dir):
    """All that a backend has to do: rows, failures, resumption, and lines on the way."""
    lines = []
    result = sweep(drawing(os.getpid()), CELLS, log_dir / "a", 2, lines.append)
    assert list(result.rows) == ROWS
    assert len(lines) == 6
    again = sweep(drawing(os.getpid()), CELLS, log_dir / "a", 2, lines.append)
    assert (again.rows, lines[6:]) == (result.rows, ["6 of 6 cells are finished already"])
    broken = sweep(failing(), CELLS, log_dir / "b", 2, lines.append)
    assert [row["error"] for row in broken.failed] == ["ValueError: not one"]
    assert len(broken.finished) == 5


def test_loky(tmp_path):
    check(tmp_path)


def test_each_result_is_on_the_disk_before_it_is_told(tmp_path):
    told = []

    def tell(line):
        told.append((line, len(list((tmp_path / "cells").glob("*.json")))))

    with joblib.parallel_config(backend="threading"):
        rows = sweep(lambda a: {"b": a}, [{"a": a} for a in range(5)], tmp_path, 2, tell).rows
    assert [row["b"] for row in rows] == [0, 1, 2, 3, 4]
    assert [count for _, count in told] == [1, 2, 3, 4, 5]


def test_dask(tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is of the extra `cluster`")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        check(tmp_path)


def test_ray(tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is of the extra `cluster`")
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        logging_level="error",
        log_to_driver=False,
    )
    try:
        with joblib.parallel_config(backend="ray"):
            check(tmp_path)
    finally:
        ray.shutdown()


def test_a_worker_that_dies_fails_its_cell_alone():
    def job(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"square": number**2}

    result = sweep(job, [{"number": number} for number in range(8)], jobs=2)
    assert [row["number"] for row in result.failed] == [2]
    assert "its worker process died" in result.failed[0]["error"]
    assert [row["square"] for row in result.finished] == [0, 1, 9, 16, 25, 36, 49]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are told of in /proc, of Linux alone")
def test_workers_share_the_cores():
    def job(number):
        import tensorflow as tf

        sum_ = float(tf.reduce_sum(tf.matmul(tf.ones((300, 300)), tf.ones((300, 300)))))
        names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
        return {"threads": names.count("tf_Compute"), "sum": sum_}

    with joblib.parallel_config(backend="loky", inner_max_num_threads=3):
        result = sweep(job, [{"number": number} for number in range(2)], jobs=2)
    assert [row["threads"] for row in result.rows] == [3, 3]


def test_what_cannot_be_sent_is_told(tmp_path):
    lock = threading.Lock()
    with pytest.raises(SweepError, match="cannot be sent to a worker process"):
        sweep(lambda a: {"b": lock.locked()}, [{"a": 1}, {"a": 2}], jobs=2)
