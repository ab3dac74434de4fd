"""Whatever a model holds: no exception but a stated one, and no number that theory cannot give."""

import keras
import numpy as np
import pytest

from keras_initscope import prediction
from keras_initscope.prediction.primitives import scaled
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.prediction.state import state
from keras_initscope.prediction.transfer import apply, transfer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
L = keras.layers


def _model(*layers, shape=(32,), dtype=None):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def _power(snapshot, layer):
    return snapshot.find("activation", layer).values["root_mean_square"] ** 2


class Backwards(keras.layers.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AssertionError, RuntimeError])
def test_a_rule_that_fails_is_named_and_harms_nobody(error):
    class Broken(Backwards):
        pass

    @transfer.register(Broken)
    def _(layer, x):
        raise error("so it is")

    snapshot = predict_signal(_model(Broken(name="b"), L.Dense(8)))
    assert f"b (Broken): its rule failed: {error.__name__}" in snapshot.unknown["b"]


def test_a_way_back_that_fails_gives_no_gradient():
    def pull(gradient):
        raise KeyError("lost")

    @transfer.register(Backwards)
    def _(layer, x):
        return state(x.shape, x.q, x.p, parents=(x,), pull=pull)

    snapshot = predict_signal(_model(L.Dense(8, name="d"), Backwards(name="b"), L.Dense(8)))
    gradients = snapshot.profile("activation_gradient", "variance")
    assert "b" in gradients
    assert "d" not in gradients


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_unknown(value):
    model = _model(L.Dense(32, name="d"), L.LayerNormalization(name="n"), L.Dense(8, name="e"))
    kernel, bias = model.layers[0].get_weights()
    kernel[0, 0] = value
    model.layers[0].set_weights([kernel, bias])
    snapshot = predict_signal(model)
    assert set(snapshot.unknown) == {"d"}
    assert "not finite" in snapshot.unknown["d"]
    assert _power(snapshot, "n") == pytest.approx(1, rel=0.01)


def test_a_signal_beyond_all_numbers_is_unknown():
    model = _model(*[L.Rescaling(1e100, name=f"r{i}") for i in range(4)])
    assert "not finite" in predict_signal(model).unknown["r3"]


