"""Presets taken apart: their networks, data, training, and runs from several seeds."""

import csv
import dataclasses
import os

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import Data, Trial, registry
from keras_initscope.presets.data import noise
from keras_initscope.presets.experiment import Costly, batches_in_turn, drawn_batches

#: Parameters that make a network of a preset small, where it has them.
SMALL = {"depth": 3, "width": 6, "steps": 50, "epochs": 1, "pretraining_epochs": 1}


def _small(name):
    known = {parameter.name for parameter in presets.get(name).parameters}
    return presets.build(name, seed=3, quick=True, **{k: v for k, v in SMALL.items() if k in known})


@pytest.mark.parametrize("name", presets.names())
def test_every_network_of_every_preset_is_a_model_for_its_data(name):
    experiment = _small(name)
    assert experiment.networks
    assert experiment.summary == presets.get(name).summary
    for network in experiment.networks[-2:]:
        trial = experiment.trials[network](experiment.seed)
        assert isinstance(trial.model, keras.Model)
        assert isinstance(trial.data, Data)
        assert trial.model.built
        outputs = np.asarray(trial.model(trial.data.train_x[:4]))
        assert len(outputs) == 4
        assert trial.model.compiled or not trial.steps
        if trial.steps and trial.data.train_y.ndim == 1:
            assert outputs.shape[1] == trial.data.classes


@pytest.mark.parametrize("name", ["he-2015", "kumar-2017", "hinton-2006"])
def test_a_network_is_the_same_for_the_same_seed_alone(name):
    experiment = _small(name)
    first, again = (experiment.model().get_weights() for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    known = {parameter.name for parameter in presets.get(name).parameters}
    values = {k: v for k, v in SMALL.items() if k in known}
    other = presets.build(name, seed=4, quick=True, **values).model().get_weights()
    assert any(np.any(a != b) for a, b in zip(first, other, strict=True))


@pytest.fixture
def catalogue(monkeypatch):
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})


@pytest.fixture
def line(catalogue):
    """A preset that fits a line and one that trains nothing."""

    def trial(steps, seed):
        x = np.random.default_rng(seed).normal(size=(64, 1)).astype("float32")
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        return Trial(model, Data(x, 3 * x, x, 3 * x), steps, 16)

    def networks(steps):
        return {
            "untrained": lambda seed: trial(0, seed),
            "line": lambda seed: trial(steps, seed),
        }

    def none():
        return {}

    claim = presets.Expectation(
        claim="seed",
        source="counting",
        interval=presets.Interval(high=5),
        measure=presets.cell("value"),
    )

    @presets.preset("line", expects=[claim], networks=networks)
    def line(run: presets.Run, steps: int = 40, depth: tuple[int, ...] = (1, 2)) -> presets.Outcome:
        """Fits a line."""
        picture = run.log_dir / "line.png"
        picture.write_bytes(b"png of seed %d" % run.seed)
        return presets.Outcome(rows=[{"value": run.seed}], files=[picture])

    @presets.preset("means", expects=[claim], networks=none, quick={"seeds": 2})
    def means(run: presets.Run, seeds: int = 3) -> presets.Outcome:
        """A mean over seeds."""
        return presets.Outcome(rows=[{"value": run.seed + (seeds - 1) / 2}])


def test_a_network_is_taken_apart_and_trained(line):
    experiment = presets.build("line", seed=2)
    assert experiment.networks == ("untrained", "line")
    assert len(experiment.data().train_x) == 64
    protocol = experiment.protocol()
    assert (protocol["steps"], protocol["batch_size"]) == (40, 16)
    assert protocol["optimizer"]["learning_rate"] == pytest.approx(0.1)
    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    history = experiment.fit(callbacks=[count])
    assert len(seen) == 40
    assert float(history.model.layers[0].kernel[0, 0]) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_says_how_it_trains(name):
    experiment = _small(name)
    protocol = experiment.protocol()
    build = experiment.trials[experiment.networks[-1]]
    trains = bool(getattr(build, "like", build)(0).steps)
    assert list(protocol) == ["steps", "batch_size", "optimizer"]
    assert all(bool(value) == trains for value in protocol.values())


