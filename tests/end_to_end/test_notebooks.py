"""Every notebook runs from top to bottom, and shows what its words say."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Runs a notebook in a folder of its own, with a last cell of checks."""

    def execute(name, checks="pass"):
        notebook = nbformat.read(FOLDER / name, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(checks))
        folder = tmp_path_factory.mktemp("notebook")
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, resources=resources).execute()
        return notebook, folder

    return execute


def _outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_kept_without_outputs(name):
    notebook = nbformat.read(FOLDER / name, as_version=4)
    assert _outputs(notebook) == []
    assert all(cell.get("execution_count") is None for cell in notebook.cells)


def test_first_look_shows_the_halving_and_the_repair(executed):
    """The claims of its text: halved at each layer, frozen at every depth, repaired by He."""
    notebook, folder = executed(
        "01_first_look.ipynb",
        """
halving = variance_over_depth(monitors["glorot"], "activation")
assert -1.3 < np.log2(halving[-1] / halving[0]) / 18 < -0.7
kept = variance_over_depth(monitors["he-average"], "activation")
assert -0.3 < np.log2(kept[-1] / kept[0]) / 18 < 0.3
assert accuracies["glorot"] < 0.35 < 0.6 < accuracies["he-average"]
assert losses["glorot"][-1] > 2.2
_, frozen = relative_updates(monitors["glorot"])
_, moving = relative_updates(monitors["he-average"])
assert np.all(frozen[:, 0] < 3e-6)
assert np.all(frozen[:, 0] < 0.03 * moving[:, 0])
assert frozen[:, 0].max() < 3 * frozen[:, 0].min()
""",
    )
    assert sum("image/png" in output.get("data", {}) for output in _outputs(notebook)) == 4
    for name in ("glorot", "he-average"):
        assert list((folder / "logs" / name).rglob("events.out.tfevents*"))


#: Pictures in each of the other lessons, and what its cells must have found.
_LESSONS = {
    "02_why_initialization_matters.ipynb": (5, "assert starts['unit-gain'].met"),
    "03_choosing_an_activation.ipynb": (5, "assert 0.5 < initscope.gain(soft_step) < 2"),
    "04_diagnosing.ipynb": (
        1,
        """
assert healthy.findings == ()
assert [finding.code for finding in report.findings] == ["F3"]
assert report.remedies
assert [finding.code for finding in monitor.findings] == ["N1"]
""",
    ),
    "05_order_to_chaos.ipynb": (4, "assert point.chi_1 > 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _LESSONS)
def test_lessons_run_and_show_their_pictures(executed, name):
    pictures, checks = _LESSONS[name]
    notebook, _ = executed(name, checks)
    shown = [output.get("data", {}) for output in _outputs(notebook)]
    assert not any("FAILED" in _html(data) for data in shown), "an expectation of a preset"
    drawn = [data for data in shown if "image/png" in data or "image/png" in _html(data)]
    assert len(drawn) >= pictures


def test_every_lesson_is_tested():
    assert {"01_first_look.ipynb", *_LESSONS} == set(NOTEBOOKS)


def _html(data):
    return "".join(data.get("text/html", ""))
