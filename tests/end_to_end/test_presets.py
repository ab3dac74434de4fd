"""Every preset there is meets its own expectations, in its quick protocol."""

import pytest

from keras_initscope import presets

#: Train many networks. `make demo` runs the first in its whole protocol, and holds it to its
#: expectations too.
_LONG = {"choose-initializer", "hinton-2006"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in _LONG)) for n in presets.names()],
)
def test_expectations_are_met(name, tmp_path):
    result = presets.run(name, tmp_path, seed=7, quick=True)
    assert len(result.verdicts) == len(presets.get(name).expects) > 0
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
    assert all(path.stat().st_size > 0 for path in result.files)
