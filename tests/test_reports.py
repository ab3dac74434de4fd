"""Reports as text: what is wrong comes first, in words that need no theory."""

import math
from dataclasses import replace

import pytest

from keras_initscope.records import (
    Finding,
    FitReport,
    LayerInfo,
    LayerRow,
    ModelInfo,
    Quantity,
    Report,
    Severity,
    Sighting,
    Snapshot,
    StepInfo,
    Tap,
    TensorStats,
    rows,
)
from keras_initscope.text import wrapped

CHECKED = ("Vanishing signal", "Dead units")
UNCHECKED = {"Frozen weights": "kernel updates were not measured."}


def finding(layers=("a",), severity=Severity.WARNING, **fields):
    return Finding(
        code="F1",
        title="Vanishing signal",
        severity=severity,
        layers=layers,
        step=0,
        value=1.0,
        threshold=2.0,
        message="It shrinks by a factor of 8.",
        remedy="Use larger weights.",
        **fields,
    )


def look(step=0, loss=1.0, squares=(), updates=(), rate=0.1):
    stats = [(Quantity.ACTIVATION, square) for square in squares]
    stats += [(Quantity.KERNEL, 4.0) for _ in updates]
    stats += [(Quantity.KERNEL_UPDATE, square) for square in updates]
    entries = tuple(
        TensorStats(
            tap=Tap(layer="a", quantity=quantity, depth=0, size=4),
            values={"root_mean_square": math.sqrt(square), "signal": 1.0, "constant": 3.0},
        )
        for quantity, square in stats
    )
    return Snapshot(
        step=step, info=StepInfo(loss=loss, learning_rate=rate, time=0.0, updates=2), stats=entries
    )


MODEL = ModelInfo(name="net", layers=(LayerInfo(path="a", kind="Dense", depth=0),))


def report(*findings, checked=CHECKED, unchecked=UNCHECKED):
    return Report(
        model=MODEL,
        measured=look(),
        predicted=look(),
        rows=(LayerRow(layer=MODEL.layers[0], measured_q=1.0),),
        loss="loss mse",
        examples=32,
        findings=findings,
        checked=checked,
        unchecked=unchecked,
    )


def fit(*looks, sightings=()):
    return FitReport(
        model=MODEL,
        snapshots=looks or (look(),),
        sightings=sightings,
        checked=CHECKED,
        unchecked=UNCHECKED,
    )


def seen(first=0, last=0, looks=1, is_there=True, **fields):
    return Sighting(
        finding=finding(**fields), first_step=first, last_step=last, looks=looks, is_there=is_there
    )


def section(page, start):
    return next(each for each in page.sections if each.title.startswith(start))


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    "page", [report(finding()), fit(sightings=(seen(),))], ids=["of a look", "of a fit"]
)
def test_what_is_wrong_comes_first_with_evidence_and_remedy(page):
    assert page.sections[0].title == "What is wrong: 1 warning"
    for shown in (str(page), page.markdown()):
        parts = (
            page.headline,
            "What is wrong: 1 warning",
            "1. Vanishing signal (warning, rule F1)",
            "Where:",
            "It shrinks by a factor of 8.",
            "Use larger weights.",
            "Layer by layer",
            "How to read the table",
        )
        places = [shown.index(part) for part in parts]
        assert places == sorted(places)
    assert page._repr_markdown_() == page.markdown()


def test_why_it_matters_is_told_where_it_is_known():
    with_reason = section(report(finding(explanation="The last layers see nothing.")), "What")
    assert "Why it matters: The last layers see nothing." in with_reason.text
    assert "Why it matters" not in section(report(finding()), "What").text


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((), "the whole network."),
        (("a",), "a."),
        (("a", "b", "c"), "a, b, c."),
        (tuple("abcd"), "first in a; then in 3 more layers, the last d."),
    ],
)
def test_a_place_is_the_first_layer_and_how_many_more(layers, expected):
    assert f"Where: {expected}" in section(report(finding(layers)), "What").text
    assert f"**Where:** {expected}" in section(report(finding(layers)), "What").markdown


@pytest.mark.parametrize(
    ("findings", "title"),
    [
        ([], "What is wrong: nothing was found"),
        ([Severity.ALARM], "What is wrong: 1 alarm"),
        (
            [Severity.ALARM, Severity.WARNING, Severity.WARNING],
            "What is wrong: 1 alarm and 2 warnings",
        ),
    ],
)
def test_findings_are_counted_by_severity(findings, title):
    page = report(*(finding(severity=severity) for severity in findings))
    assert page.sections[0].title == title
    meanings = section(page, "What").text
    assert ("An alarm:" in meanings) == (Severity.ALARM in findings)
    assert ("A warning:" in meanings) == (Severity.WARNING in findings)


def test_silence_says_what_was_looked_for_and_what_could_not_be():
    for said in (report(), fit()):
        text = flat(section(said, "What").text)
        assert "Looked for, and not found: vanishing signal, dead units." in text
        assert "no promise that the model learns well" in text
        assert "Not looked for: frozen weights. Reason: kernel updates were not measured." in text
    text = flat(section(report(finding()), "What").text)
    assert "Also looked for, and not found or explained by the above: dead units." in text
    assert "no promise" not in text


def test_where_no_rule_could_speak_nothing_is_said_to_be_fine():
    page = report(checked=(), unchecked={})
    assert page.sections[0].title == "What is wrong: nothing was looked for"
    assert "not found" not in section(page, "What").text


