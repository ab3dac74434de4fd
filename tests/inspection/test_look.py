"""`inspect`: the same numbers as TensorFlow's own tape gives, for whatever `fit` would take."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_initscope as initscope
from keras_initscope.records import Quantity

EXAMPLES = 24


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(EXAMPLES, *shape)).astype(np.float32)


def _mlp(*, units=(7, 6), outputs=3, seed=0):
    keras.utils.set_random_seed(seed)
    hidden = [layers.Dense(width, "tanh", name=f"hidden_{i}") for i, width in enumerate(units)]
    return keras.Sequential([keras.Input((5,)), *hidden, layers.Dense(outputs, name="out")])


def _mean_square(tensor):
    return float(np.mean(np.square(np.asarray(tensor, np.float64))))


def _by_hand(model, x, objective):
    """Mean squares of the activations, and of the gradients of what precedes them."""
    with tf.GradientTape() as tape:
        h, before, after = tf.constant(x), [], []
        for layer in model.layers:
            before.append(h @ layer.kernel.value + layer.bias.value)
            tape.watch(before[-1])
            h = layer.activation(before[-1])
            after.append(h)
        value = objective(h)
    gradients = tape.gradient(value, before)
    return [_mean_square(each) for each in after], [_mean_square(each) for each in gradients]


def _columns(report):
    return [row.measured_q for row in report.rows], [row.measured_gradient for row in report.rows]


TARGETS = _normal(3, seed=1)


@pytest.mark.parametrize(
    "loss", ["mse", keras.losses.MeanSquaredError(), keras.losses.mean_squared_error]
)
def test_a_loss_is_differentiated_as_the_tape_does(loss):
    model, x = _mlp(), _normal(5)
    expected = _by_hand(model, x, lambda h: tf.reduce_mean((h - TARGETS) ** 2))
    report = initscope.inspect(model, x, TARGETS, loss)
    np.testing.assert_allclose(_columns(report), expected, rtol=1e-5)
    assert report.measured.info.loss == pytest.approx(
        float(np.mean((model(x).numpy() - TARGETS) ** 2)), rel=1e-6
    )


def test_a_compiled_loss_is_differentiated_by_the_models_own_step():
    model, x = _mlp(), _normal(5)
    expected = _by_hand(model, x, lambda h: tf.reduce_mean((h - TARGETS) ** 2))
    model.compile("adam", "mse", metrics=["mae"])
    np.testing.assert_allclose(_columns(initscope.inspect(model, x, TARGETS)), expected, rtol=1e-5)


def test_without_a_loss_the_cotangent_has_variance_one():
    """Signs that are drawn with seed 0."""
    model, x = _mlp(), _normal(5)
    signs = np.where(keras.random.uniform((EXAMPLES, 3), seed=0) < 0.5, -1.0, 1.0)
    expected = _by_hand(model, x, lambda h: tf.reduce_sum(h * signs.astype(np.float32)))
    report = initscope.inspect(model, x)
    np.testing.assert_allclose(_columns(report), expected, rtol=1e-5)
    assert report.rows[-1].measured_gradient == 1.0
    assert report.measured.info.loss is None


def test_a_mean_over_the_examples_makes_gradients_smaller_by_their_number():
    model, x = _mlp(), _normal(5)
    signs = np.where(keras.random.uniform((EXAMPLES, 3), seed=0) < 0.5, -1.0, 1.0)
    mean = initscope.inspect(model, x, signs, lambda y, outputs: ops.sum(y * outputs, axis=-1))
    cotangent = initscope.inspect(model, x)
    for a, b in zip(mean.rows, cotangent.rows, strict=True):
        assert a.measured_gradient * EXAMPLES**2 == pytest.approx(b.measured_gradient, rel=1e-5)
        assert a.predicted_gradient * EXAMPLES**2 == pytest.approx(b.predicted_gradient, rel=1e-5)


def test_what_a_model_adds_to_the_loss_counts():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(3, kernel_regularizer=keras.regularizers.L2(1.0), name="dense"),
        ]
    )
    x, kernel = _normal(5), model.layers[0].kernel.numpy()
    report = initscope.inspect(model, x, TARGETS, lambda y, outputs: ops.zeros((EXAMPLES,)))
    assert report.measured.info.loss == pytest.approx(float(np.sum(kernel**2)), rel=1e-5)
    assert initscope.inspect(model, x).measured.find("kernel_gradient", "dense").values


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_crossentropy_of_a_saturated_softmax_is_that_of_training(scale):
    """Keras goes back to the logits that it noted on the softmax's output; so does the look."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4, "softmax", name="out")])
    model.layers[0].kernel.assign(scale * model.layers[0].kernel)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = _normal(5), np.arange(EXAMPLES) % 4
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    expected = _mean_square(tape.gradient(loss, model.trainable_variables[0].value))
    report = initscope.inspect(model, x, y)
    found = report.measured.find("kernel_gradient", "out").values["root_mean_square"] ** 2
    assert found == pytest.approx(expected, rel=1e-5)
    assert report.measured.info.loss == pytest.approx(float(loss), rel=1e-5)