@pytest.mark.parametrize("name", ["hinton-2006", "history", "xiao-2018"])
def test_data_and_protocol_do_not_wait_for_a_costly_network(name, monkeypatch):
    experiment = _small(name)
    costly = {key: each for key, each in experiment.trials.items() if isinstance(each, Costly)}
    assert costly
    for key, build in costly.items():
        trial, data = build(experiment.seed), experiment.data(key)
        for one, other in zip(data, trial.data, strict=True):
            np.testing.assert_array_equal(one, other)
        plain = build.like(experiment.seed)
        assert (plain.steps, plain.batch, plain.in_turn) == trial[2:]
        if trial.steps:
            settings = {**trial.model.optimizer.get_config(), "name": "any"}
            assert {**experiment.protocol(key)["optimizer"], "name": "any"} == settings

    def refuse(seed):
        raise AssertionError

    for key, build in costly.items():
        monkeypatch.setitem(experiment.trials, key, dataclasses.replace(build, make=refuse))
        assert experiment.protocol(key)["steps"] == trial.steps
        assert len(experiment.data(key).train_x)


def test_what_cannot_be_taken_apart_is_refused(line):
    experiment = presets.build("line")
    with pytest.raises(presets.PresetError, match=r"no network 'lime'\. Did you mean 'line'"):
        experiment.model("lime")
    with pytest.raises(presets.PresetError, match=r"before training and has no protocol.*run\(\)"):
        experiment.fit("untrained")


def test_several_seeds_are_several_runs_in_one_table(line, tmp_path):
    result = presets.build("line", seed=4).run(seeds=3, log_dir=tmp_path)
    assert result.rows == tuple({"seed": s, "value": s} for s in (4, 5, 6))
    assert [(v.claim, v.seed, v.met) for v in result.verdicts] == [
        ("seed", 4, True),
        ("seed", 5, True),
        ("seed", 6, False),
    ]
    assert "met    seed, seed 5: 5, expected" in str(result)
    assert (tmp_path / "seed_5" / "line.png").read_bytes() == b"png of seed 5"
    with (tmp_path / "table.csv").open(newline="") as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["4", "5", "6"]
    assert list(result.pictures) == ["line, seed 4", "line, seed 5", "line, seed 6"]


def test_seeds_in_processes_give_what_they_give_one_by_one(tmp_path):
    experiment, lines = presets.build("small-weights", seed=4, draws=5), []
    alone = experiment.run(seeds=2, log_dir=tmp_path / "alone")
    result = experiment.run(2, tmp_path / "both", lines.append, jobs=2)
    assert result.rows == alone.rows
    assert result.verdicts == alone.verdicts
    assert list(result.pictures) == list(alone.pictures)
    table, *others = result.files
    assert table == tmp_path / "both" / "table.csv"
    assert {path.parent for path in others} == {tmp_path / "both" / f"seed_{s}" for s in (4, 5)}
    assert all(path.is_file() for path in result.files)
    assert sorted(line.partition(" is done")[0] for line in lines if "done" in line) == [
        "seed 4",
        "seed 5",
    ]
    assert len([line for line in lines if "5 networks of" in line]) == 2


def test_a_preset_of_ones_own_is_run_in_processes(line):
    """It is in no module that a process could import."""
    places = presets.build("line", seed=4).run(seeds=2, jobs=2).rows
    assert places == ({"seed": 4, "value": 4}, {"seed": 5, "value": 5})


def test_a_process_that_dies_is_told(catalogue):
    def none():
        return {}

    @presets.preset("dies", expects=[], networks=none)
    def dies(run: presets.Run) -> presets.Outcome:
        """Dies."""
        os._exit(1)

    with pytest.raises(presets.PresetError, match="A process that ran one of the seeds died"):
        presets.build("dies").run(seeds=2, jobs=2)


