"""Findings as a person reads them on TensorBoard's page Text, and as JSON text."""

import json
from dataclasses import asdict

import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from keras_initscope.records import Finding, Severity, Snapshot, StepInfo
from keras_initscope.writers import TensorBoardWriter
from keras_initscope.writers.findings import findings_json, findings_page


def finding(layers=("block/a", "b"), severity=Severity.WARNING, value=2.0):
    return Finding(
        code="F1",
        title="Vanishing signal",
        severity=severity,
        layers=layers,
        step=7,
        value=value,
        threshold=1.0,
        message="It is seen.",
        remedy="Do `otherwise`.",
    )


def written(directory, *findings):
    """Plugin, steps and texts by tag of snapshots with these findings."""
    writer = TensorBoardWriter(str(directory))
    for step, found in enumerate(findings):
        info = StepInfo(loss=None, learning_rate=None, time=1e9 + step)
        writer.write(Snapshot(step=step, info=info, stats=()), {}, found)
    writer.close()
    accumulator = EventAccumulator(str(directory / "train"), size_guidance={"tensors": 0}).Reload()
    return {
        tag: (
            accumulator.SummaryMetadata(tag).plugin_data.plugin_name,
            [event.step for event in accumulator.Tensors(tag)],
            [
                tensor_util.make_ndarray(event.tensor_proto).item().decode()
                for event in accumulator.Tensors(tag)
            ],
        )
        for tag in ("findings", "initscope/findings")
        if tag in accumulator.Tags()["tensors"]
    }


def test_a_page_says_what_where_why_and_what_to_do():
    assert findings_page([finding()]) == (
        "### F1 Vanishing signal\n"
        "\n"
        "- **Severity**: warning: there is a cause of bad training; that training suffers from it"
        " is not seen (yet).\n"
        "- **Where**: `block/a`, `b`.\n"
        "- **What is seen**: It is seen.\n"
        "- **What to do**: Do `otherwise`."
    )


def test_a_page_names_no_more_layers_than_can_be_read():
    page = findings_page([finding(layers=tuple(f"layer_{i}" for i in range(200)))])
    assert "`layer_19` and 180 more." in page
    assert "layer_20" not in page
    assert "the whole network." in findings_page([finding(layers=())])


def test_json_text_holds_every_field():
    (back,) = json.loads(findings_json([finding()]))
    assert {**back, "layers": tuple(back["layers"])} == asdict(finding())
    assert json.loads(findings_json([])) == []


def test_json_text_is_strict_where_a_number_is_none():
    def refuse(constant):
        raise AssertionError(constant)

    text = findings_json([finding(value=np.nan)])
    assert json.loads(text, parse_constant=refuse)[0]["value"] == "nan"


def test_they_are_written_when_others_hold_than_before(tmp_path):
    """Other numbers alone are no change."""
    alarm = finding(severity=Severity.ALARM)
    found = written(
        tmp_path, [finding()], [finding(value=3.0)], [alarm], [finding(("b",))], [], [], [finding()]
    )
    assert found["findings"][:2] == ("text", [0, 2, 3, 4, 6])
    assert found["initscope/findings"][:2] == ("initscope", [0, 2, 3, 4, 6])
    assert found["findings"][2][3] == "Nothing is found to be wrong."
    assert found["findings"][2][1] == findings_page([alarm])
    assert json.loads(found["initscope/findings"][2][3]) == []


def test_what_was_not_judged_says_nothing(tmp_path):
    assert written(tmp_path, None, None) == {}
