"""Remedies: what is offered helps when it is done by hand, and nothing of the user's is touched."""

import random
from dataclasses import replace

import keras
import numpy as np
import pytest
from diagnosis_networks import FAULTY
from keras import layers
from keras.src.backend.common import global_state

import keras_initscope as initscope
from keras_initscope.inspection.remedies import REMEDIES, NoCopyError, copied, trying
from keras_initscope.records import Remedy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 12)).astype(np.float32)
Y = RNG.normal(size=(64, 3)).astype(np.float32)
CLASSES = RNG.integers(0, 3, 64)
_LR = keras.optimizers.SGD


def _network(depth=3, activation="relu", kernel="he_normal", head=None, units=3, **options):
    """Layers of 32 units; `kernel` is a name or makes an initializer."""
    keras.utils.set_random_seed(1)

    def made():
        return kernel() if callable(kernel) else kernel

    hidden = [
        layers.Dense(32, activation, kernel_initializer=made(), **options) for _ in range(depth)
    ]
    return keras.Sequential([keras.Input((12,)), *hidden, layers.Dense(units, head)])


def _compiled(loss="mse", optimizer="adam", **options):
    model = _network(**options)
    model.compile(optimizer, loss)
    return model


def _normal(deviation):
    return lambda: keras.initializers.RandomNormal(stddev=deviation)


#: Code of the finding, the model and its data. All faults are seen before the first step.
FAULTS = {
    "zeros": (lambda: _compiled(kernel="zeros"), X, Y),
    "constants": (
        lambda: _compiled(activation="tanh", kernel=lambda: keras.initializers.Constant(0.5)),
        X,
        Y,
    ),
    "too small": (lambda: _compiled(depth=10, kernel=_normal(0.01)), X, Y),
    "too large": (lambda: _compiled(depth=8, activation="tanh", kernel=_normal(1.0)), X, Y),
    "deep sigmoid": (
        lambda: _compiled(depth=10, activation="sigmoid", kernel="glorot_uniform"),
        X,
        Y,
    ),
    "deep relu of Glorot": (lambda: _compiled(depth=20, kernel="glorot_uniform"), X, Y),
    "bytes": (lambda: _compiled(), np.abs(X) * 100, Y),
    "columns": (lambda: _compiled(), X * np.where(np.arange(12) % 4, 1, 1e4).astype("float32"), Y),
    "dead biases": (
        lambda: _compiled(bias_initializer=keras.initializers.Constant(-20.0)),
        X,
        Y,
    ),
    "missing values": (lambda: _compiled(), np.where(X > 2, np.nan, X), Y),
    "relu beside crossentropy": (
        lambda: _compiled(loss="sparse_categorical_crossentropy", head="relu"),
        X,
        CLASSES,
    ),
    "rate too small": (lambda: _compiled(optimizer=_LR(1e-9)), X, Y),
}


def _by_hand(line, model, x):
    names = {"keras": keras, "np": np, "initscope": initscope, "model": model, "x": x}
    exec(line, names)
    return names["model"], names["x"]


QUICK = ("zeros", "bytes")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAULTS]
)
def test_the_line_that_is_offered_removes_the_finding(name):
    make, x, y = FAULTS[name]
    report = initscope.inspect(make(), x, y, remedies=True)
    assert report.findings
    assert {each.code for each in report.remedies} == {each.code for each in report.findings}
    for line in {each.line for each in report.remedies}:
        own = [each for each in report.remedies if each.line == line]
        after = initscope.inspect(*_by_hand(line, make(), x), y)
        left = {each.code for each in after.findings}
        assert not left & {each.code for each in own}
        assert left == set(own[0].remaining)
        assert len(left) <= len(report.findings)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_a_softmax_of_one_unit_becomes_a_sigmoid():
    model = _compiled(loss="binary_crossentropy", head="softmax", units=1)
    y = (Y[:, :1] > 0).astype(np.float32)
    report = initscope.inspect(model, X, y, remedies=True)
    (found,) = [each for each in report.remedies if each.code == "D4"]
    after = initscope.inspect(*_by_hand(found.line, model, X), y)
    assert "D4" not in {each.code for each in after.findings}


def _narrow(depth, activation, kernel, head=None):
    """Layers of 8 units in a functional model."""
    keras.utils.set_random_seed(1)
    x = given = keras.Input((12,))
    for _ in range(depth):
        x = layers.Dense(8, activation, kernel_initializer=kernel)(x)
    model = keras.Model(given, (head or layers.Dense(3))(x))
    model.compile("adam", "mse")
    return model


def _by(monkeypatch, name, model, x, y=Y):
    """A look that tries this one remedy alone."""
    monkeypatch.setattr(trying, "REMEDIES", {name: REMEDIES[name]})
    return initscope.inspect(model, x, y, remedies=True)


