"""What TensorBoard's page HParams shows of a sweep."""

import math

import pytest
from end_to_end.dashboard import serve

from keras_initscope.sweeps import sweep

CELLS = [
    {"initializer": "he_normal", "gain": 2.0, "wide": True},
    {"initializer": "zeros", "gain": 1e-3, "wide": False},
    {"initializer": "ones", "gain": 1.0, "wide": False},
    {"initializer": "uniform", "gain": 0.5, "wide": True},
]


def trained(initializer, gain, wide):
    if initializer == "ones":
        raise RuntimeError("no such luck")
    return {"loss": gain**2 if gain < 2 else math.nan, "accuracy": 1 - gain / 4, "said": "F1"}


@pytest.fixture(scope="module")
def served_sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hparams")
    result = sweep(trained, CELLS, log_dir=folder / "gains", jobs=1)
    assert len(result.failed) == 1
    with serve(
        folder / "gains", folder / "output.txt", load_fast=False, plugin="scalars"
    ) as server:
        yield server


def test_the_page_knows_settings_and_numbers(served_sweep):
    told = served_sweep.post("plugin/hparams/experiment", {"experimentName": ""})
    settings = {each["name"]: each["type"] for each in told["hparamInfos"]}
    assert settings == {
        "initializer": "DATA_TYPE_STRING",
        "gain": "DATA_TYPE_FLOAT64",
        "wide": "DATA_TYPE_BOOL",
    }
    assert {each["name"]["tag"] for each in told["metricInfos"]} == {"loss", "accuracy"}


def test_each_cell_is_a_row(served_sweep):
    """Of one that failed the settings alone, and what is not finite is left out."""
    question = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING", "STATUS_UNKNOWN"],
        "colParams": [{"hparam": name} for name in CELLS[0]],
        "startIndex": 0,
        "sliceSize": 100,
    }
    told = served_sweep.post("plugin/hparams/session_groups", question)["sessionGroups"]
    rows = {group["hparams"]["initializer"]: group for group in told}
    assert set(rows) == {cell["initializer"] for cell in CELLS}
    for cell in CELLS:
        row, name = rows[cell["initializer"]], cell["initializer"]
        assert row["hparams"] == cell
        [session] = row["sessions"]
        assert session["status"] == ("STATUS_FAILURE" if name == "ones" else "STATUS_SUCCESS")
        numbers = {each["name"]["tag"]: each["value"] for each in row.get("metricValues", ())}
        expected = {} if name == "ones" else trained(**cell)
        finite = {k: v for k, v in expected.items() if k != "said" and math.isfinite(v)}
        assert numbers == pytest.approx(finite)


_TEXTS = """
const said = [], kind = arguments[0];
function walk(root) {
  for (const element of root.querySelectorAll('*')) {
    if (element.localName === kind) said.push(element);
    if (element.shadowRoot) walk(element.shadowRoot);
  }
}
walk(document);
"""


def test_the_browser_shows_the_table_and_the_parallel_coordinates(served_sweep, browser, picture):
    browser.errors()
    browser.driver.get(f"{served_sweep.address}/#hparams")
    cells = browser.wait_until(
        _TEXTS + "return said.map(e => e.textContent.trim());",
        ("vaadin-grid-cell-content",),
        lambda texts: {"he_normal", "zeros", "ones", "uniform"} <= set(texts),
    )
    assert {"initializer", "gain", "wide"} <= {text.split("\n")[0].strip() for text in cells}
    browser.driver.save_screenshot(str(picture("hparams_table.png")))
    browser.driver.execute_script(
        _TEXTS + "said.find(e => /PARALLEL/i.test(e.textContent)).click();", "paper-tab"
    )
    lines = browser.wait_until(
        _TEXTS
        + "return said.flatMap(e => [...e.shadowRoot.querySelectorAll('g.foreground path')])"
        + ".filter(e => e.getBoundingClientRect().height > 0).map(e => e.getAttribute('d'));",
        ("tf-hparams-parallel-coords-plot",),
        bool,
    )
    # Those with all numbers: the page draws no line that lacks one.
    assert len(lines) == 2
    assert not any("NaN" in line for line in lines)
    browser.driver.save_screenshot(str(picture("hparams_parallel.png")))
    assert browser.errors() == []