@pytest.mark.parametrize(
    ("sighting", "expected"),
    [
        (seen(0, 9, 3), "at every one of 3 looks, from step 0 on."),
        (seen(3, 9, 2), "first seen at step 3, at 2 of 3 looks, and still there at the last one."),
        (seen(3, 3, 1, False), "at step 3 alone; gone at the end."),
        (
            seen(0, 3, 2, False),
            "first seen at step 0, last at step 3, at 2 of 3 looks; gone at the end.",
        ),
    ],
)
def test_a_fit_says_when_it_was_wrong(sighting, expected):
    page = fit(look(0), look(3), look(9), sightings=(sighting,))
    assert f"When: {expected}" in flat(section(page, "What").text)


def test_of_one_look_there_is_no_when():
    assert "When" not in section(fit(sightings=(seen(),)), "What").text


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([None, None], "The training steps did not tell their loss."),
        ([2.0], "2.000 at step 0, on one batch; one look tells no more."),
        ([2.0, 2.0], "From first to last it did not change."),
        ([2.0, 1.0], "From first to last it fell to 50 % of what it was."),
        ([2.0, 3.0], "From first to last it rose."),
        ([-2.0, -3.0], "From first to last it fell."),
        ([2.0, math.nan], "It is NaN or infinite for the first time at step 1."),
        ([2.0, math.inf, 1.0], "It is NaN or infinite for the first time at step 1."),
    ],
)
def test_how_the_loss_went(losses, expected):
    page = fit(*(look(step, loss) for step, loss in enumerate(losses)))
    assert expected in flat(section(page, "How the loss went").text)


def test_of_many_looks_six_losses_are_told():
    text = section(fit(*(look(step, 100.0 - step) for step in range(100))), "How the loss").markdown
    assert text.count(" at step ") == 6
    assert "100.0 at step 0" in text
    assert "1.000 at step 99" in text


def test_how_the_learning_rate_went():
    page = fit(look(0, rate=0.1), look(1, rate=0.01))
    assert "Learning rate: 0.10 -> 0.010." in section(page, "How the loss").markdown
    silent = fit(look(0, rate=None))
    assert "Learning rate" not in section(silent, "How the loss").markdown


def test_a_row_goes_from_the_first_look_to_the_last():
    page = fit(look(0, squares=[1.0], updates=[0.04]), look(9, squares=[0.25]))
    row = "| 0 | `a` | 1.0 -> 0.25 | 0.25 | - | 0.05 | - |"  # sqrt(0.04 / 4) in two steps
    assert row in section(page, "Layer by layer").markdown.splitlines()


def test_an_update_is_that_of_one_step_relative_to_the_kernel():
    (row,) = rows(MODEL, look(updates=[0.04]))
    assert row.update == pytest.approx(0.05)
    assert rows(MODEL, look())[0].update is None


def test_every_column_and_word_of_the_findings_has_a_meaning():
    for page in (report(), fit()):
        header = section(page, "Layer by layer").text.splitlines()[0].split()
        meanings = section(page, "How to read").text
        for name in set(header) - {"#", "layer", "kind"}:
            assert f"- {name}: " in meanings
        assert "- preactivation: " in meanings


def test_layers_that_end_with_nan_are_named():
    bad = look(9, squares=[1.0])
    values = {**bad.stats[0].values, "nonfinite_count": 3.0}
    bad = replace(bad, stats=(replace(bad.stats[0], values=values),))
    assert "not finite (NaN or infinite) at the last look: a." in flat(str(fit(look(), bad)))
    assert not any(each.title == "Notes" for each in fit(look()).sections)


@pytest.mark.parametrize("layers", [3, 300])
def test_a_report_of_a_fit_is_a_hundred_columns_wide(layers):
    infos = tuple(
        LayerInfo(path="block/" * 20 + f"dense_{i}", kind="Dense", depth=i) for i in range(layers)
    )
    values = {"root_mean_square": 1.2e-13, "signal": 1e-9, "constant": 1.0, "saturated_fraction": 1}
    looks = [
        Snapshot(
            step=step,
            info=StepInfo(loss=1.0, learning_rate=0.1, time=0.0),
            stats=tuple(
                TensorStats(
                    tap=Tap(layer=info.path, quantity=quantity, depth=info.depth, size=1),
                    values={**values, "root_mean_square": size * (1 + step)},
                )
                for info in infos
                for quantity, size in (
                    (Quantity.ACTIVATION, 1.2e-13),
                    (Quantity.PREACTIVATION_GRADIENT, 1.2e-13),
                    (Quantity.KERNEL, 1.0),
                    (Quantity.KERNEL_UPDATE, 1.2e-5),
                )
            ),
        )
        for step in (0, 5)
    ]
    long = FitReport(
        model=ModelInfo(name="net", layers=infos),
        snapshots=tuple(looks),
        sightings=(seen(layers=tuple(info.path for info in infos)),),
    )
    table = section(long, "Layer by layer")
    assert max(map(len, table.text.splitlines())) <= 100
    assert table.text.count("1.4e-26 -> 5.2e-25") == 2 * layers  # numbers are never cut
    assert all(f"`{info.path}`" in table.markdown for info in infos)


def test_a_paragraph_is_wrapped_at_words_alone():
    assert wrapped("one two-three", 9, " ") == " one\n   two-three"
