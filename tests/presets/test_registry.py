"""Presets are found by scan, take typed parameters and refuse the rest in plain words."""

import csv
import dataclasses
import logging
from typing import Annotated

import pytest

from keras_initscope import presets
from keras_initscope.presets import registry
from keras_initscope.presets.parameters import Recording, parameters_of


@pytest.fixture
def catalogue(monkeypatch):
    """A catalogue of its own, to which a test may add."""
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})


@pytest.fixture
def doubling(catalogue):
    @presets.preset("doubling", expects=[_expect_value(6)], quick={"number": 3}, networks=_none)
    def doubling(
        run: presets.Run,
        number: Annotated[int, presets.Interval(low=1, high=100)] = 3,
        factor: float = 2.0,
        shout: bool = False,
        unit: str = "m",
    ) -> presets.Outcome:
        """Doubles a number.

        And more.
        """
        run.progress("doubling")
        (run.log_dir / "note.txt").write_text(str(run.seed))
        row = {"unit": unit, "shout": shout, "value": number * factor}
        return presets.Outcome(rows=[row], files=[run.log_dir / "note.txt"])

    return doubling


def _none():
    """Networks of a preset that has none."""
    return {}


def _expect_value(value):
    return presets.Expectation(
        claim="value",
        source="arithmetic",
        interval=presets.Interval.around(value, absolute=0.5),
        measure=presets.cell("value"),
    )


def test_all_modules_of_the_room_are_scanned():
    assert {"small-weights", "large-weights", "unit-gain"} <= set(presets.names())
    assert list(presets.names()) == sorted(presets.names())


def test_a_preset_is_described_by_its_function(doubling):
    found = presets.get("doubling")
    assert found.summary == "Doubles a number."
    described = [(entry.name, entry.kind, entry.default) for entry in found.parameters]
    assert described == [
        ("number", int, 3),
        ("factor", float, 2.0),
        ("shout", bool, False),
        ("unit", str, "m"),
    ]


def test_run_completes_and_checks_the_parameters(doubling):
    result = presets.run("doubling", factor=3)
    assert result.parameters == {"number": 3, "factor": 3.0, "shout": False, "unit": "m"}
    assert type(result.parameters["factor"]) is float
    assert result.rows == ({"unit": "m", "shout": False, "value": 9.0},)


def test_claims_hold_for_the_protocol_of_the_preset_only(doubling):
    assert [verdict.met for verdict in presets.run("doubling").verdicts] == [True]
    assert [verdict.met for verdict in presets.run("doubling", quick=True).verdicts] == [True]
    assert presets.run("doubling", number=5).verdicts == ()


@pytest.fixture
def sizes(catalogue):
    """A preset of several sizes, of which the table has a row each."""

    def claim(number, **about):
        return presets.Expectation(
            claim=f"size {number}",
            source="counting",
            interval=presets.Interval.around(number),
            measure=presets.cell("value", size=number),
            about=about,
        )

    claims = [claim(1, size=(1,)), claim(2, size=(2,)), claim(2), claim(1, size=(1, 2))]

    @presets.preset("sizes", expects=claims, networks=_none)
    def sizes(
        run: presets.Run,
        size: tuple[int, ...] = (1, 2),
        factor: float = 1.0,
        record: Recording = True,
    ) -> presets.Outcome:
        """Counts."""
        return presets.Outcome(rows=[{"size": each, "value": each * factor} for each in size])

    return claims


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ({}, [0, 1, 2, 3]),
        ({"size": (1, 2), "record": False}, [0, 1, 2, 3]),
        ({"size": 1}, [0]),
        ({"size": (2, 3), "record": False}, [1]),
        ({"size": (2, 1)}, [0, 1, 3]),
        ({"size": (1, 1, 2)}, [1]),
        ({"size": 3}, []),
        ({"factor": 2}, []),
        ({"size": 1, "factor": 2}, []),
    ],
)
def test_claims_stay_with_the_values_that_they_are_about(sizes, values, held):
    expected = tuple(sizes[number] for number in held)
    assert presets.build("sizes", **values).expects == expected
    result = presets.run("sizes", **values)
    assert [verdict.claim for verdict in result.verdicts] == [each.claim for each in expected]
    assert result.met


def test_he_2015_keeps_its_claims_about_the_depths_that_are_run():
    def claims(**values):
        return [each.claim for each in presets.build("he-2015", **values).expects]

    everything = claims()
    assert len(everything) == 9
    thirty = [claim for claim in everything if "30 layers" in claim]
    assert len(thirty) == 4
    for values in ({"depth": 30}, {"depth": (30, 4)}, {"depth": 30, "record": False, "seeds": 1}):
        assert claims(**values) == thirty
    assert claims(depth=30, quick=True) == thirty
    assert claims(record=False) == claims(depth=(30, 10)) == everything
    assert claims(depth=30, steps=100) == claims(depth=(30, 30)) == claims(width=50) == []


