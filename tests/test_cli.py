"""The command line: what it prints and the exit codes it gives."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_initscope
from keras_initscope import presets
from keras_initscope.cli import main
from keras_initscope.diagnosis import RULES
from keras_initscope.presets import registry
from keras_initscope.records import (
    LayerInfo,
    ModelInfo,
    Quantity,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
)
from keras_initscope.writers import JSONLinesWriter


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_names_every_preset_with_its_summary(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(presets.names())
    for name, line in zip(presets.names(), lines, strict=True):
        assert line.endswith(presets.get(name).summary)


def test_run_prints_progress_table_verdicts_and_files(in_folder, capsys):
    assert main(["run", "small-weights", "--log-dir", "out", "--seed", "3", "--quick"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^\[ +\d+\.\d s\] 400 networks", out, re.MULTILINE)
    assert re.search(r"^layer +mean_square +saturated$", out, re.MULTILINE)
    assert len(re.findall(r"^met ", out, re.MULTILINE)) == 5
    assert "wrote out/table.csv" in out
    assert out.rstrip().endswith("All 5 expectations are met.")
    assert (in_folder / "out" / "table.csv").is_file()


def test_the_same_seed_prints_the_same_table(in_folder, capsys):
    tables = []
    for seed in (3, 3, 4):
        main(["run", "unit-gain", "--seed", str(seed), "--quick"])
        tables.append(re.search(r"(?s)-----\n(.*?)\n\n", capsys.readouterr().out)[1])
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_run_writes_to_a_folder_of_the_preset_by_default(in_folder):
    assert main(["run", "small-weights", "--quick"]) == 0
    assert (in_folder / "runs" / "small-weights" / "table.csv").is_file()


def no_networks():
    return {}


def test_a_failed_expectation_gives_exit_code_1(in_folder, capsys, monkeypatch):
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})
    claim = presets.Expectation(
        claim="value",
        source="a wrong theory",
        interval=presets.Interval.around(1.0, absolute=0.1),
        measure=presets.cell("value"),
    )

    @presets.preset("wrong", expects=[claim], networks=no_networks)
    def wrong(run: presets.Run) -> presets.Outcome:
        """Fails."""
        return presets.Outcome(rows=[{"value": 2.0}])

    assert main(["run", "wrong"]) == 1
    out = capsys.readouterr().out
    assert "FAILED value: 2, expected 0.9 to 1.1 (a wrong theory)" in out
    assert "1 of 1 expectations FAILED." in out


def test_an_unknown_preset_gives_exit_code_2_and_a_suggestion(in_folder, capsys):
    assert main(["run", "smal-weights"]) == 2
    captured = capsys.readouterr()
    assert "Did you mean 'small-weights'" in captured.err
    assert captured.out == ""
    assert list(in_folder.iterdir()) == []


def test_an_unwritable_log_dir_gives_exit_code_2(in_folder, capsys):
    (in_folder / "file").write_text("")
    assert main(["run", "small-weights", "--log-dir", "file"]) == 2
    assert "`log_dir` must be a directory that can be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "small-weights", "--seed", "x"],
        ["list", "--quick"],
        ["inspect"],
        ["inspect", "m.keras"],
        ["rules", "F1", "F2"],
        ["report"],
    ],
    ids=" ".join,
)
def test_wrong_usage_gives_exit_code_2(arguments, capsys):
    assert main(arguments) == 2
    assert "usage: initscope" in capsys.readouterr().err


def test_a_negative_seed_gives_exit_code_2(in_folder, capsys):
    assert main(["run", "small-weights", "--seed", "-1"]) == 2
    assert "`seed` must be an integer of 0 or more" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"initscope {keras_initscope.__version__}\n"


def test_help_names_the_commands(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "list" in out
    assert "run" in out
    assert "inspect" in out
    assert "rules" in out
    assert "report" in out


def test_it_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "keras_initscope.cli", "run", "no-such-preset"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert "There is no preset 'no-such-preset'" in done.stderr


def _saved(loss=None, shape=(64,), outputs=10, name="model.keras", **dense):
    hidden = keras.layers.Flatten() if len(shape) > 1 else keras.layers.Dense(16, "tanh")
    parts = [hidden, keras.layers.Dense(outputs, **dense)]
    model = keras.Sequential([keras.Input(shape, name="pixels"), *parts], name="net")
    if loss:
        model.compile("adam", loss)
    model.save(name)
    return name


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (None, "net: 2 layers, 256 examples, step 0, gradients of a cotangent of variance 1"),
        ("mse", "step 0, loss mse = "),
        ("sparse_categorical_crossentropy", "step 0, loss sparse_categorical_crossentropy = "),
    ],
)
def test_inspect_prints_the_report_of_a_saved_model(in_folder, capsys, loss, shown):
    assert main(["inspect", _saved(loss), "--data", "digits"]) == 0
    out = capsys.readouterr().out
    assert shown in out
    assert re.search(r"^0 +dense\w* +Dense +0\.", out, re.MULTILINE)


@pytest.mark.parametrize("loss", [[], ["--loss", "mean_absolute_error"]], ids=["own", "other"])
def test_inspect_says_of_a_trained_model_that_it_is_one(in_folder, capsys, loss):
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 64)), np.zeros((8, 1)), batch_size=2, verbose=0)
    model.save("model.keras")
    np.savez("data.npz", x=np.random.default_rng(0).normal(size=(20, 64)), y=np.zeros((20, 1)))
    assert main(["inspect", "model.keras", "--data", "data.npz", *loss]) == 0
    out = capsys.readouterr().out
    assert "20 examples, step 4, loss " in out
    assert "those of a trained model are not" in out


def test_inspect_does_not_list_all_labels_that_are_out_of_range(in_folder, capsys):
    np.savez("data.npz", x=np.zeros((256, 64)), y=np.full(256, 77))
    model = _saved("sparse_categorical_crossentropy", activation="softmax")
    assert main(["inspect", model, "--data", "data.npz"]) == 2
    assert capsys.readouterr().err.count("77") < 100


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (12, 10, 3)])
def test_inspect_brings_the_digits_into_the_form_that_the_model_takes(in_folder, capsys, shape):
    assert main(["inspect", _saved(shape=shape), "--data", "digits"]) == 0
    assert "256 examples" in capsys.readouterr().out


def test_inspect_takes_a_file_of_arrays_and_writes_a_report(in_folder, capsys):
    x = np.random.default_rng(0).normal(size=(20, 64))
    np.savez("data.npz", x=x, y=np.arange(20) % 10)
    loss = "sparse_categorical_crossentropy"
    arguments = ["inspect", _saved(activation="softmax"), "--data", "data.npz"]
    assert main([*arguments, "--loss", loss, "--out", "look"]) == 0
    out = capsys.readouterr().out
    assert f"20 examples, step 0, loss {loss} = " in out
    assert out.endswith("wrote look/report.md\nwrote look/depth.png\n")
    assert (in_folder / "look" / "depth.png").is_file()
    assert f"loss {loss}" in (in_folder / "look" / "report.md").read_text()


def test_without_targets_in_the_file_the_compiled_loss_is_left_out(in_folder, capsys):
    np.savez("data.npz", pixels=np.ones((20, 64)))
    assert main(["inspect", _saved("mse"), "--data", "data.npz"]) == 0
    assert "cotangent of variance 1" in capsys.readouterr().out


@pytest.mark.parametrize("names", [("zz", "aa"), ("x", "a_in")])
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_arrays_go_by_the_keys_and_by_the_names_of_the_inputs(in_folder, capsys, names):
    a, b = keras.Input((16,), name="x"), keras.Input((8,), name="a_in")
    model = keras.Model({"zz": a, "aa": b}, keras.layers.Concatenate(name="both")([a, b]))
    model.save("model.keras")
    data = _arrays(**dict(zip(names, (np.ones((4, 16)), np.zeros((4, 8))), strict=True)))
    assert main(["inspect", "model.keras", "--data", data]) == 0
    assert re.search(r"^0 +both +Concatenate +0\.667 +0\.667 ", capsys.readouterr().out, re.M)


def _pickled():
    np.savez("bad.npz", x=np.array([{}, {}], dtype=object))
    return "bad.npz"


def _file(name, text=b"text"):
    with open(name, "wb") as file:
        file.write(text)
    return name


def _truncated(name):
    with open(name, "r+b") as file:
        file.truncate(1000)
    return name


def _arrays(**arrays):
    np.savez("data.npz", **arrays)
    return "data.npz"


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (lambda: "none.keras", lambda: "digits", "There is no file 'none.keras'"),
        (lambda: _file("m.h5"), lambda: "digits", "Expected a .keras file"),
        (lambda: _file("m.keras"), lambda: "digits", "not a Keras archive"),
        (lambda: _truncated(_saved()), lambda: "digits", "not a Keras archive"),
        (_saved, lambda: "digit", "Expected a .npz file"),
        (_saved, lambda: _file("x.npz"), "cannot be loaded"),
        (_saved, _pickled, "allow_pickle=False"),
        (_saved, lambda: _arrays(y=np.ones(3)), "Expected the data to hold an array `x`"),
        (_saved, lambda: _arrays(x=np.ones((3, 7))), "Received: shape (3, 7)"),
        (lambda: _saved("mse"), lambda: _arrays(x=np.ones((3, 64)), y=np.ones(4)), "same number"),
        (lambda: _saved(shape=(5,)), lambda: "digits", "do not suit the model 'net'"),
        (lambda: _saved("mse", outputs=3), lambda: "digits", "There are 10 classes"),
    ],
)
def test_what_cannot_be_inspected_gives_exit_code_2(in_folder, capsys, model, data, words):
    assert main(["inspect", model(), "--data", data()]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("initscope: ")
    assert captured.out == ""


def test_python_code_in_a_model_runs_only_where_asked(in_folder, capsys):
    double = keras.layers.Lambda(lambda x: 2 * x, output_shape=(64,))
    model = keras.Sequential([keras.Input((64,)), double, keras.layers.Dense(3)])
    model.save("model.keras")
    arguments = ["inspect", "model.keras", "--data", "digits"]
    assert main(arguments) == 2
    assert "--unsafe" in capsys.readouterr().err
    assert main([*arguments, "--unsafe"]) == 0


def test_a_report_that_cannot_be_written_gives_exit_code_2(in_folder, capsys):
    _file("taken")
    assert main(["inspect", _saved(), "--data", "digits", "--out", "taken"]) == 2
    assert "cannot be written to --out 'taken'" in capsys.readouterr().err


def test_an_unknown_loss_gives_exit_code_2(in_folder, capsys):
    assert main(["inspect", _saved(), "--data", "digits", "--loss", "msee"]) == 2
    assert "Received: loss='msee'" in capsys.readouterr().err


def test_rules_lists_every_rule_with_its_title(capsys):
    assert main(["rules"]) == 0
    out = capsys.readouterr().out
    for rule in RULES.values():
        assert re.search(rf"^{rule.code} +{re.escape(rule.title)}$", out, re.MULTILINE)


@pytest.mark.parametrize("code", RULES)
def test_rules_explains_one_whole(code, capsys):
    assert main(["rules", code.lower()]) == 0
    out = " ".join(capsys.readouterr().out.split())
    rule = RULES[code]
    assert out.startswith(f"{code} {rule.title} {rule.explanation}")
    assert f"What to do: {rule.remedy}" in out
    assert all(quantity in out for quantity in rule.needs)


def test_an_unknown_rule_gives_exit_code_2_and_a_suggestion(capsys):
    assert main(["rules", "F11"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("initscope: There is no rule 'F11'. Did you mean 'F1'")
    assert captured.out == ""


def _look(step, broken):
    tap = Tap(layer="block/dense", quantity=Quantity.KERNEL, depth=0, size=9)
    values = {"nonfinite_count": broken, "root_mean_square": 1.0, "minimum": -2.0, "maximum": 2.0}
    stats = TensorStats(tap=tap, values=values)
    info = StepInfo(loss=2.0 - step / 100, learning_rate=None, time=0.0)
    return Snapshot(step=step, info=info, stats=(stats,))


def _run(folder, looks):
    layer = LayerInfo(path="block/dense", kind="Dense", depth=0)
    writer = JSONLinesWriter(str(folder), ModelInfo(name="net", layers=(layer,)))
    for look in looks:
        writer.write(look, {})
    writer.close()
    return folder / "snapshots.jsonl"


def test_report_tells_what_was_found_in_a_run_and_how_it_went(in_folder, capsys):
    _run(in_folder / "logs", [_look(step, 4.0 * (step == 50)) for step in range(0, 101, 5)])
    assert main(["report", "logs"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("net: training steps 0 to 100, looked at 21 times, 1 layers\n")
    told = " ".join(out.split())
    assert "1. Numbers that are not finite (alarm, rule N1) Where: block/dense." in told
    assert "When: at step 50 alone; gone at the end." in told
    assert "4 of 9 elements" in told
    assert f"What to change: {RULES['N1'].remedy}" in told
    assert "2.00" in told


def test_report_is_written_with_its_pictures(in_folder, capsys):
    _run(in_folder / "logs", [_look(0, 0.0), _look(5, 0.0)])
    assert main(["report", "logs", "--out", "told"]) == 0
    written = re.findall(r"^wrote (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert {Path(path).name for path in written} >= {"report.md", "depth.png"}
    assert all(Path(path).stat().st_size for path in written)
    _file("file")
    assert main(["report", "logs", "--out", "file"]) == 2
    assert "The report cannot be written to --out 'file'" in capsys.readouterr().err


def test_report_says_of_a_healthy_run_that_it_is_one(in_folder, capsys):
    _run(in_folder, [_look(0, 0.0)])
    assert main(["report", "."]) == 0
    assert "\nWhat is wrong: nothing was found\n" in capsys.readouterr().out


@pytest.mark.parametrize("cut", [1, 30])
def test_report_of_a_run_that_was_killed(in_folder, capsys, cut):
    """While its last line was written: what is before counts."""
    path = _run(in_folder, [_look(0, 0.0), _look(5, 4.0)])
    path.write_bytes(path.read_bytes()[:-cut])
    assert main(["report", "."]) == 0
    assert ("N1" in capsys.readouterr().out) == (cut == 1)


def _edited(*edits):
    path = _run(Path(), [_look(0, 0.0), _look(5, 0.0)])
    text = path.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return "."


def _emptied():
    _run(Path(), [])
    return "."


@pytest.mark.parametrize(
    ("log_dir", "words"),
    [
        (lambda: "none", "There is no snapshots.jsonl in 'none'"),
        (lambda: _file("file"), "There is no snapshots.jsonl in 'file'"),
        (lambda: str(_run(Path("a/b"), [_look(0, 0.0)]).parents[1]), "There is one in 'a/b'"),
        (_emptied, "holds no measured snapshot"),
        (lambda: _edited(('"measured"', '"predicted"')), "holds no measured snapshot"),
        (lambda: _edited(('{"step":0,', "{]")), "Line 2 of snapshots.jsonl in '.' is no JSON"),
        (lambda: _edited(('"quantity":"kernel"', '"quantity":"mass"')), "Line 2 .* format"),
        (lambda: _edited(('"depth":', '"height":')), "Line 1 .* format"),
        (lambda: _edited(('"maximum"', '"largest"')), "cannot be judged.*KeyError: 'maximum'"),
        (lambda: _edited(('{"step":0,', '"text"\n{"step":0,')), "Line 2 .* format"),
    ],
)
def test_what_cannot_be_reported_gives_exit_code_2(in_folder, capsys, log_dir, words):
    assert main(["report", log_dir()]) == 2
    captured = capsys.readouterr()
    assert re.match(f"initscope: .*{words}", captured.err)
    assert captured.out == ""


@pytest.fixture
def two_presets(monkeypatch):
    """A catalogue of one preset that works and one that breaks."""
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})

    @presets.preset("works", expects=[], networks=no_networks)
    def works(
        run: presets.Run, depth: tuple[int, ...] = (1,), rate: float = 0.5
    ) -> presets.Outcome:
        """Works."""
        return presets.Outcome(rows=[{"depth": len(depth), "rate": rate, "from": run.seed}])

    @presets.preset("breaks", expects=[], networks=no_networks)
    def breaks(run: presets.Run) -> presets.Outcome:
        """Breaks."""
        raise RuntimeError("out of luck")


def test_parameters_are_set(two_presets, in_folder, capsys):
    arguments = ["run", "works", "--set", "depth=10,30", "--set", "rate=2", "--seeds", "2"]
    assert main(arguments) == 0
    table = Path("runs/works/table.csv").read_text().split()
    assert table == ["seed,depth,rate,from", "0,2,2.0,0", "1,2,2.0,1"]
    assert main(["run", "works", "--seeds", "2", "--jobs", "0"]) == 2
    assert "`jobs` must be an integer of 1 or more, or -1" in capsys.readouterr().err
    assert main(["run", "works", "--set", "dept=3"]) == 2
    assert "no parameter `dept`. Did you mean 'depth'" in capsys.readouterr().err


@pytest.fixture
def stopped(two_presets):
    """A preset behind "breaks", and in front of "works", at which Ctrl-C is pressed."""

    @presets.preset("stops", expects=[], networks=no_networks)
    def stops(run: presets.Run) -> presets.Outcome:
        """Stops."""
        raise KeyboardInterrupt


def test_ctrl_c_gives_one_line_and_exit_code_130(stopped, in_folder, capsys):
    assert main(["run", "stops"]) == 130
    assert capsys.readouterr().err == "initscope: interrupted.\n"


def test_ctrl_c_shows_which_were_finished(stopped, in_folder, capsys):
    assert main(["run", "--all", "--jobs", "1"]) == 130
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()[-3:]][::2] == ["preset", "breaks"]
    assert captured.err.splitlines()[-1] == "initscope: interrupted."
    assert not Path("runs/works").exists()


@pytest.mark.parametrize("out", [".", "file/presets.md"])
def test_a_catalogue_that_cannot_be_written_gives_exit_code_2(two_presets, in_folder, capsys, out):
    _file("file")
    main(["run", "works", "--log-dir", "runs/works"])
    capsys.readouterr()
    assert main(["catalogue", "runs", "--out", out]) == 2
    assert re.match(
        "initscope: The document must be a file that can be written. Received: '",
        capsys.readouterr().err,
    )


def test_all_are_run_whatever_becomes_of_one(two_presets, in_folder, capsys):
    assert main(["run", "--all", "--jobs", "1"]) == 1
    shown = capsys.readouterr().out.splitlines()[-2:]
    nothing_claimed = "No expectations: they are about the preset's own parameters."
    assert [line.split() for line in shown] == [
        ["breaks", "0", "FAILED:", "RuntimeError:", "out", "of", "luck"],
        ["works", "0", *nothing_claimed.split()],
    ]
    assert Path("runs/works/table.csv").is_file()
    assert main(["run", "--all", "--jobs", "0"]) == 2
    assert main(["run", "--all", "--set", "depth=3"]) == 2
    assert main(["run", "--all", "works"]) == 2


def test_all_are_run_side_by_side(in_folder, monkeypatch, capsys):
    names = ("missing", "small-weights", "unit-gain")
    monkeypatch.setattr(presets, "names", lambda: names)
    assert main(["run", "--all", "--quick", "--seed", "3"]) == 1
    shown = capsys.readouterr().out.splitlines()
    outcomes = {line.split()[0]: " ".join(line.split()[2:]) for line in shown[-3:]}
    assert tuple(outcomes) == names
    assert outcomes.pop("missing").startswith("FAILED: PresetError: There is no preset")
    assert set(outcomes.values()) == {"All 5 expectations are met."}
    for name in outcomes:  # what each says is in one piece
        begun = shown.index(f"{name}: {presets.get(name).summary}")
        said = shown[begun : shown.index("All 5 expectations are met.", begun)]
        assert f"wrote {in_folder}/runs/{name}/table.csv" in said
        assert not any(line.startswith(f"{other}: ") for line in said[1:] for other in names)