@pytest.mark.parametrize(
    "layer",
    [
        L.LayerNormalization(),
        L.BatchNormalization(),
        L.RMSNormalization(),
        L.UnitNormalization(),
        L.GroupNormalization(4),
        L.Activation("softmax"),
        L.MultiHeadAttention(2, 8),
        L.LSTM(8),
        L.GRU(8),
        L.MaxPooling1D(2),
        L.SpectralNormalization(L.Dense(8, kernel_initializer="zeros")),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_no_signal_at_all_is_a_signal_of_size_zero(layer):
    inputs = keras.Input((4, 8))
    dead = L.Dense(8, kernel_initializer="zeros")(inputs)
    made = layer(dead, dead) if isinstance(layer, L.MultiHeadAttention) else layer(dead)
    model = keras.Model(inputs, made)
    snapshot = predict_signal(model)
    x = np.random.default_rng(0).normal(size=(8, 4, 8))
    truth = np.mean(np.square(model(x, training=True)))
    assert not snapshot.unknown
    last = list(snapshot.profile("activation", "root_mean_square"))[-1]
    assert f"{last}/".startswith(f"{layer.name}/")  # a layer inside may have given it
    assert _power(snapshot, last) == pytest.approx(truth, abs=1e-6)
    assert all(np.isfinite(list(entry.values.values())).all() for entry in snapshot.stats)


def test_a_layer_met_twice_is_not_independent_of_itself():
    """`x + W x` once more with the same `W` is `x + 2 W x + W W x`: 6 times the power, not 4."""
    inputs = keras.Input((32,))
    shared = L.Dense(32, kernel_initializer="lecun_normal")
    once = L.Add(name="once")([inputs, shared(inputs)])
    model = keras.Model(inputs, L.Add(name="twice")([once, shared(once)]))
    snapshot = predict_signal(model, weights="initializers")
    assert _power(snapshot, "once") == pytest.approx(2)
    assert "depend on each other" in snapshot.unknown["twice"]


def test_twins_of_shared_weights_are_compared_honestly():
    left, right = keras.Input((32,)), keras.Input((32,))
    tower = keras.Sequential([keras.Input((32,)), L.Dense(64, "relu")], name="tower")
    model = keras.Model([left, right], L.Subtract(name="s")([tower(left), tower(right)]))
    assert "depend on each other" in predict_signal(model).unknown["s"]


def test_what_stands_behind_an_unknown_layer_in_an_inner_model_is_told():
    inner = keras.Sequential(
        [keras.Input((32,)), L.Dense(32, name="a"), L.LayerNormalization(name="n"), L.Dense(8)],
        name="inner",
    )
    cut = L.Lambda(lambda x: keras.ops.sort(x), name="cut")
    snapshot = predict_signal(_model(cut, inner))
    assert set(snapshot.unknown) == {"cut", "inner/a"}
    assert _power(snapshot, "inner/n") == pytest.approx(1, rel=0.01)


def test_layers_inside_an_opaque_layer_are_unknown_with_it():
    class Opaque(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = L.Dense(8, name="dense")

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.dense(keras.ops.sort(x))

    snapshot = predict_signal(_model(Opaque(name="o")))
    assert set(snapshot.unknown) == {"o", "o/dense"}


def _embedded(*layers, mask_zero=True):
    return _model(
        L.Embedding(9, 16, mask_zero=mask_zero, name="e"), *layers, shape=(5,), dtype="int32"
    )


@pytest.mark.parametrize(
    "layer", [L.LSTM(4), L.GlobalAveragePooling1D(), L.BatchNormalization()], ids=lambda x: x.name
)
def test_a_mask_that_hides_something_is_not_overlooked(layer):
    model = _embedded(L.Dense(16, name="d"), layer)
    hidden = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
    snapshot = predict_signal(model, input=hidden)
    assert layer.name in snapshot.unknown
    assert not {"e", "d"} & set(snapshot.unknown)
    assert "mask" in snapshot.unknown[layer.name]
    assert not predict_signal(model, input=hidden + 1).unknown
    assert not predict_signal(model).unknown


def test_tokens_beyond_the_table_are_told():
    for wrong in (np.full((2, 5), 9), np.full((2, 5), -1)):
        assert "not in 0 to 8" in predict_signal(_embedded(), input=wrong).unknown["e"]


def test_an_embedding_has_the_frequencies_of_the_data():
    model = _embedded(mask_zero=False)
    table = model.layers[0].get_weights()[0]
    tokens = np.array([[1, 1, 1, 2, 1], [1, 1, 2, 1, 1]])
    expected = 0.8 * np.mean(table[1] ** 2) + 0.2 * np.mean(table[2] ** 2)
    assert _power(predict_signal(model, input=tokens), "e") == pytest.approx(expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_the_dtype_of_a_model_does_not_matter(policy):
    dense = L.Dense(32, "relu", name="d", dtype=policy)
    snapshot = predict_signal(_model(dense, L.LayerNormalization(dtype=policy)))
    kernel = keras.ops.convert_to_numpy(keras.ops.cast(dense.kernel.value, "float32"))
    assert not snapshot.unknown
    assert _power(snapshot, "d") == pytest.approx(32 * np.mean(kernel**2) / 2)


def test_quantized_weights_are_unknown():
    model = _model(L.Dense(8, name="d"))
    model.layers[0].quantize("int8")
    assert "quantized" in predict_signal(model).unknown["d"]


def test_a_frozen_batch_normalization_is_what_its_statistics_make_it():
    layer = L.BatchNormalization(name="n")
    model = _model(layer)
    layer.trainable = False
    assert _power(predict_signal(model, input={"q": 4.0}), "n") == pytest.approx(4.0, rel=2e-3)
    layer.moving_mean.assign(np.ones(32))
    assert "frozen" in predict_signal(model).unknown["n"]


def test_numbers_that_are_rounded_are_unknown():
    model = _model(L.Lambda(lambda x: keras.ops.cast(x, "int32"), name="c"))
    assert "rounds" in predict_signal(model).unknown["c"]


def test_trained_weights_do_not_shine_through_the_initializers():
    model = _model(
        L.Embedding(9, 16, name="e", embeddings_initializer=keras.initializers.RandomNormal(0, 2)),
        L.Dense(16, name="d", kernel_initializer="lecun_normal"),
        L.SeparableConv1D(8, 3, padding="same", name="s"),
        L.LSTM(8, name="l"),
        shape=(5,),
        dtype="int32",
    )
    before = predict_signal(model, weights="initializers")
    model.set_weights([np.full_like(w, 3.0) for w in model.get_weights()])
    after = predict_signal(model, weights="initializers")
    for layer in "edsl":
        assert _power(after, layer) == pytest.approx(_power(before, layer))
    assert "do not lie around zero" in predict_signal(model).unknown["d"]


def _two_inputs():
    a, b = keras.Input((32,), name="a"), keras.Input((16,), name="b")
    x = L.Concatenate(name="c")([L.Dense(32)(a), b])
    return a, b, x


@pytest.mark.parametrize("structure", ["list", "mapping"])
def test_several_inputs_are_told_apart(structure):
    a, b, x = _two_inputs()
    model = keras.Model([a, b] if structure == "list" else {"b": b, "a": a}, x)
    rng = np.random.default_rng(0)
    data = {"a": 3 * rng.normal(size=(200, 32)), "b": rng.normal(size=(200, 16))}
    dense = next(layer for layer in model.layers if isinstance(layer, L.Dense))
    expected = (32 * 9 * 32 * np.var(dense.get_weights()[0]) + 16) / 48
    for each in (
        list(data.values()) if structure == "list" else dict(reversed(data.items())),
        data,
    ):
        assert _power(predict_signal(model, input=each), "c") == pytest.approx(expected, rel=0.1)
    assert not predict_signal(model).unknown


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
@pytest.mark.parametrize("names", [("zz", "aa"), ("b_in", "a_in")])
def test_moments_may_differ_from_input_to_input(names):
    """Of 16 + 8 units with second moments 1 and 4 the mean is 2."""
    b, a = keras.Input((16,), name="b_in"), keras.Input((8,), name="a_in")
    model = keras.Model({"zz": b, "aa": a}, L.Concatenate(name="c")([b, a]))
    given = dict(zip(names, ({"q": 1.0}, {"q": 4.0}), strict=True))
    assert _power(predict_signal(model, input=given), "c") == pytest.approx(2.0)


def test_data_and_moments_may_be_mixed():
    tokens, image = keras.Input((4,), dtype="int32"), keras.Input((16,))
    rows = L.Flatten()(L.Embedding(9, 2, name="e")(tokens))
    model = keras.Model([tokens, image], L.Concatenate(name="c")([rows, image]))
    table = model.get_layer("e").get_weights()[0]
    ones = np.ones((3, 4), "int32")
    snapshot = predict_signal(model, input=[ones, {"q": 4.0}])
    expected = (8 * np.mean(table[1] ** 2) + 16 * 4.0) / 24
    assert _power(snapshot, "c") == pytest.approx(expected)
    assert _power(predict_signal(model, input=[ones, None]), "c") == pytest.approx(
        expected - 16 * 3 / 24
    )


@pytest.mark.parametrize("given", ["digits", 3, {"a": 3, "b": 4}, [{"q": 1.0}] * 3])
def test_what_is_no_input_of_a_model_of_two_is_shown(given):
    a, b, x = _two_inputs()
    with pytest.raises(ValueError, match=r"(Received: input=('digits'|3|{)|Received: 3)"):
        predict_signal(keras.Model([a, b], x), input=given)


def test_a_subclassed_model_of_several_inputs():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(8, name="dense")

        def call(self, inputs):
            return self.dense(inputs["a"]) + inputs["b"]

    model = Pair()
    data = {"a": np.ones((4, 32), "float32"), "b": np.zeros((4, 8), "float32")}
    model(data)
    for given in (None, {"q": 2.0}, data, {"a": {"q": 2.0}, "b": data["b"]}):
        assert not predict_signal(model, input=given).unknown
    with pytest.raises(ValueError, match="for inputs"):
        predict_signal(model, input={"a": {"q": 2.0}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 16)), r"does not fit.*\(4, 16\).*\(None, 32\)"),
        ([np.zeros((4, 32))] * 2, "takes 1 inputs. Received: 2"),
        (np.full((4, 32), np.nan), "not finite"),
        (np.full((4, 32), "a"), "Received: input of ndarray"),
        ({"q": 1.0, "mu": 2.0}, "No tensor has these moments"),
        ({"q": "a"}, "Received: input={'q': 'a'}"),
        ({"q": -1.0}, "No tensor has these moments"),
        ({"q": 1.0, "p": 2.0}, "No tensor has these moments"),
        ({"wrong": np.zeros((4, 32))}, "are missing"),
        ("digits", "Received: input of str"),
    ],
)
def test_an_input_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        predict_signal(_model(L.Dense(3)), input=given)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="Expected a Keras model"):
        predict_signal("model.keras")