def test_a_claim_outside_its_interval_fails(catalogue):
    @presets.preset(
        "wrong", expects=[_expect_value(1), _expect_value(float("nan"))], networks=_none
    )
    def wrong(run: presets.Run) -> presets.Outcome:
        """Is wrong."""
        return presets.Outcome(rows=[{"value": 2.0}])

    result = presets.run("wrong")
    assert [verdict.met for verdict in result.verdicts] == [False, False]
    assert not result.met
    assert "FAILED value: 2, expected 0.5 to 1.5 (arithmetic)" in str(result)


def test_files_are_kept_where_asked_and_only_there(doubling, tmp_path):
    result = presets.run("doubling", tmp_path / "new" / "folder", seed=11)
    names = [path.relative_to(tmp_path / "new" / "folder").as_posix() for path in result.files]
    assert names == ["table.csv", "note.txt"]
    assert result.files[1].read_text() == "11"
    with result.files[0].open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"unit": "m", "shout": "False", "value": "6.0"}]
    assert presets.run("doubling").files == ()


def test_progress_goes_to_the_hook_or_to_the_log(doubling, caplog):
    lines = []
    presets.run("doubling", progress=lines.append)
    assert lines == ["doubling"]
    with caplog.at_level(logging.INFO, logger="keras_initscope.presets"):
        presets.run("doubling")
    assert caplog.messages == ["doubling"]


def test_results_are_frozen(doubling):
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets.run("doubling").seed = 1


@pytest.mark.parametrize("name", ["smal-weights", "small_weights"])
def test_an_unknown_preset_is_refused_with_the_closest(name):
    with pytest.raises(presets.PresetError, match=r"no preset .*Did you mean 'small-weights'"):
        presets.run(name)


def test_an_unknown_preset_like_no_other_is_refused_with_all():
    with pytest.raises(presets.PresetError, match=r"'qqq'\. Known presets: .*unit-gain"):
        presets.get("qqq")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nmber": 4}, r"no parameter `nmber`\. Did you mean 'number'\? Known parameters: number,"),
        ({"number": 2.5}, r"`number` must be of type int, e\.g\. 3\. Received: 2\.5 of type float"),
        ({"number": True}, r"`number` must be of type int"),
        ({"number": 0}, r"`number` must be 1 to 100, e\.g\. 3\. Received: 0"),
        ({"factor": "2"}, r"`factor` must be of type float.*Received: '2' of type str"),
        ({"factor": float("nan")}, r"`factor` must be .*Received: nan"),
        ({"shout": 1}, r"`shout` must be of type bool"),
        ({"unit": None}, r"`unit` must be of type str"),
        ({"seed": 1.5}, r"`seed` must be an integer of 0 or more\. Received: 1\.5"),
        ({"seed": -1}, r"`seed` must be an integer of 0 or more\. Received: -1"),
    ],
)
def test_nonsense_is_refused_in_plain_words(doubling, arguments, message):
    with pytest.raises(presets.PresetError, match=message):
        presets.run("doubling", **arguments)


def test_a_log_dir_that_cannot_be_written_is_refused_before_the_work(doubling, tmp_path):
    (tmp_path / "file").write_text("")
    lines = []
    with pytest.raises(presets.PresetError, match=r"`log_dir` must be a directory .*Received: "):
        presets.run("doubling", tmp_path / "file" / "logs", progress=lines.append)
    assert lines == []


def test_a_name_is_given_once(doubling):
    with pytest.raises(ValueError, match="two presets 'doubling'"):
        presets.preset("doubling", expects=[], networks=_none)(doubling)


def test_parameters_need_a_type_and_a_default():
    def untyped(run, number=3): ...
    def without_default(run, number: int): ...
    def strange(run, number: list = ()): ...

    for function in (untyped, without_default, strange):
        with pytest.raises(TypeError, match="`number` of a preset needs a default and one of"):
            parameters_of(function)


def test_names_that_run_takes_are_reserved(catalogue):
    def reserved(run: presets.Run, seed: int = 0) -> presets.Outcome: ...

    with pytest.raises(TypeError, match=r"'clash' uses names that `run` takes: \['seed'\]"):
        presets.preset("clash", expects=[], networks=_none)(reserved)


def test_quick_parameters_are_checked_at_once(doubling):
    with pytest.raises(presets.PresetError, match="`number` must be 1 to 100"):
        presets.preset("other", expects=[], quick={"number": 0}, networks=_none)(doubling)
