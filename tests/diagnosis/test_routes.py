"""Layers that stand behind each other, and those that stand side by side."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_initscope import inspect
from keras_initscope.diagnosis.case import concerned, rise
from keras_initscope.diagnosis.routes import Network
from keras_initscope.records import LayerInfo


def network(edges, outputs=(), **kinds):
    """A network of layers a, b, c ... with the layers before each; conv by default."""
    infos = [
        LayerInfo(path=path, kind=kinds.get(path, "Conv2D"), depth=i, parents=tuple(before))
        for i, (path, before) in enumerate(edges.items())
    ]
    return Network(infos, outputs)


def test_of_branches_each_is_on_a_route_of_its_own():
    towers = network({"a": "", "b": "", "c": "a", "d": "b", "e": "cd"})
    assert towers.routes("abcde") == [frozenset("ace"), frozenset("bde")]


def test_a_residual_network_is_one_route_through_its_branches():
    blocks = network({"a": "", "b": "a", "c": "b", "d": "ac", "e": "d", "f": "de"})
    assert blocks.routes("abcdef") == [frozenset("abcdef")]


def test_what_no_output_depends_on_is_on_no_route():
    gated = network({"a": "", "g": "a", "b": "a"}, outputs="b")
    assert gated.routes("abg") == [frozenset("ab")]


def test_layers_of_which_nothing_is_known_stand_in_a_row():
    row = network({"a": "", "b": "", "c": ""})
    assert row.routes("abc") == [frozenset("abc")]
    assert row.nearest("c", "a") == ["a"]


def test_the_nearest_layers_are_those_met_on_each_way_back():
    towers = network({"a": "", "b": "", "c": "a", "d": "b", "e": "cd"})
    assert towers.nearest("e", "abc") == ["b", "c"]
    assert towers.nearest("e", "e") == ["e"]
    assert towers.before("d") == {"b", "d"}


def test_a_normalization_undoes_a_scale_where_it_follows_on_each_way():
    kinds = {"n": "BatchNormalization", "m": "BatchNormalization", "r": "ReLU"}
    fork = network({"a": "", "n": "a", "m": "a", "e": "nm"}, **kinds)
    assert fork.normalized_by["a"].path == "n"
    split = network({"a": "", "n": "a", "r": "a", "e": "nr"}, **kinds)
    assert "a" not in split.normalized_by


def test_a_long_ladder_of_forks_takes_no_time():
    edges = {"0": [], "1": ["0"]} | {str(i): [str(i - 1), str(i - 2)] for i in range(2, 400)}
    assert len(network(edges).normalized_by) == 0


@pytest.mark.parametrize(
    ("heights", "whole"),
    [
        ([0, 1, 2, 3, 4], 4.0),
        ([0, 0, -5, -5, -5], 0.0),  # a bottleneck
        ([0, 0, -9, -9, -9], -14 / 3),  # of the excess, pairs of layers that span it
        ([0, -1, -2, 3, 2, 1, 0], -4.8),  # what a branch brings back makes it no stronger
        ([0, 6], 6.0),  # two layers alone
        ([0, 2, 0, 2, 0, 2], 0.0),  # branches and what they are added to
    ],
)
def test_a_trend_is_what_most_layers_have(heights, whole):
    assert rise(np.exp(heights)) == pytest.approx(whole, abs=1e-9)
    assert rise(np.exp(-np.array(heights))) == pytest.approx(-whole, abs=1e-9)


@pytest.mark.parametrize(
    ("heights", "places"),
    [
        ([0, -1, -3, -4, -5], [2, 3, 4]),  # falls
        ([0, -3, -4, -5, 0], [1, 2, 3]),  # another branch brings the signal back at the end
        ([0, -3, 0, -3, -4, -5], [1, 3, 4, 5]),
        ([0, 0, -3, 0, 0], [4]),  # one layer alone
    ],
)
def test_concerned_are_those_off_from_where_most_are(heights, places):
    assert concerned(np.exp(heights), -2.0) == places
    assert concerned(np.exp(-np.array(heights)), 2.0) == places


def towers(first, second, depth=10):
    """Two rows of layers side by side, and what joins them."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((16,)), keras.Input((16,))]
    ends = []
    for name, x, start in zip("ab", inputs, (first, second), strict=True):
        for i in range(depth):
            x = layers.Dense(32, "relu", kernel_initializer=start, name=f"{name}{i}")(x)
        ends.append(x)
    joint = layers.Dense(32, "relu", name="joint")(layers.concatenate(ends))
    model = keras.Model(inputs, layers.Dense(3, "softmax", name="head")(joint))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("place", [0, 1])
def test_only_the_branch_where_the_signal_vanishes_is_named(place):
    starts = ["he_normal", "he_normal"]
    starts[place] = keras.initializers.RandomNormal(0.0, 0.01, seed=3)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(64, 16)) for _ in starts]
    (finding,) = inspect(towers(*starts), x, rng.integers(0, 3, 64)).findings
    assert finding.code == "F1"
    assert finding.layers == tuple(f"{'ab'[place]}{i}" for i in range(1, 10))


def test_healthy_branches_of_other_depths_are_left_alone():
    rng = np.random.default_rng(0)
    deep, shallow = keras.Input((16,)), keras.Input((4,))
    x = deep
    for _ in range(12):
        x = layers.Dense(32, "relu", kernel_initializer="he_normal")(x)
    y = layers.Dense(8, "relu", kernel_initializer="he_normal")(shallow)
    joint = layers.concatenate([x, y, shallow])
    model = keras.Model([deep, shallow], layers.Dense(1)(joint))
    model.compile("adam", "mse")
    examples = [rng.normal(size=(64, 16)), 5 * rng.normal(size=(64, 4))]
    assert inspect(model, examples, rng.normal(size=(64, 1))).findings == ()