@pytest.mark.parametrize("jobs", [0, -2, 1.0, True, -1.0, None])
def test_nonsense_for_jobs_is_refused(line, jobs):
    with pytest.raises(presets.PresetError, match="`jobs` must be an integer of 1 or more, or -1"):
        presets.build("line").run(seeds=2, jobs=jobs)


def test_a_preset_of_means_takes_the_seeds_itself(line):
    assert presets.build("means").run(seeds=5).rows == ({"value": 2.0},)
    assert presets.build("means").run().rows == ({"value": 1.0},)


def test_claims_hold_for_as_many_seeds_or_more(line):
    for seeds, count in ((1, 0), (2, 1), (3, 1), (7, 1)):
        assert len(presets.build("means").run(seeds=seeds).verdicts) == count
        assert len(presets.run("means", seeds=seeds).verdicts) == count


@pytest.mark.parametrize("seeds", [0, 1.5, True])
def test_nonsense_for_seeds_is_refused(line, seeds):
    with pytest.raises(presets.PresetError, match="`seeds` must be an integer of 1 or more"):
        presets.build("line").run(seeds=seeds)


def test_pictures_are_kept_where_no_file_is_and_shown_by_a_notebook(line):
    result = presets.run("line", seed=1)
    assert result.pictures == {"line": b"png of seed 1"}
    assert result.files == ()
    html = result._repr_html_()
    assert 'src="data:image/png;base64,cG5nIG9mIHNlZWQgMQ=="' in html
    assert "expected at most 5" in html


@pytest.mark.parametrize(
    ("value", "taken"), [(3, (3,)), ([3, 4], (3, 4)), ((5,), (5,))], ids=["one", "list", "tuple"]
)
def test_what_takes_several_values_takes_one(line, value, taken):
    assert presets.build("line", depth=value).parameters["depth"] == taken


def test_what_takes_several_values_checks_each(line):
    for value in ((), (1, 2.5), "12"):
        with pytest.raises(presets.PresetError, match="`depth` must be"):
            presets.build("line", depth=value)


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("steps=7", {"steps": 7}),
        ("depth=3", {"depth": (3,)}),
        ("depth = 3, 4", {"depth": (3, 4)}),
    ],
)
def test_settings_of_a_command_line_are_parsed(line, setting, values):
    assert presets.parsed("line", [setting]) == values


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps", "must be KEY=VALUE. Received: 'steps'"),
        ("step=3", "no parameter `step`. Did you mean 'steps'"),
        ("steps=many", "`steps` must be of type int.*Received: 'many'"),
        ("depth=3,x", "`depth` must be of type int.*Received: 'x'"),
    ],
)
def test_settings_that_are_none_are_refused(line, setting, message):
    with pytest.raises(presets.PresetError, match=message):
        presets.parsed("line", [setting])


def test_batches_are_whole_and_in_turn_or_drawn():
    assert batches_in_turn(5, 3, 2).tolist() == [0, 1, 2, 3, 0, 1]
    assert batches_in_turn(3, 2, 4).tolist() == [0, 1, 2, 0, 0, 1, 2, 0]
    drawn = drawn_batches(5, 3, 2, seed=1)
    assert drawn.shape == (6,)
    assert set(drawn.tolist()) <= set(range(5))
    np.testing.assert_array_equal(drawn, drawn_batches(5, 3, 2, seed=1))


def test_noise_has_the_size_that_theory_assumes():
    data = noise(50, 400, seed=0)
    # The mean of 20,000 squares of N(0, 1) scatters by sqrt(2 / 20,000) = .01.
    assert np.mean(data.train_x**2) == pytest.approx(1, abs=0.04)
    assert (data.features, data.classes) == (50, 10)
    assert not np.array_equal(data.train_x, data.test_x)