def test_it_runs_in_training_mode():
    """BatchNormalization takes the moments of the batch, and dropout drops."""
    model = keras.Sequential(
        [
            keras.Input((50,)),
            layers.BatchNormalization(name="norm", center=False),
            layers.Dropout(0.5, seed=0, name="drop"),
        ]
    )
    first, second = initscope.inspect(model, 3 + 10 * _normal(50)).rows
    assert first.measured_q == pytest.approx(1.0, rel=1e-3)
    zeros = 0.5 + 3 * np.array([-1, 1]) * (0.25 / (EXAMPLES * 50)) ** 0.5
    report = initscope.inspect(model, 3 + 10 * _normal(50))
    assert zeros[0] < report.measured.find("activation", "drop").values["zero_fraction"] < zeros[1]
    assert second.predicted_q == pytest.approx(2.0, rel=1e-2)


def test_prediction_and_measurement_agree_up_to_finite_width():
    """tanh at width 1000: 5 % and three standard deviations of a single network."""
    keras.utils.set_random_seed(1)
    hidden = [layers.Dense(1000, "tanh", kernel_initializer="lecun_normal") for _ in range(4)]
    model = keras.Sequential([keras.Input((300,)), *hidden, layers.Dense(1000)])
    report = initscope.inspect(model, np.random.default_rng(0).normal(size=(200, 300)))
    assert len(report.rows) == 5
    for row in report.rows:
        assert abs(row.q_ratio - 1) < 0.05 + 3 * row.q_error
        assert abs(row.gradient_ratio - 1) < 0.05 + 3 * row.gradient_error
        assert row.q_error < 0.2


def _two_in_two_out():
    a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
    joined = layers.Concatenate(name="joined")([a, b])
    outputs = [layers.Dense(3, name="first")(joined), layers.Dense(2, name="second")(joined)]
    return keras.Model([a, b], outputs)


def test_several_inputs_and_outputs():
    model, a, b = _two_in_two_out(), _normal(5), _normal(2, seed=3)
    y = [_normal(3, seed=4), _normal(2, seed=5)]
    as_list = initscope.inspect(model, [a, b], y, "mse")
    as_dict = initscope.inspect(model, {"b": b, "a": a}, y, "mse")
    assert _columns(as_list) == _columns(as_dict)
    assert [row.predicted_q for row in as_list.rows] == [row.predicted_q for row in as_dict.rows]
    model.compile("sgd", "mse")
    compiled = initscope.inspect(model, [a, b], y)
    for a, b in zip(_columns(compiled), _columns(as_list), strict=True):
        assert a[1:] == pytest.approx(b[1:], rel=1e-5)
    assert compiled.measured.info.loss == pytest.approx(as_list.measured.info.loss, rel=1e-6)


@pytest.mark.parametrize(
    ("names", "as_mapping"),
    [(("zz", "aa"), True), (("b_in", "a_in"), True), (("b_in", "a_in"), False)],
)
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_inputs_go_by_their_keys_and_by_their_names(names, as_mapping):
    """Whatever their alphabetical order, and whether the model was made of a mapping or a list."""
    keras.utils.set_random_seed(0)
    a, b = keras.Input((16,), name="b_in"), keras.Input((8,), name="a_in")
    outputs = layers.Dense(4, name="out")(layers.Concatenate(name="both")([a, b]))
    model = keras.Model({"zz": a, "aa": b} if as_mapping else [a, b], outputs)
    data = dict(zip(names, (3 * _normal(16), _normal(8)), strict=True))
    joined = np.concatenate(list(data.values()), axis=1)
    both, out = initscope.inspect(model, data).rows
    assert both.measured_q == pytest.approx(_mean_square(joined), rel=1e-5)
    assert both.predicted_q == pytest.approx(_mean_square(joined), rel=1e-5)
    assert out.measured_q == pytest.approx(
        _mean_square(joined @ model.layers[-1].kernel.numpy()), rel=1e-5
    )


