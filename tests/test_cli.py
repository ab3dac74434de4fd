"""The command line: what it prints and the exit codes it gives."""

import re
import subprocess
import sys

import pytest

import keras_initscope
from keras_initscope import presets
from keras_initscope.cli import main
from keras_initscope.presets import registry


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


def test_a_failed_expectation_gives_exit_code_1(in_folder, capsys, monkeypatch):
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})
    claim = presets.Expectation(
        claim="value",
        source="a wrong theory",
        interval=presets.Interval.around(1.0, absolute=0.1),
        measure=presets.cell("value"),
    )

    @presets.preset("wrong", expects=[claim])
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
    [[], ["fly"], ["run"], ["run", "small-weights", "--seed", "x"], ["list", "--quick"]],
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