def test_a_mean_without_more_is_common_to_all_examples():
    snapshot = predict_signal(_model(L.Identity(name="i")), input={"q": 2.0, "mu": 1.0})
    assert snapshot.find("activation", "i").values["constant"] == 1.0


def test_position_embeddings_tell_positions_apart():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 512)).astype("float32")
    layer = L.Lambda(lambda x: x + table, name="p")
    model = _model(layer, shape=(6, 512))
    found = apply(model.layers[0], state((6, 512), q=1.0, p=0.5, r=0.5))
    assert float(np.mean(found.q)) == pytest.approx(2.0, rel=0.1)
    assert float(np.mean(found.r)) == pytest.approx(0.5, abs=0.1)
    assert found.m == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("data_format", ["channels_first"])
def test_channels_first_is_never_read_as_channels_last(data_format):
    for layer in (
        L.Conv2D(4, 3, data_format=data_format),
        L.MaxPooling2D(2, data_format=data_format),
        L.ZeroPadding2D(1, data_format=data_format),
        L.SpatialDropout2D(0.5, data_format=data_format),
        L.BatchNormalization(axis=1),
        L.GroupNormalization(1, axis=1),
    ):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8, 6, 6))])
        try:
            model.add(layer)
        except Exception:  # TensorFlow on a CPU cannot
            continue
        assert layer.name in predict_signal(model).unknown, layer.name


def test_the_moves_of_a_user_come_from_one_place():
    for name in ("UnpredictableError", "apply", "scaled", "state", "transfer", "predict_signal"):
        assert hasattr(prediction, name)
    assert prediction.scaled is scaled
