"""Models and layers with code of the user's: what is said to be done to weights is done."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_initscope import autoinit, calibrate, reinitialize, tailor

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(512, 64)).astype("float32")
IMAGES = RNG.normal(size=(64, 8, 8, 4)).astype("float32")


class Stack(keras.Model):
    def __init__(self, depth=4):
        super().__init__(name="stack")
        self.hidden = [L.Dense(256, "relu", name=f"h{i}") for i in range(depth)]
        self.last = L.Dense(128, name="last")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.last(x)


class Branch(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = L.Dense(64, "relu")

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return x + self.dense(x)


class Standardized(L.Conv2D):
    def convolution_op(self, inputs, kernel):
        centred = kernel - ops.mean(kernel, (0, 1, 2), keepdims=True)
        return super().convolution_op(inputs, centred / ops.std(centred, (0, 1, 2), keepdims=True))


class Residual(L.Dense):
    def call(self, inputs):
        return inputs + super().call(inputs)


def _stack():
    model = Stack()
    model(X[:1])
    return model


def _holding():
    inputs = keras.Input((64,))
    return keras.Model(inputs, L.Dense(32, name="after")(Stack(2)(inputs)))


def _blocks():
    return keras.Sequential([keras.Input((64,)), Branch(), Branch(), L.Dense(32, name="after")])


def _values(model):
    return [np.array(ops.convert_to_numpy(v.value)) for v in model.trainable_variables]


@pytest.mark.parametrize("build", [_stack, _holding, _blocks])
def test_each_kernel_is_multiplied_by_what_is_said(build):
    keras.utils.set_random_seed(0)
    model = build()
    before = _values(model)
    changes = autoinit(model)
    said = [float(change.what.removeprefix("times ")) for change in changes.changes]
    done = [
        np.sqrt(np.mean(after**2) / np.mean(old**2))
        for after, old in zip(_values(model), before, strict=True)
        if old.ndim == 2
    ]
    assert sorted(done) == pytest.approx(sorted(said), rel=1e-3)
    assert max(abs(np.log(done))) > 0.1
    output = ops.convert_to_numpy(model(X))
    assert np.mean(output**2) == pytest.approx(1, rel=0.35)  # of one network: 4 (5 / 256) and 2/32


@pytest.mark.parametrize("change", [calibrate, lambda model, x: autoinit(model, x)])
def test_layers_that_compute_otherwise_than_keras_are_left_and_named(change):
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), Standardized(16, 3, name="own"), L.Flatten(), L.Dense(4)]
    )
    own = np.array(model.layers[0].kernel)
    changes = change(model, IMAGES)
    assert "not linear in it" in changes.skipped["own/kernel"]
    np.testing.assert_array_equal(model.layers[0].kernel, own)
    assert np.var(ops.convert_to_numpy(model(IMAGES))) == pytest.approx(1, rel=0.5)


def test_a_sum_inside_a_layer_is_followed():
    model = keras.Sequential([keras.Input((64,)), *[Residual(64) for _ in range(2)], L.Dense(64)])
    autoinit(model)
    assert np.mean(ops.convert_to_numpy(model(X)) ** 2) == pytest.approx(1, rel=0.25)


def test_a_model_that_nobody_has_called_is_built():
    model = Stack()
    changes = calibrate(model, X)
    assert len(changes.changes) == 5
    assert np.var(ops.convert_to_numpy(model(X))) == pytest.approx(1, rel=1e-3)


def test_several_layers_at_every_step():
    steps = RNG.normal(size=(64, 10, 16)) * np.linspace(0.1, 3, 10)[:, None]
    inner = keras.Sequential([L.Dense(32), L.Dense(32)])
    model = keras.Sequential([keras.Input((10, 16)), L.TimeDistributed(inner)])
    calibrate(model, steps.astype("float32"))
    given = ops.convert_to_numpy(model(steps.astype("float32")))
    assert np.var(given) == pytest.approx(1, rel=1e-3)


def test_a_weight_that_cannot_be_drawn_leaves_all_as_they_are():
    model = keras.Sequential([keras.Input((8, 8, 4)), L.Conv2D(4, 3, name="c"), L.Flatten()])
    before = _values(model)
    with pytest.raises(ValueError, match=r"'c/bias' of shape \(4,\) cannot be drawn by Orthogonal"):
        reinitialize(model, [("c.*bias", "orthogonal")])
    for now, then in zip(_values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_frozen_layers_keep_their_activations():
    base = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu", name="b")], name="base")
    base.trainable = False
    model = keras.Sequential([keras.Input((64,)), base, *[L.Dense(64, "relu") for _ in range(3)]])
    before = ops.convert_to_numpy(base(X))
    changes = tailor(model)
    assert len(changes.changes) == 2  # the last one gives the output
    assert "frozen" in changes.skipped["base/b"]
    np.testing.assert_array_equal(base(X), before)


@pytest.mark.parametrize("exclude", ["_kept$", lambda layer: layer.name == "b_kept"])
def test_excluded_layers_keep_their_activations(exclude):
    names = ["a", "b_kept", "c", "last"]
    model = keras.Sequential(
        [keras.Input((64,)), *[L.Dense(64, "relu", name=name) for name in names]]
    )
    changes = tailor(model, exclude=exclude)
    assert {change.path for change in changes.changes} == {"a", "c"}
    assert changes.skipped["b_kept"] == "it is excluded"
    assert model.get_layer("b_kept").activation is keras.activations.relu


@pytest.mark.parametrize(("depth", "said"), [(3, 0), (30, 1)])
def test_how_far_single_networks_lie_from_theory(depth, said):
    hidden = [L.Dense(64, "gelu") for _ in range(depth)]
    notes = autoinit(keras.Sequential([keras.Input((64,)), *hidden])).notes
    assert len([note for note in notes if "within a factor of" in note]) == said


def test_models_inside_forget_what_they_have_traced():
    inner = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu")])
    inner.predict(X, verbose=0)
    tailor(keras.Sequential([keras.Input((64,)), inner, L.Dense(8)]))
    np.testing.assert_allclose(inner.predict(X, verbose=0), inner(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["linear", ops.abs])
def test_what_has_no_shape_to_change_is_refused(activation):
    with pytest.raises(ValueError, match="no shape to change"):
        tailor(30, activation)
