"""Every preset there is meets its own expectations, in its quick protocol."""

import pytest

from keras_initscope import presets

#: They take long. `make demo` holds the first to its expectations too, in its whole protocol.
_LONG = {
    "activation-cost",
    "choose-initializer",
    "constant-symmetry",
    "correlation-collapse",
    "covariate-shift",
    "dropout-symmetry",
    "dying-relu",
    "elu-2015",
    "glorot-2010-sigmoid",
    "he-2015",
    "hinton-2006",
    "lsuv-2015",
    "noise-robustness",
    "rrelu-2015",
    "saturation",
    "sigmoid-product",
    "start-selects-minimum",
    "tat-2022",
    "thousand-layers",
    "xavier-relu",
    "xiao-2018",
}


#: They take minutes, and are held to their expectations where a lesson in `notebooks` runs them.
_IN_LESSONS = {"history", "kumar-2017", "pennington-2017", "schoenholz-2017"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] * (n in _LONG))
        for n in presets.names()
        if n not in _IN_LESSONS
    ],
)
def test_expectations_are_met(name, tmp_path):
    result = presets.run(name, tmp_path, seed=7, quick=True)
    assert len(result.verdicts) == len(presets.get(name).expects) > 0
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
    assert all(path.stat().st_size > 0 for path in result.files)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "runs"), [("he-2015", 4), ("lsuv-2015", 8), ("tat-2022", 3)])
def test_expectations_are_met_in_the_whole_protocol(name, runs, tmp_path):
    """Which trains from several seeds and records."""
    result = presets.run(name, tmp_path, seed=0)
    assert {row["seeds"] for row in result.rows} == {3}
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
    assert len(list(tmp_path.glob("*/train/events.out.tfevents*"))) == runs