COLUMNS = X * np.where(np.arange(12) % 4, 1, 1e4).astype("float32")
#: The code, the one remedy that is tried, the model and its inputs.
LAYERS_THAT_HELP = [
    ("F1", "batch_normalized", lambda: _compiled(depth=5, activation="tanh", kernel=_normal(0.01))),
    pytest.param(
        "F2",
        "layer_normalized",
        lambda: _compiled(depth=5, kernel=_normal(1.0)),
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "F3",
        "batch_normalized",
        lambda: _narrow(8, "sigmoid", "he_uniform"),
        marks=pytest.mark.slow,
    ),
    ("D1", "adapted", lambda: _compiled(depth=1)),
]


@pytest.mark.parametrize(("code", "name", "make"), LAYERS_THAT_HELP)
def test_a_layer_that_is_put_into_the_model_removes_the_finding(monkeypatch, code, name, make):
    x = COLUMNS if code == "D1" else X
    report = _by(monkeypatch, name, make(), x)
    (found,) = [each for each in report.remedies if each.code == code]
    model = make()
    weights = model.get_weights()
    other, same = _by_hand(found.line, model, x)
    assert same is x
    assert code not in {each.code for each in initscope.inspect(other, x, Y).findings}
    assert other.loss == "mse"
    held = {id(v) for v in other.variables}
    assert all(id(v) in held for v in model.trainable_variables)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def _behind(norm):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            norm,
            *(layers.Dense(8, "tanh", kernel_initializer=_normal(0.01)()) for _ in range(5)),
            layers.Dense(3),
        ]
    )
    model.compile("adam", "mse")
    return model


def _of_two_heads():
    x = given = keras.Input((12,))
    for _ in range(5):
        x = layers.Dense(8, "tanh", kernel_initializer=_normal(0.01)())(x)
    model = keras.Model(given, [layers.Dense(3)(x), layers.Dense(3)(x)])
    model.compile("adam", ["mse", "mse"])
    return model


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (lambda: own()[0], Y),
        pytest.param(lambda: _behind(layers.RMSNormalization()), Y, marks=pytest.mark.slow),
        pytest.param(_of_two_heads, [Y, Y], marks=pytest.mark.slow),
    ],
)
def test_no_normalization_is_offered_where_there_is_no_place_for_it(monkeypatch, make, y):
    """In a subclassed model, beside another one, before several heads."""
    report = _by(monkeypatch, "batch_normalized", make(), X, y)
    assert "F1" in {each.code for each in report.findings}
    assert report.remedies == ()
    assert any("nothing removes" in note and "F1" in note for note in report.notes)


@pytest.mark.slow
def test_of_each_kind_one_remedy_is_shown(monkeypatch):
    chosen = ("drawn_anew", "calibrated", "batch_normalized")
    monkeypatch.setattr(trying, "REMEDIES", {name: REMEDIES[name] for name in chosen})
    model = _compiled(depth=5, activation="tanh", kernel=_normal(0.01))
    shown = [each.words for each in initscope.inspect(model, X, Y, remedies=True).remedies]
    assert shown == [REMEDIES["drawn_anew"].words, REMEDIES["batch_normalized"].words]


_SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("code", "name"),
    [
        pytest.param("F4", "standardized", marks=_SLOW),
        pytest.param("F4", "adapted", marks=_SLOW),
        pytest.param("F5", "drawn_anew", marks=_SLOW),
        pytest.param("B1", "batch_normalized", marks=_SLOW),
        ("D2", "filled"),
        pytest.param("N2", "drawn_anew", marks=_SLOW),
        pytest.param("W2", "another_rate", marks=_SLOW),
        ("W3", "another_rate"),
    ],
)
def test_faults_of_weights_data_numbers_and_rates_are_mended(monkeypatch, code, name):
    """The finding goes, and no other one comes."""
    model, x, y = FAULTY[code].compiled()
    report = _by(monkeypatch, name, model, x, y)
    assert [each.code for each in report.findings] == [code]
    (found,) = report.remedies
    assert (found.code, found.remaining) == (code, ())
    again, _, _ = FAULTY[code].compiled()
    assert initscope.inspect(*_by_hand(found.line, again, x), y).findings == ()


def test_what_a_single_look_cannot_find_has_no_remedy_to_be_tried():
    """Drift is seen from look to look; the output is one number only after some training."""
    assert not {"W4", "D3"} & set().union(*(each.codes for each in REMEDIES.values()))


def test_a_healthy_network_is_not_tried_on(monkeypatch):
    monkeypatch.setattr(
        "keras_initscope.inspection.look.tried", lambda *_: pytest.fail("there is no finding")
    )
    assert initscope.inspect(_compiled(), X, Y, remedies=True).remedies == ()


