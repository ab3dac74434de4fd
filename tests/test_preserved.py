"""What Python objects hold is put back, to the same objects."""

import random
from types import SimpleNamespace

import keras
import numpy as np

from keras_initscope.preserved import preserved


def test_attributes_are_changed_back_taken_away_and_brought_back():
    thing = SimpleNamespace(count=1, gone="x")
    with preserved([thing]):
        thing.count, thing.new = 2, 3
        del thing.gone
    assert vars(thing) == {"count": 1, "gone": "x"}


def test_what_containers_hold_is_put_back_into_the_same_containers():
    thing = SimpleNamespace(a=[1], b={"x": 1}, c={1})
    held = [thing.a, thing.b, thing.c]
    with preserved([thing]):
        thing.a.append(2)
        thing.b.update(x=2, y=3)
        thing.c = {7}
        held[2].clear()
    assert (thing.a, thing.b, thing.c) == ([1], {"x": 1}, {1})
    assert all(a is b for a, b in zip(held, vars(thing).values(), strict=True))


def test_generators_draw_what_they_would_have_drawn():
    thing = SimpleNamespace(
        new=np.random.default_rng(0), old=np.random.RandomState(0), python=random.Random(0)
    )

    def draw():
        own = thing.new.random(), thing.old.random_sample(), thing.python.random()
        return *own, random.random(), np.random.random()  # noqa: NPY002

    with preserved([thing]):
        first = draw()
    assert draw() == first


def test_it_happens_after_an_error_too():
    thing = SimpleNamespace(count=0)
    try:
        with preserved([thing]):
            thing.count = 1
            raise KeyError
    except KeyError:
        pass
    assert thing.count == 0


def test_what_keras_tracks_is_forgotten():
    layer = keras.layers.Layer()
    with preserved([layer]):
        layer.inner = keras.layers.Dense(2)
        layer.inner.build((None, 3))
        assert layer.weights
    assert not hasattr(layer, "inner")
    assert layer.weights == []


def test_what_has_no_attributes_is_left_alone():
    with preserved([1, "x", None]):
        pass
