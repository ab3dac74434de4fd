"""What a sweep gives, keeps and runs again; in this process, for joblib itself is not on trial."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from keras_initscope.sweeps import SweepError, sweep

CELLS = [{"a": a, "b": b} for a in (1, 2, 3) for b in ("x", "y")]


def run(function, cells=CELLS, log_dir=None, **options):
    """The result, and the lines told of."""
    lines = []
    return sweep(function, cells, log_dir, jobs=1, progress=lines.append, **options), lines


def noting(path):
    """A function that notes which cells it is called for, and fails where a file says so."""

    def function(a, b):
        with open(path / "called", "a", encoding="utf-8") as file:
            file.write(f"{a}{b} ")
        if (path / "fail").exists() and a == 2:
            raise RuntimeError(f"no {a}\nof {b}")
        return {"text": b * a, "number": a / 4}

    return function


def called(path):
    """Those cells, which are then forgotten."""
    file = path / "called"
    names = file.read_text(encoding="utf-8").split() if file.exists() else []
    file.unlink(missing_ok=True)
    return names


def cell_files(log_dir):
    found = {}
    for path in (log_dir / "cells").iterdir():
        cell = json.loads(path.read_text(encoding="utf-8"))["cell"]
        found[f"{cell['a']}{cell['b']}"] = path
    return found


def test_rows_are_in_the_order_of_the_cells(tmp_path):
    result, lines = run(noting(tmp_path))
    assert [row["a"] for row in result.rows] == [1, 1, 2, 2, 3, 3]
    assert result.rows[3] == {"a": 2, "b": "y", "text": "yy", "number": 0.5, "error": ""}
    assert (result.failed, result.files, result.settings) == ((), (), ("a", "b"))
    assert len(lines) == 6
    assert lines[0].startswith("1/6  a=1, b=x: text=x, number=0.25; about ")
    assert lines[5] == "6/6  a=3, b=y: text=yyy, number=0.75"
    assert "error" not in str(result)


def test_lines_are_logged_and_a_bar_is_shown_where_nobody_takes_them(caplog, capsys):
    caplog.set_level(logging.INFO, "keras_initscope.sweeps")
    sweep(lambda a: {"b": a}, [{"a": 1}], jobs=1)
    assert caplog.messages == ["1/1  a=1: b=1"]
    shown = capsys.readouterr().out
    assert "0/1" in shown
    assert "1/1" in shown
    assert "/cell" in shown
    assert shown.endswith("\n")


def test_the_bar_counts_what_is_finished_already_and_what_failed(tmp_path, capsys):
    (tmp_path / "fail").touch()
    for _ in range(2):
        sweep(noting(tmp_path), CELLS, tmp_path / "logs", jobs=1)
        assert "failed: 2" in capsys.readouterr().out
    run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert capsys.readouterr().out == ""
    (tmp_path / "fail").unlink()
    sweep(noting(tmp_path), CELLS, tmp_path / "logs", jobs=1)
    shown = capsys.readouterr().out
    assert "4/6" in shown
    assert "0/6" not in shown
    assert "failed" not in shown


def test_a_failing_cell_is_told_and_stops_no_other(tmp_path):
    (tmp_path / "fail").touch()
    result, lines = run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert [row["error"] for row in result.failed] == [
        "RuntimeError: no 2 of x",
        "RuntimeError: no 2 of y",
    ]
    assert result.failed[0]["number"] is None
    assert len(result.finished) == 4
    assert "FAILED: RuntimeError: no 2 of x" in lines[2]
    assert "RuntimeError: no 2 of y" in str(result)
    kept = json.loads(cell_files(tmp_path / "logs")["2x"].read_text(encoding="utf-8"))
    assert "raise RuntimeError" in kept["traceback"]


def test_a_second_start_runs_what_failed_and_nothing_else(tmp_path):
    (tmp_path / "fail").touch()
    run(noting(tmp_path), log_dir=tmp_path / "logs")
    called(tmp_path)
    (tmp_path / "fail").unlink()
    result, lines = run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert called(tmp_path) == ["2x", "2y"]
    assert lines[0] == "4 of 6 cells are finished already"
    assert result.failed == ()
    assert run(noting(tmp_path), log_dir=tmp_path / "logs")[0].rows == result.rows
    assert called(tmp_path) == []


def test_more_cells_run_beside_those_that_are_there(tmp_path):
    run(noting(tmp_path), CELLS[:2], tmp_path / "logs")
    called(tmp_path)
    reordered = [dict(reversed(cell.items())) for cell in reversed(CELLS[:4])]
    result, _ = run(noting(tmp_path), reordered, tmp_path / "logs")
    assert called(tmp_path) == ["2y", "2x"]
    assert [row["number"] for row in result.rows] == [0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\x00"),
        lambda path: path.write_text("[1, 2]"),
        lambda path: path.write_text(path.read_text().replace('"a": 2', '"a": 7')),
        lambda path: path.write_text(path.read_text().replace("0.5", "[0.5]")),
        lambda path: path.write_text(path.read_text().replace('"sweep": "', '"sweep": "0')),
    ],
)
def test_a_spoilt_file_is_told_and_run_again(tmp_path, spoil):
    first, _ = run(noting(tmp_path), log_dir=tmp_path / "logs")
    called(tmp_path)
    path = cell_files(tmp_path / "logs")["2x"]
    spoil(path)
    again, lines = run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert called(tmp_path) == ["2x"]
    assert lines[0] == f"{path} is not a whole result of this sweep: its cell is run again"
    assert again.rows == first.rows


def test_a_draft_left_by_a_killed_process_is_no_result(tmp_path):
    run(noting(tmp_path), log_dir=tmp_path / "logs")
    called(tmp_path)
    path = cell_files(tmp_path / "logs")["3y"]
    path.rename(path.with_name(path.name + ".77.tmp"))
    run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert called(tmp_path) == ["3y"]


def test_values_that_look_alike_are_different_cells(tmp_path):
    cells = [{"a": value} for value in (1, 1.0, True, "1")]
    result = sweep(lambda a: {"kind": type(a).__name__}, cells, tmp_path, jobs=1)
    assert [row["kind"] for row in result.rows] == ["int", "float", "bool", "str"]
    again = sweep(lambda a: {"kind": type(a).__name__}, cells, tmp_path, jobs=1)
    assert again.rows == result.rows


def test_numbers_come_back_as_they_were(tmp_path):
    values = [0.1 + 0.2, 5e-324, float("inf"), -0.0, float("nan"), 2**70]
    cells = [{"number": number} for number in range(len(values))]

    def function(number):
        return {"value": values[number], "small": np.float32(0.1), "flag": np.True_}

    first = sweep(function, cells, tmp_path, jobs=1)
    again = sweep(function, cells, tmp_path, jobs=1)
    assert list(map(repr, again.rows)) == list(map(repr, first.rows))
    assert first.rows[0]["small"] == float(np.float32(0.1))
    assert first.rows[0]["flag"] is True


def test_interrupted_it_stops_and_keeps_what_is_finished(tmp_path):
    allowed = tmp_path / "go"

    def function(a, b):
        if a == 2 and not Path(allowed).exists():
            raise KeyboardInterrupt
        return {"c": a}

    lines = []
    with pytest.raises(KeyboardInterrupt):
        sweep(function, CELLS, tmp_path / "logs", 1, lines.append)
    assert lines[-1] == "stopped: 2 of 6 cells are finished"
    allowed.touch()
    _, lines = run(function, log_dir=tmp_path / "logs")
    assert lines[0] == "2 of 6 cells are finished already"


def scaled(factor):
    return lambda a: {"b": factor * a}


def test_another_function_does_not_take_its_results(tmp_path):
    cells = [{"a": 3}]
    assert sweep(scaled(2), cells, tmp_path, 1).rows[0]["b"] == 6
    assert sweep(scaled(2), cells, tmp_path, 1).rows[0]["b"] == 6
    with pytest.raises(SweepError, match=r"holds the results of another sweep: code was '\w{16}'"):
        sweep(scaled(3), cells, tmp_path, 1)
    assert sweep(scaled(2), cells, tmp_path, 1).rows[0]["b"] == 6


def test_what_else_results_depend_on_is_compared(tmp_path):
    cells = [{"a": 3}]
    sweep(scaled(2), cells, tmp_path, 1, depends_on={"data": "v1"})
    with pytest.raises(
        SweepError, match=r"another sweep: depends_on data was \"'v1'\" and is \"'v2'\"\."
    ):
        sweep(scaled(2), cells, tmp_path, 1, depends_on={"data": "v2"})


@pytest.mark.parametrize("name", ["code", "function", "python"])
def test_no_name_there_hides_what_is_seen_anyway(tmp_path, name):
    sweep(scaled(2), [{"a": 3}], tmp_path, 1, depends_on={name: "v1"})
    with pytest.raises(SweepError, match=r"another sweep: code was '\w{16}'"):
        sweep(scaled(3), [{"a": 3}], tmp_path, 1, depends_on={name: "v1"})
    with pytest.raises(SweepError, match=f"another sweep: depends_on {name} was"):
        sweep(scaled(2), [{"a": 3}], tmp_path, 1, depends_on={name: "v2"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["x"], r"must be a mapping of names .*Received: \['x'\] \(of type list\)"),
        ({"data": [1]}, r"`depends_on` must have texts, .* Received: data=\[1\]"),
    ],
)
def test_what_is_no_dependence_is_refused(given, words):
    with pytest.raises(SweepError, match=words):
        sweep(pytest.fail, [{"a": 3}], jobs=1, depends_on=given)


def test_who_it_belongs_to_can_be_read_and_is_mended(tmp_path):
    sweep(scaled(2), [{"a": 3}], tmp_path, 1)
    about = tmp_path / "sweep.json"
    known = json.loads(about.read_text(encoding="utf-8"))
    assert known["function"].endswith("scaled.<locals>.<lambda>")
    assert {"code", "python", "numpy", "keras", "keras_initscope"} < known.keys()
    about.write_text("{")
    _, lines = run(scaled(2), [{"a": 3}], tmp_path)
    assert lines == [
        f"{about} cannot be read and is written anew",
        "1 of 1 cells are finished already",
    ]
    about.unlink()
    (tmp_path / "table.csv").unlink()
    _, lines = run(scaled(5), [{"a": 3}], tmp_path)  # no word of whose it was: but each file knows
    assert "is not a whole result of this sweep" in lines[0]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "must return a mapping of names to texts, numbers or truth values. Received: None"),
        ({"b": [1]}, "Received: b=[1] (of type list)"),
        ({"b": None}, "Received: b=None"),
        ({3: 1.0}, "names that are texts other than 'error'. Received: 3"),
        ({"error": "x"}, "Received: 'error'"),
        ({"b": "\ud800"}, "Received: b='\\ud800', which has half a character"),
        ({"b": 10**5000}, "whole numbers of at most 10000 bits. Received: one of 16610 as b"),
        ({"a": 1}, "has the names ['a'], which the cell has as well"),
    ],
)
def test_a_result_that_is_none_fails_its_cell_alone(returned, words):
    result, _ = run(lambda a: returned if a else {"b": 1}, [{"a": 0}, {"a": 1}])
    assert words in result.failed[0]["error"]
    assert len(result.finished) == 1


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (NoTextError(), "NoTextError: (it cannot be shown: its text raises RuntimeError)"),
        (ValueError("half \ud800"), "ValueError: half \\ud800"),
    ],
)
def test_whatever_a_cell_raises_fails_it_alone(tmp_path, error, words):
    def function(a):
        if a:
            raise error
        return {"b": 1}

    result, _ = run(function, [{"a": 1}, {"a": 0}], tmp_path)
    assert [row["error"] for row in result.rows] == [words, ""]


def test_a_number_that_is_too_large_for_the_page_is_kept(tmp_path):
    result, _ = run(lambda a: {"b": a * 10**400}, [{"a": 1}, {"a": 2}], tmp_path)
    assert result.rows[1]["b"] == 2 * 10**400
    _, lines = run(lambda a: {"b": a * 10**400}, [{"a": 1}, {"a": 2}], tmp_path)
    assert lines == ["2 of 2 cells are finished already"]


def test_a_result_is_kept_before_the_page_is_written(tmp_path, monkeypatch):
    def broken(*args):
        raise OSError("no page")

    monkeypatch.setattr("keras_initscope.sweeps.running.HParams.write", broken)
    with pytest.raises(OSError, match="no page"):
        run(lambda a: {"b": a}, [{"a": 1}], tmp_path)
    monkeypatch.undo()
    assert run(lambda a: {"b": a}, [{"a": 1}], tmp_path)[1] == ["1 of 1 cells are finished already"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([{"a": "\ud800"}], r"texts that UTF-8 can write\. Received: a='\\ud800'"),
        ([{"\ud800": 1}], "names that are texts"),
        ([{"a": -(10**400)}], r"at most 308 digits\. Received: one of 1329 bits as a"),
        ([{"a": 10**5000}], r"at most 10000 bits\. Received: one of 16610 as a"),
        (3, r"must be a list of mappings .* Received: 3 \(of type int\)"),
        ([], "at least one cell"),
        ([3], r"mapping of the function's arguments\. Received: 3 as cell 0"),
        ([{"a": 1}, {"b": 1}], r"same names\. Received: \['a'\] in cell 0, \['b'\] in cell 1"),
        ([{"a": 1}, {"a": 2}, {"a": 1}], "Cells 0 and 2 are the same"),
        ([{"a": None}], r"Received: a=None \(of type NoneType\)"),
        ([{"error": 1}], "Received: 'error'"),
    ],
)
def test_cells_that_are_none_are_refused_before_anything_runs(cells, words):
    with pytest.raises(SweepError, match=words):
        sweep(pytest.fail, cells, jobs=1)


@pytest.mark.parametrize("jobs", [0, 1.5, True, "all"])
def test_a_number_of_jobs_that_is_none_is_refused(jobs):
    with pytest.raises(SweepError, match="`jobs` must be a number of processes"):
        sweep(pytest.fail, CELLS, jobs=jobs)


def test_what_is_no_function_or_path_is_refused():
    with pytest.raises(SweepError, match=r"needs a function .* Received: 3 \(of type int\)"):
        sweep(3, CELLS, jobs=1)
    with pytest.raises(SweepError, match=r"the path of a directory, or None\. Received: 3"):
        sweep(scaled(1), CELLS, 3, jobs=1)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match="`log_dir` must be a directory that can be written"):
        sweep(scaled(2), [{"a": 1}], tmp_path / "file", jobs=1)


def test_the_table_is_a_file(tmp_path):
    result, _ = run(noting(tmp_path), log_dir=tmp_path / "logs")
    lines = result.files[0].read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["a,b,text,number,error", "1,x,x,0.25,"]
    assert len(lines) == 7


def test_the_table_holds_what_was_asked_for_now_and_the_rest_is_kept(tmp_path):
    run(noting(tmp_path), log_dir=tmp_path / "logs")
    result, _ = run(noting(tmp_path), CELLS[:2], tmp_path / "logs")
    assert len(result.files[0].read_text(encoding="utf-8").splitlines()) == 3
    _, lines = run(noting(tmp_path), log_dir=tmp_path / "logs")
    assert lines == ["6 of 6 cells are finished already"]


def test_a_table_of_others_is_not_overwritten(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("mine", encoding="utf-8")
    with pytest.raises(SweepError, match=r"is not of a sweep, for there is no sweep\.json"):
        run(scaled(2), [{"a": 1}], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert table.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["sweep.json", "table.csv", "cell"])
def test_a_directory_in_place_of_a_file_is_refused(tmp_path, name):
    run(noting(tmp_path), CELLS, tmp_path / "logs")
    path = cell_files(tmp_path / "logs")["2x"] if name == "cell" else tmp_path / "logs" / name
    path.unlink()
    path.mkdir()
    with pytest.raises(SweepError, match=f"keeps a file at .*{path.name}', where there is a dir"):
        run(noting(tmp_path), CELLS, tmp_path / "logs")
