"""activation-cost: its table and its claims. No time is asserted."""

import pytest

from keras_initscope import presets
from keras_initscope.presets import activation_cost as module
from keras_initscope.records import Cost

CLAIMS = presets.get("activation-cost").expects


def _rows(relu, others):
    return [
        {"activation": name, "kind": kind, **dict.fromkeys(("forward", "training"), cost)}
        for kind, names in module.KINDS.items()
        for name in names
        for cost in [relu if name == "relu" else others]
    ]


@pytest.mark.parametrize(
    ("relu", "others", "met"),
    [
        (1.0, 2.0, [True, True, True]),
        (5.0, 2.0, [False, True, True]),
        (1.0, 0.1, [True, False, False]),
        (0.2, 0.1, [False, False, False]),
    ],
)
def test_the_claims_tell_a_broken_clock(relu, others, met):
    assert [claim.check(_rows(relu, others)).met for claim in CLAIMS] == met


def test_each_row_has_the_medians_and_the_spread_of_the_repeats(monkeypatch, tmp_path):
    costs = iter([(1.0, 3.0), (5.0, 9.0), (2.0, 4.0)] * 99)

    def timed(function):
        forward, training = next(costs)
        return Cost(forward=forward, training=training, numbers=1)

    monkeypatch.setattr(module, "timed", timed)
    result = presets.run("activation-cost", tmp_path, repeats=3)
    assert [row["activation"] for row in result.rows] == [
        name for names in module.KINDS.values() for name in names
    ]
    numbers = {"forward": 2.0, "training": 4.0, "lowest": 3.0, "highest": 9.0}
    assert all(numbers.items() <= row.items() for row in result.rows)
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")


def test_every_activation_can_be_taken_apart():
    experiment = presets.build("activation-cost")
    for name in experiment.networks:
        assert experiment.model(name)(experiment.data(name).train_x[:2]).shape == (2, 64)
