"""Every preset there is meets its own expectations, in its quick protocol and in the whole one."""

import os
from pathlib import Path

import pytest

from keras_initscope import presets

#: Their quick protocols take seconds.
_SHORT = {
    "he-average",
    "large-weights",
    "poole-2016",
    "relu-scale",
    "small-weights",
    "unit-gain",
    "variance-law",
    "zigzag",
}
#: They take minutes, and are held to their expectations where a lesson in `notebooks` runs them.
_IN_LESSONS = {"history", "kumar-2017", "noise-robustness", "pennington-2017", "schoenholz-2017"}
_SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        name if name in _SHORT else pytest.param(name, marks=_SLOW)
        for name in presets.names()
        if name not in _IN_LESSONS
    ],
)
def test_expectations_are_met(name, tmp_path):
    _assert_all_is_met(presets.run(name, tmp_path, seed=7, quick=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.names())
def test_expectations_are_met_in_the_whole_protocol(name, tmp_path):
    """`make slow` makes a document of what they leave."""
    folder = Path(os.environ.get("INITSCOPE_PRESETS", tmp_path)) / name
    _assert_all_is_met(presets.run(name, folder, seed=0))


def _assert_all_is_met(result):
    assert len(result.verdicts) == len(presets.get(result.preset).expects) > 0
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
    assert all(path.stat().st_size > 0 for path in result.files)
