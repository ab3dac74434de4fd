"""Every preset there is meets its own expectations, in its quick protocol and in the whole one."""

import os
from pathlib import Path

import pytest

from keras_initscope import presets

#: Their quick protocols take seconds. Of the others some are run so by a lesson in `notebooks`.
_SHORT = (
    "he-average",
    "large-weights",
    "small-weights",
    "unit-gain",
)


@pytest.mark.parametrize("name", _SHORT)
def test_expectations_are_met(name, tmp_path):
    _assert_all_is_met(presets.run(name, tmp_path, seed=7, quick=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.names())
def test_expectations_are_met_in_the_whole_protocol(name, tmp_path):
    """From as few seeds as its claims are about; `make slow` makes a document of what is left."""
    folder = Path(os.environ.get("INITSCOPE_PRESETS", tmp_path)) / name
    seeds = presets.get(name).quick.get("seeds")
    _assert_all_is_met(presets.build(name, seed=0).run(seeds=seeds, log_dir=folder))


def _assert_all_is_met(result):
    assert len(result.verdicts) == len(presets.get(result.preset).expects) > 0
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
    assert all(path.stat().st_size > 0 for path in result.files)
