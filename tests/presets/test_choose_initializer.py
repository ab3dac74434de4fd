"""choose-initializer in small: fewer networks, the same code."""

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import choose_initializer as module
from keras_initscope.presets import training
from keras_initscope.presets.digits import digits

ACTIVATIONS, INITIALIZERS = module.ACTIVATIONS, module.INITIALIZERS


@pytest.fixture(scope="module")
def few_networks():
    chosen = {name: module.INITIALIZERS[name] for name in ("zeros", "he-average")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ACTIVATIONS", ("tanh", "relu"))
        patch.setattr(module, "INITIALIZERS", chosen)
        yield


def _run(seed, log_dir=None, **arguments):
    small = {"depth": 4, "width": 12, "epochs": 1}
    return presets.run("choose-initializer", log_dir, seed=seed, **small, **arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("choose-initializer")


@pytest.fixture(scope="module")
def progress():
    return []


@pytest.fixture(scope="module")
def result(few_networks, folder, progress):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    result = _run(1, folder, progress=progress.append)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    return result


def test_each_network_has_its_run_and_its_row(result, folder):
    networks = [(row["activation"], row["initializer"]) for row in result.rows]
    expected = [(a, i) for a in ("tanh", "relu") for i in ("zeros", "he-average")]
    assert networks == expected
    for activation, initializer in networks:
        run = folder / f"{activation}-{initializer}"
        assert list(run.rglob("events.out.tfevents*"))
    assert [path.name for path in result.files] == ["table.csv", "variance_over_depth.png"]
    assert all(path.is_file() for path in result.files)


def test_the_variances_are_those_of_the_first_and_last_hidden_layer(result):
    """Recomputed from the network that the preset builds; the first batch is what is measured."""
    data = digits(1)
    model = module._network("relu", module.INITIALIZERS["he-average"], [12] * 3, data, 1)
    values = [data.train_x[: training.BATCH]]
    for layer in model.layers:
        values.append(np.asarray(layer(values[-1])))
    row = next(
        r for r in result.rows if (r["activation"], r["initializer"]) == ("relu", "he-average")
    )
    assert row["activation_first"] == pytest.approx(values[1].var(), rel=1e-4)
    assert row["activation_last"] == pytest.approx(values[3].var(), rel=1e-4)


def test_zeros_pass_no_signal_and_no_gradient_on(result):
    for row in result.rows:
        signal = [row[name] for name in row if name.startswith(("activation_", "gradient_"))]
        assert len(signal) == 4
        assert all(value == 0 for value in signal) == (row["initializer"] == "zeros")


def test_the_seed_fixes_the_table_whatever_is_recorded(result):
    first, again, other = (
        np.array([list(row.values())[2:] for row in run.rows])
        for run in (result, _run(1, record_all=False), _run(2, record_all=False))
    )
    np.testing.assert_array_equal(again[:, 0], first[:, 0])  # accuracy: training is bit-identical
    np.testing.assert_allclose(again, first, rtol=1e-5)
    assert not np.any(np.isclose(other[1], first[1], rtol=1e-5))


def test_progress_tells_of_each_network(result, progress):
    assert [line.split()[0] for line in progress] == ["1/4", "2/4", "3/4", "4/4"]


def test_its_claims_tell_training_from_not_training():
    """A table of equal networks meets some claims and fails others, whichever way it lies."""
    claims = presets.get("choose-initializer").expects
    accuracies = [claim for claim in claims if claim.claim.startswith("accuracy")]
    assert len(accuracies) == 18
    for value in (0.1, 0.95):
        rows = [
            {"activation": activation, "initializer": initializer, "accuracy": value}
            for activation in ACTIVATIONS
            for initializer in INITIALIZERS
        ]
        met = [claim.check(rows).met for claim in accuracies]
        assert any(met)
        assert not all(met)
