"""Units that start alike: identical to the last bit, unless a mask tells them apart."""

import keras
import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import symmetry as module
from keras_initscope.presets.digits import digits
from keras_initscope.presets.symmetry import Case
from keras_initscope.presets.training import train

STEPS = 20


def _trained(case):
    model = module.network(case, seed=1)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    train(model, digits(1), STEPS, optimizer)
    return [np.asarray(model.get_layer(name).kernel) for name in module.HIDDEN]


@pytest.mark.parametrize("width", [5, 32, 129])
def test_equal_columns_stay_equal_at_any_width(monkeypatch, width):
    monkeypatch.setattr(module, "WIDTH", width)
    for kernel in _trained(Case("tanh", "0.05", 0.0)):
        assert np.abs(kernel - 0.05).max() > 1e-4  # it has learnt
        np.testing.assert_array_equal(kernel, np.repeat(kernel[:, :1], width, axis=1))


def test_a_layer_of_equal_units_is_one_unit():
    """A network of one unit a layer computes the same function from weights 32 times as large."""
    wide = module.network(Case("tanh", "0.05", 0.0), seed=0)
    narrow = keras.Sequential([keras.Input((64,))])
    for units, value in ((1, 0.05), (1, 32 * 0.05), (10, 32 * 0.05)):
        kernel = keras.initializers.Constant(value)
        activation = "tanh" if units == 1 else None
        narrow.add(keras.layers.Dense(units, activation, kernel_initializer=kernel))
    x = digits(0).test_x
    np.testing.assert_allclose(wide(x), narrow(x), rtol=1e-5, atol=1e-6)


def test_a_mask_of_the_input_breaks_nothing():
    """Dropout tells the units apart that it masks; all units see the same masked input."""
    model = module.network(Case("tanh", "0.05", 0.0), seed=1)
    masked = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dropout(0.5, seed=0), *model.layers]
    )
    train(masked, digits(1), STEPS, keras.optimizers.SGD(0.1, momentum=0.9))
    for name in module.HIDDEN:
        assert module._columns(np.asarray(model.get_layer(name).kernel))["distinct"] == 1


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_of_zeros_only_the_last_bias_learns(activation):
    model = module.network(Case(activation, "0", 0.5), seed=1)
    train(model, digits(1), STEPS, keras.optimizers.SGD(0.1, momentum=0.9))
    moved = [v.path for v in model.trainable_variables if np.any(np.asarray(v) != 0)]
    assert [path.split("/")[-2:] for path in moved] == [["logits", "bias"]]


@pytest.mark.parametrize(
    ("kernel", "distinct", "difference"),
    [
        (np.full((3, 4), 0.5), 1, 0.0),
        (np.array([[1.0, 1.0, 2.0], [0.0, 0.0, 5.0]]), 2, 5.0),
        (np.array([[1.0, 1.0 + 1e-7]], dtype="float32"), 2, 2**-23),
    ],
    ids=["one column", "two columns", "one bit"],
)
def test_columns_are_compared_to_the_last_bit(kernel, distinct, difference):
    assert module._columns(kernel) == {"distinct": distinct, "difference": difference}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("symmetry")


@pytest.fixture(scope="module")
def rows(folder):
    """Both presets in small: of the dropout cases the first two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DROPOUT", module.DROPOUT[:2])
        return presets.run("dropout-symmetry", folder, seed=1, steps=STEPS).rows


def test_dropout_breaks_constants_and_not_zeros(rows):
    numbers = ("distinct", "difference", "largest_gradient")
    zeros, constant = ([row for row in rows if row["start"] == s] for s in ("0", "0.05"))
    assert [row["layer"] for row in zeros] == list(module.HIDDEN)
    assert {tuple(row[name] for name in numbers) for row in zeros} == {(1, 0.0, 0.0)}
    assert {row["distinct"] for row in constant} == {module.WIDTH}
    assert all(row["difference"] > 0 and row["largest_gradient"] > 0 for row in constant)


def test_each_network_is_logged(rows, folder):
    for case in module.DROPOUT[:2]:
        assert list((folder / case.folder).rglob("events.out.tfevents*"))
    assert (folder / "kernels.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["constant-symmetry", "dropout-symmetry"])
@pytest.mark.parametrize(("distinct", "difference"), [(1, 0.0), (32, 0.7)], ids=["same", "broken"])
def test_the_claims_tell_broken_from_whole(name, distinct, difference):
    """A table in which all is alike meets some claims and fails others, whichever way it is."""
    rows = [
        {**case._asdict(), "layer": layer, "distinct": distinct, "difference": difference}
        for case in (module.CONSTANT if name == "constant-symmetry" else module.DROPOUT)
        for layer in module.HIDDEN
    ]
    claims = [c for c in presets.get(name).expects if c.claim.startswith("di")]
    met = [claim.check(rows).met for claim in claims]
    assert any(met)
    assert not all(met)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["constant-symmetry", "dropout-symmetry"])
@pytest.mark.parametrize(("seed", "quick"), [(0, False), (1, True), (2, True), (3, True)])
def test_the_claims_hold_with_any_seed(name, seed, quick):
    result = presets.run(name, seed=seed, quick=quick)
    assert [str(verdict) for verdict in result.verdicts if not verdict.met] == []