class Subclassed(keras.Model):
    """Takes a dictionary; its layers are made in another order than they run."""

    def __init__(self):
        super().__init__()
        self.late = layers.Dense(2, name="late")
        self.early = keras.Sequential([layers.Dense(4, "tanh", name="inner")], name="early")

    def call(self, inputs):
        return self.late(self.early(inputs["x"]))


def test_a_subclassed_nested_model_without_weights_is_built_from_the_data():
    model, x = Subclassed(), _normal(5)
    report = initscope.inspect(model, {"x": x})
    assert [row.layer.path for row in report.rows] == ["early/inner", "early", "late"]
    last = report.rows[-1]
    assert last.measured_q == pytest.approx(_mean_square(model({"x": x})), rel=1e-5)


def test_a_compiled_model_without_weights_is_built_and_no_more():
    model = keras.Sequential([layers.Dense(3, name="a")])
    model.compile("adam", "mse", metrics=["mae"])
    initscope.inspect(model, _normal(5), TARGETS)
    assert model.built
    assert not model.optimizer.built
    assert not model._compile_metrics.built
    assert not model._compile_loss.built


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return _normal(5), TARGETS


def _generator():
    while True:
        yield _normal(5), TARGETS


@pytest.fixture(scope="module")
def compiled_look():
    model = _mlp()
    model.compile("sgd", "mse")
    return model, _columns(initscope.inspect(model, _normal(5), TARGETS))


@pytest.mark.parametrize(
    "make",
    [
        lambda: (_normal(5).astype(np.float64), TARGETS.astype(np.float64)),
        lambda: (tf.constant(_normal(5)), tf.constant(TARGETS)),
        lambda: (tf.data.Dataset.from_tensor_slices((_normal(5), TARGETS)).batch(EXAMPLES), None),
        lambda: (Batches(), None),
        lambda: (_generator(), None),
    ],
    ids=["float64", "tensors", "tf.data", "PyDataset", "generator"],
)
def test_data_comes_in_every_form(make, compiled_look):
    model, expected = compiled_look
    np.testing.assert_allclose(_columns(initscope.inspect(model, *make())), expected, rtol=1e-6)


def test_nested_lists_are_arrays():
    model, x = _mlp(), _normal(5)
    as_lists = initscope.inspect(model, x.tolist(), TARGETS.tolist(), "mse")
    assert _columns(as_lists) == _columns(initscope.inspect(model, x, TARGETS, "mse"))


def test_texts_are_measured_where_a_model_reads_them():
    texts = keras.Input((2,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["a", "b"], name="lookup")(texts)
    model = keras.Model(texts, layers.Embedding(3, 4, name="embedding")(numbers))
    report = initscope.inspect(model, np.array([["a", "b"], ["c", "a"]]))
    assert report.rows[-1].measured_q > 0
    assert "texts" in report.rows[-1].unknown


def test_targets_of_a_dataset_are_not_used_where_there_is_no_loss():
    data = tf.data.Dataset.from_tensors((_normal(5), TARGETS))
    model = _mlp()
    assert _columns(initscope.inspect(model, data)) == _columns(
        initscope.inspect(model, _normal(5))
    )


@keras.saving.register_keras_serializable("tests")
class Mystery(layers.Layer):
    """Draws random numbers, of which theory knows nothing."""

    def __init__(self):
        super().__init__(name="mystery")
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x):
        return x * keras.random.uniform(ops.shape(x), seed=self.seed_generator)