def _state(model):
    attributes = {k: id(v) for k, v in vars(model).items()}
    names = global_state.get_global_attribute("object_name_uids")
    return {
        "variables": [np.asarray(v.value).tobytes() for v in model.variables],
        "optimizer": [np.asarray(v.value).tobytes() for v in model.optimizer.variables],
        "rate": model.optimizer.get_config(),
        "attributes": attributes,
        "activations": [id(getattr(layer, "activation", None)) for layer in model.layers],
        "loss": model.loss,
        "config": model.to_json(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "names": {k: n for k, n in names.items() if k in ("dense", "sequential", "input_layer")},
    }


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_nothing_of_the_users_is_touched(trained):
    model = _compiled(depth=2, kernel="zeros")
    if trained:
        model.fit(X, Y, epochs=1, verbose=0)
    drawn = keras.random.SeedGenerator(3)
    x, before = X.copy(), _state(model)
    report = initscope.inspect(model, x, Y, remedies=True)
    assert report.remedies
    after = _state(model)
    assert before == after
    np.testing.assert_array_equal(x, X)
    assert int(np.asarray(drawn.state)[0]) == 3


class Doubling(layers.Layer):
    """A layer of the user's that Keras does not know."""

    def call(self, x):
        return 2.0 * x


class Own(keras.Model):
    """A model of the user's."""

    def __init__(self, depth=6):
        super().__init__()
        self.depth = depth
        self.hidden = [
            layers.Dense(32, "relu", kernel_initializer=_normal(0.01)()) for _ in range(depth)
        ]
        self.head = layers.Dense(3)

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)


def own():
    model = Own()
    model(X)
    model.compile("adam", "mse")
    return model, X


def own_layer():
    given = keras.Input((12,))
    x = Doubling()(given)
    for _ in range(6):
        x = layers.Dense(32, "relu", kernel_initializer=_normal(0.01)())(x)
    model = keras.Model(given, layers.Dense(3)(x))
    model.compile("adam", "mse")
    return model, X


def two_inputs():
    first, second = keras.Input((12,), name="a"), keras.Input((12,), name="b")
    x = layers.Concatenate()([first, second])
    x = layers.Dense(32, "relu")(x)
    model = keras.Model({"a": first, "b": second}, layers.Dense(3)(x))
    model.compile("adam", "mse")
    return model, {"a": 1e4 * X, "b": 1e4 * X}


def half():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = _compiled(depth=10, kernel=_normal(0.01))
    finally:
        keras.config.set_dtype_policy("float32")
    return model, X


def looked_up():
    given = keras.Input((1,), dtype="string")
    x = layers.StringLookup(vocabulary=["a", "b", "c"])(given)
    x = layers.Flatten()(layers.Embedding(4, 12)(x))
    for _ in range(8):
        x = layers.Dense(32, "relu", kernel_initializer=_normal(0.01)())(x)
    model = keras.Model(given, layers.Dense(3)(x))
    model.compile("adam", "mse")
    return model, np.array(["a", "b", "c", "d"] * 16)[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("make", [own, own_layer, two_inputs, half, looked_up])
def test_models_of_any_kind(make):
    keras.utils.set_random_seed(0)
    model, x = make()
    report = initscope.inspect(model, x, Y, remedies=True)
    assert report.findings
    assert report.remedies


class Closed(keras.Model):
    """What it is made of is not told to Keras."""

    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden

    def get_config(self):
        raise NotImplementedError("made of things")

    def call(self, x):
        return self.hidden(x)


def test_what_cannot_be_copied_is_said():
    model = Closed(_network(kernel="zeros"))
    model(X)
    model.compile("adam", "mse")
    report = initscope.inspect(model, X, Y, remedies=True)
    assert report.remedies == ()
    assert any("cannot be copied" in note for note in report.notes)
    with pytest.raises(NoCopyError):
        copied(model, X)


def test_a_copy_does_the_same_and_shares_nothing():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(4), layers.Dropout(0.5, seed=3)])
    model.compile("adam", "mse")
    model.fit(X, RNG.normal(size=(64, 4)), epochs=1, verbose=0)
    copy = copied(model, X)
    np.testing.assert_array_equal(copy(X, training=True), model(X, training=True))
    for mine, other in zip(model.variables, copy.variables, strict=True):
        assert mine is not other
    assert copy.optimizer is not model.optimizer
    np.testing.assert_array_equal(copy.optimizer.iterations, model.optimizer.iterations)


def test_a_report_tells_of_them():
    tried = Remedy(
        code="U2",
        words="Draw the kernels anew.",
        line="initscope.reinitialize(model)",
        before=1.0,
        after=0.02,
        findings=2,
        remaining=("D1",),
    )
    report = replace(initscope.inspect(_compiled(depth=1), X, Y), remedies=(tried,))
    for text in (str(report), report.markdown()):
        assert "initscope.reinitialize(model)" in text
        assert "U2 is gone (1.00 -> 0.0200), findings 2 -> 1; D1 remain" in text


def test_every_remedy_has_words_and_knows_findings():
    for candidate in REMEDIES.values():
        assert candidate.codes
        assert candidate.words.endswith(".")
