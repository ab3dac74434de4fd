"""What a run leaves in its directory, and the document that is made of it."""

import json
from pathlib import Path

import pytest

from keras_initscope import presets
from keras_initscope.presets import registry
from keras_initscope.presets.catalogue import catalogue, read_results, write_catalogue
from keras_initscope.text import markdown_table

DOCS = Path(__file__).parents[2] / "docs"


def _none():
    return {}


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Two presets, one of which was run: of its claims one is met, and one is not a number."""
    presets.names()
    monkeypatch.setattr(registry, "_presets", {})
    claims = [
        presets.Expectation(
            claim=claim,
            source="arith|metic",
            interval=presets.Interval(low=1),
            measure=presets.cell(claim),
        )
        for claim in ("sum", "ratio")
    ]

    @presets.preset("adds", expects=claims, networks=_none)
    def adds(run: presets.Run, terms: tuple[int, ...] = (1, 2)) -> presets.Outcome:
        """Adds numbers."""
        picture = run.log_dir / "bars.png"
        picture.write_bytes(b"bars")
        row = {"sum": sum(terms), "ratio": float("nan")}
        return presets.Outcome(rows=[row], files=[picture])

    @presets.preset("other", expects=[], networks=_none)
    def other(run: presets.Run) -> presets.Outcome:
        """Was not run."""
        return presets.Outcome(rows=[])

    presets.run("adds", tmp_path / "adds", seed=3)
    return tmp_path


def test_a_run_leaves_what_came_of_it(runs):
    record = json.loads((runs / "adds" / "result.json").read_text())
    assert (record["preset"], record["seed"], record["quick"]) == ("adds", 3, False)
    assert record["parameters"] == {"terms": [1, 2]}
    assert record["seconds"] >= 0
    assert record["pictures"] == ["bars.png"]
    assert [verdict["measured"] for verdict in record["verdicts"]] == [3.0, "nan"]


def test_the_document_has_every_preset_and_every_claim(runs):
    text = catalogue(read_results(runs))
    assert "| [`adds`](#adds) | Adds numbers. | 1 of 2 | 0 |" in text
    assert "| [`other`](#other) | Was not run. |  | not run |" in text
    assert "| sum | arith\\|metic | at least 1 | 3 |" in text
    assert "| ratio | arith\\|metic | at least 1 | nan (**not met**) |" in text
    assert text.index("## adds") < text.index("## other")


def test_what_several_seeds_gave_is_in_one_row(runs):
    presets.build("adds", seed=0).run(seeds=2, log_dir=runs / "adds")
    text = catalogue(read_results(runs))
    assert "| [`adds`](#adds) | Adds numbers. | 2 of 4 | 0 |" in text
    assert (
        "\nRun with `initscope run adds --seed 0 --seeds 2`. Its parameters: terms=1,2.\n" in text
    )
    assert "| sum | arith\\|metic | at least 1 | 3, 3 |" in text
    assert "| ratio | arith\\|metic | at least 1 | nan (**not met**), nan (**not met**) |" in text


def test_what_was_run_otherwise_is_marked(runs):
    presets.run("adds", runs / "adds", quick=True)
    text = catalogue(read_results(runs))
    assert "| Adds numbers. | 1 of 2 (quick protocol) | 0 |" in text
    assert "Run with `initscope run adds --seed 0 --quick` (quick protocol). Its" in text
    presets.run("adds", runs / "adds", quick=True, terms=(1, 5))
    text = catalogue(read_results(runs))
    assert "| Adds numbers. | none made (quick protocol, with terms=1,5) | 0 |" in text
    assert "--quick --set terms=1,5` (quick protocol, with terms=1,5). Its" in text
    presets.run("adds", runs / "adds", terms=3)
    text = catalogue(read_results(runs))
    assert "| Adds numbers. | none made (with terms=3) | 0 |" in text
    assert "## other\n\nWas not run.\n\nIt was not run.\n" in text


def test_it_is_written_with_its_pictures(runs, tmp_path):
    document = tmp_path / "docs" / "presets.md"
    files = write_catalogue(runs, document)
    assert files == [document, tmp_path / "docs" / "images" / "presets" / "adds.png"]
    assert files[1].read_bytes() == b"bars"
    assert "![adds](images/presets/adds.png)" in document.read_text()
    assert "![other]" not in document.read_text()


def test_what_is_no_run_is_refused(runs, tmp_path):
    with pytest.raises(presets.PresetError, match=r"no results of presets in .*run --all"):
        read_results(tmp_path / "nowhere")
    (runs / "adds" / "result.json").write_text('{"verdicts": [{}]}')
    with pytest.raises(presets.PresetError, match="is no result of a preset: KeyError"):
        read_results(runs)


def test_a_picture_that_is_gone_is_refused(runs, tmp_path):
    document = tmp_path / "docs" / "presets.md"
    (runs / "adds" / "bars.png").unlink()
    with pytest.raises(presets.PresetError, match=r"names the picture 'bars\.png', which cannot"):
        write_catalogue(runs, document)
    assert not document.exists()
    path = runs / "adds" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pictures": None}))
    with pytest.raises(presets.PresetError, match="is no result of a preset: TypeError"):
        write_catalogue(runs, document)


def _section(text, name):
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", presets.names())
def test_the_docs_show_what_each_preset_claims_and_gave(name):
    """`make catalogue` writes them; a claim that was changed since would be missed here."""
    preset, text = presets.get(name), (DOCS / "presets.md").read_text(encoding="utf-8")
    assert f"| [`{name}`](#{name}) | {preset.summary} |" in text
    section = _section(text, name)
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    known = [[each.claim, each.source, str(each.interval)] for each in preset.expects]
    expected = markdown_table("abc", known, (True, True, True)).splitlines()[2:]
    assert len(rows) == len(expected) > 0
    for row, start in zip(rows, expected, strict=True):
        assert row.startswith(start), (row, start)
        assert "not met" not in row
    assert (DOCS / "images" / "presets" / f"{name}.png").stat().st_size > 0


def test_the_docs_show_no_preset_that_is_gone():
    text = (DOCS / "presets.md").read_text(encoding="utf-8")
    sections = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sections == list(presets.names())
    assert {path.stem for path in (DOCS / "images" / "presets").iterdir()} == set(presets.names())