def test_what_theory_does_not_know_is_named_with_the_reason():
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, name="before"),
            Mystery(),
            layers.Dense(4, name="after"),
            layers.LayerNormalization(name="reset"),
        ]
    )
    report = initscope.inspect(model, _normal(5))
    before, mystery, after, reset = report.rows
    assert before.predicted_q is not None
    for row in (mystery, after):
        assert row.predicted_q is None
        assert row.measured_q > 0
        assert "Mystery draws random numbers" in row.unknown
    assert reset.predicted_q == pytest.approx(1.0, rel=1e-6)
    assert "Unknown to theory: mystery, after. Reason: mystery (Mystery)" in " ".join(
        str(report).split()
    )
    assert list(report.unknown.values()) == [["mystery", "after"]]
    assert (
        "The gradient of theory does not reach before, because unknown to theory is mystery, after."
    ) in " ".join(str(report).split())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_reported(bad):
    x = _normal(5)
    x[3, 2] = bad
    report = initscope.inspect(_mlp(), x)
    assert report.notes[0] == "x holds 1 values that are NaN or infinite."
    assert "from the preactivation of layer hidden_0 on: 7 of 168 there" in report.notes[1]
    assert all(row.predicted_q is None for row in report.rows)
    assert "NaN or infinite" in report.rows[0].unknown
    assert report.rows[0].nonfinite == (14 if np.isnan(bad) else 0)
    assert str(report)


class Untraceable(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, name="dense")

    def build(self, shape):
        self.dense.build(shape)
        super().build(shape)

    def call(self, x):
        return self.dense(x * float(x.numpy().max()))


def test_a_model_that_cannot_be_traced_has_its_weights_measured():
    model = Untraceable()
    model.build((None, 5))
    report = initscope.inspect(model, _normal(5))
    assert {stats.tap.quantity for stats in report.measured.stats} == {
        Quantity.KERNEL,
        Quantity.BIAS,
    }
    assert "only its weights" in report.notes[0]
    assert "numpy" in report.notes[0]
    assert "only its weights" in " ".join(str(report).split())


class Counting(keras.Sequential):
    """Counts outside Keras variables."""

    def train_step(self, data):
        self.counter.assign_add(1.0)
        return super().train_step(data)


def test_a_step_with_side_effects_is_not_run():
    model = Counting([keras.Input((5,)), layers.Dense(3)])
    model.counter = tf.Variable(0.0)
    model.compile("sgd", "mse")
    report = initscope.inspect(model, _normal(5), TARGETS)
    assert float(model.counter) == 0.0
    assert "would change" in report.notes[0]


def test_a_single_example_is_measured_but_not_predicted():
    report = initscope.inspect(_mlp(), _normal(5)[:1])
    assert all(row.measured_q > 0 and row.predicted_q is None for row in report.rows)
    assert "several" in report.rows[0].unknown


def test_a_frozen_model_still_shows_the_gradients_of_a_cotangent():
    model = _mlp()
    model.trainable = False
    assert all(row.measured_gradient > 0 for row in initscope.inspect(model, _normal(5)).rows)


def test_a_trained_model_is_said_to_be_one():
    model, x = _mlp(), _normal(5)
    model.compile("sgd", "mse")
    fresh = initscope.inspect(model, x, TARGETS)
    model.fit(x, TARGETS, batch_size=12, verbose=0)
    trained = initscope.inspect(model, x, TARGETS)
    assert "trained" not in str(fresh)
    assert trained.measured.step == 2
    assert "those of a trained model are not" in " ".join(str(trained).split())


def test_a_layer_that_another_one_stands_for_has_no_line():
    recurrent = keras.Sequential([keras.Input((4, 3)), layers.SimpleRNN(2, name="rnn")])
    report = initscope.inspect(recurrent, _normal(4, 3))
    cell, rnn = report.rows
    assert cell.is_empty
    assert report.shown == (rnn,)
    assert f"nothing is measured or predicted of them: {cell.layer.path}." in report.markdown()
    assert f"| `{cell.layer.path}` |" not in report.markdown()
    assert "Left out" not in str(initscope.inspect(_mlp(), _normal(5)))


def test_theory_is_of_the_weights_before_the_steps_that_are_tried():
    """Large steps are tried five times over, and would have moved the weights that theory reads."""
    hidden = [keras.layers.Dense(16, "tanh", kernel_initializer="he_normal") for _ in range(2)]
    model = keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(3.0), "mse")
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    report = initscope.inspect(model, x, 1 + x[:, :1])
    assert "W3" in [finding.code for finding in report.findings], "they were tried"
    alone = initscope.predict_signal(model, x)
    assert report.predicted.unknown == alone.unknown == {}
    for layer, value in alone.profile("activation", "variance").items():
        found = report.predicted.profile("activation", "variance")[layer]
        assert found == pytest.approx(value, rel=1e-6)
