"""He's variance with averaged fans: the claims are closed forms, and tell the variants apart."""

import math

import pytest

from keras_initscope import presets
from keras_initscope.presets import he_average as module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("he-average")


@pytest.fixture(scope="module")
def result(folder):
    return presets.run("he-average", folder, seed=1, draws=20)


def test_the_weights_are_those_of_theory_and_the_picture_is_there(result, folder):
    """The whole of the quick protocol is run by `tests/end_to_end`."""
    claims = [claim for claim in presets.get("he-average").expects if "weights" in claim.claim]
    assert [
        str(claim.check(result.rows)) for claim in claims if not claim.check(result.rows).met
    ] == []
    assert len(claims) == 4
    assert (folder / "signal_and_gradient.png") in result.files


def test_every_layer_of_every_network_has_its_row(result):
    shapes = {
        network: [row["kernel"] for row in result.rows if row["network"] == network]
        for network in module.WIDTHS
    }
    assert shapes["zigzag"] == ["300 x 100", "100 x 300"] * 3 * len(module.INITIALIZERS)
    assert len(shapes["taper"]) == 6 * len(module.INITIALIZERS)


def test_theory_is_that_of_the_closed_forms():
    layers = module._layers("taper")
    first, last = 256, 32
    assert module._variance("average-normal", 300, 100) == 0.01
    assert module._limit("average-uniform", (300, 100)) == pytest.approx(math.sqrt(12 / 400))
    assert module._signal("he-fan-in", layers) == pytest.approx(1)
    assert module._gradient("he-fan-out", layers) == pytest.approx(1)
    # The fans in between cancel.
    assert module._signal("he-fan-out", layers) == pytest.approx(first / last)
    assert module._gradient("he-fan-in", layers) == pytest.approx(last / first)
    # With averaged fans either pays its half, but for 2 sqrt(r) / (1 + r) at each change by r.
    lost = math.prod(2 * math.sqrt(a * b) / (a + b) for a, b in layers)
    assert module._signal("average-uniform", layers) == pytest.approx(lost * math.sqrt(8))
    assert module._gradient("average-uniform", layers) == pytest.approx(lost / math.sqrt(8))
    # 300 -> 100 -> 300: (3/2) (1/2), forward and backward.
    for through in (module._signal, module._gradient):
        assert through("average-normal", module._layers("zigzag")) == pytest.approx(0.75**3)


def test_the_claims_tell_the_initializers_apart(result):
    """With the rows of one under the name of another, some claim fails."""
    claims = presets.get("he-average").expects
    for wrong in ("he-fan-in", "he-fan-out"):
        rows = [
            {**row, "initializer": "average-normal"}
            for row in result.rows
            if row["initializer"] == wrong
        ]
        others = [row for row in result.rows if row["initializer"] != "average-normal"]
        failed = [claim for claim in claims if not claim.check([*others, *rows]).met]
        assert len(failed) >= 3


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "quick"), [(0, False), (2, True), (3, True), (4, True)])
def test_other_seeds_and_the_whole_protocol_meet_theory(seed, quick):
    result = presets.run("he-average", seed=seed, quick=quick)
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
