"""When to look: the clockwork alone."""

import pytest

from keras_initscope.callbacks.schedule import Budget, EveryEpoch, EverySteps


@pytest.mark.parametrize("period", [1, 2, 5, 100])
@pytest.mark.parametrize("length", [1, 3])
def test_every_multiple_of_the_period_is_looked_at(period, length):
    schedule = EverySteps(period)
    looked = [s for s in range(0, 300, length) if schedule.due(s, length, new_epoch=False)]
    assert looked == [
        s for s in range(0, 300, length) if any((s + i) % period == 0 for i in range(length))
    ]


def test_every_epoch():
    schedule = EveryEpoch()
    assert schedule.due(17, 1, new_epoch=True)
    assert not schedule.due(18, 1, new_epoch=False)


@pytest.mark.parametrize("share", [0.01, 0.1])
@pytest.mark.parametrize("cost", [2.0, 50.0])
def test_looking_stays_within_its_share(share, cost):
    """In seconds of one step: after many steps the share is used, and never passed by a look."""
    schedule, looking, training = Budget(share), 0.0, 0.0
    for step in range(100_000):
        if schedule.due(step, 1, new_epoch=False):
            looking += cost
            schedule.spent(cost)
            assert looking <= share * training + cost  # the first look's cost is but a guess
        schedule.trained(1.0)
        training += 1.0
    assert share * training - cost <= looking <= share * training
