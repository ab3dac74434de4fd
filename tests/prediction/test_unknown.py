"""What theory does not know it names, and says no number of."""

import keras
import numpy as np
import pytest

from keras_initscope.prediction import predict_signal, scaled, transfer
from keras_initscope.records import ModelInfo
from keras_initscope.writers.jsonlines import JSONLinesWriter, read_jsonlines

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
L = keras.layers


class Mystery(keras.layers.Layer):
    """Leaves Keras, so that nobody can look into it."""

    def call(self, x):
        return keras.ops.convert_to_tensor(np.asarray(x) * 2)

    def compute_output_shape(self, shape):
        return shape

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class Block(keras.layers.Layer):
    """Of known layers and operations, as users write them."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(32, "relu", kernel_initializer="he_normal", name="dense")

    def build(self, shape):
        self.dense.build(shape)
        self.scale = self.add_weight(shape=(32,), initializer="ones")

    def call(self, x):
        return 2.0 * self.dense(x) * self.scale + 1.0


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.last = Block(name="first"), L.Dense(8, name="last")

    def call(self, x):
        return self.last(self.first(x))


def _sequential(*layers):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((32,)), *layers])


def test_an_unknown_layer_is_named_and_so_is_what_follows():
    model = _sequential(L.Dense(32, name="a"), Mystery(name="m"), L.Dense(8, name="b"))
    snapshot = predict_signal(model)
    assert set(snapshot.unknown) == {"m", "b"}
    assert all("m (Mystery)" in reason for reason in snapshot.unknown.values())
    assert set(snapshot.profile("activation", "variance")) == {"a"}
    assert "a" not in snapshot.profile("activation_gradient", "variance")


@pytest.mark.parametrize("norm", [L.LayerNormalization, L.BatchNormalization, L.RMSNormalization])
def test_a_normalization_makes_the_second_moment_known_again(norm):
    model = _sequential(Mystery(name="m"), norm(name="n"), L.Dense(32, "relu", name="b"))
    snapshot = predict_signal(model)
    assert set(snapshot.unknown) == {"m"}
    assert abs(snapshot.profile("activation", "root_mean_square")["n"] - 1) < 1e-2
    assert "signal" not in snapshot.find("activation", "n").values or norm is L.BatchNormalization
    assert "b" in snapshot.profile("activation_gradient", "variance")
    assert "m" not in snapshot.profile("activation_gradient", "variance")


def test_a_sum_of_dependent_tensors_is_unknown():
    inputs = keras.Input((32,))
    x = L.Dense(32)(inputs)
    model = keras.Model(inputs, L.Add(name="sum")([x, L.Activation("tanh")(x)]))
    assert "depend on each other" in predict_signal(model).unknown["sum"]


def test_a_tensor_added_to_itself_has_four_times_the_power():
    inputs = keras.Input((32,))
    x = L.Dense(32, name="x")(inputs)
    snapshot = predict_signal(keras.Model(inputs, L.Add(name="sum")([x, x])))
    q = snapshot.profile("activation", "root_mean_square")
    g = snapshot.profile("activation_gradient", "root_mean_square")
    assert np.isclose(q["sum"] / q["x"], 2)
    assert np.isclose(g["x"] / g["sum"], 2)


def test_weights_that_are_all_alike_are_unknown():
    snapshot = predict_signal(_sequential(L.Dense(8, kernel_initializer="ones", name="d")))
    assert "do not lie around zero" in snapshot.unknown["d"]


def test_weights_around_zero_that_missed_it_by_chance_are_known():
    """A mean of 4.5 standard errors: one in 150,000 matrices, and there are many."""
    layer = L.Dense(64, name="d")
    layer.build((None, 64))
    drawn = np.random.default_rng(0).normal(size=(64, 64))
    layer.kernel.assign(drawn - drawn.mean() + 4.5 / 64)
    assert not predict_signal(keras.Sequential([keras.Input((64,)), layer])).unknown


def test_zero_weights_carry_nothing():
    snapshot = predict_signal(_sequential(L.Dense(8, kernel_initializer="zeros", name="d")))
    assert snapshot.find("activation", "d").values["variance"] == 0
    assert not snapshot.unknown


def test_a_layer_of_known_layers_is_looked_into_and_left_as_it_was():
    block = Block(name="block")
    model = _sequential(block, L.Dense(8, name="d"))
    nodes = len(block.dense._inbound_nodes)
    snapshot = predict_signal(model, weights="initializers")
    assert len(block.dense._inbound_nodes) == nodes
    assert not snapshot.unknown
    inner = snapshot.find("activation", "block/dense").values
    assert np.isclose(inner["root_mean_square"] ** 2, 1.0)
    mean = np.sqrt(1 / np.pi)  # of a rectified Gaussian of variance 2
    outer = snapshot.find("activation", "block").values
    assert np.isclose(outer["root_mean_square"] ** 2, 4 + 4 * mean + 1)


def test_a_subclassed_model_is_walked():
    model = Subclassed()
    model(np.zeros((2, 32), "float32"))
    snapshot = predict_signal(model, input=np.random.default_rng(0).normal(size=(64, 32)))
    assert set(snapshot.profile("activation", "mean")) == {"first/dense", "first", "last"}
    assert not snapshot.unknown


def test_one_function_teaches_a_layer():
    class Twice(Mystery):
        pass

    @transfer.register(Twice)
    def _(layer, x):
        return scaled(x, 2.0)

    snapshot = predict_signal(_sequential(Twice(name="t")))
    assert snapshot.find("activation", "t").values["root_mean_square"] == 2
    assert not snapshot.unknown


def test_a_shared_layer_averages_its_calls():
    inputs = keras.Input((32,))
    shared = L.Dense(32, "relu", name="s", kernel_initializer="he_normal")
    model = keras.Model(inputs, shared(L.Rescaling(3.0)(shared(inputs))))
    snapshot = predict_signal(model, weights="initializers")
    found = snapshot.find("activation", "s").values["root_mean_square"] ** 2
    assert np.isclose(found, (1 + 9) / 2)


def test_what_is_unknown_survives_the_file(tmp_path):
    snapshot = predict_signal(_sequential(Mystery(name="m")))
    writer = JSONLinesWriter(str(tmp_path), ModelInfo(name="x", layers=()))
    writer.write(snapshot, {})
    writer.close()
    assert read_jsonlines(str(tmp_path))[1][0].unknown == snapshot.unknown


def test_a_model_without_weights_is_refused():
    with pytest.raises(ValueError, match=r"has no weights yet.*build"):
        predict_signal(keras.Sequential([L.Dense(3)]))


def test_the_input_must_be_readable():
    model = _sequential(L.Dense(3))
    for wrong, message in (({"variance": 1.0}, "Expected None"), (np.zeros((1, 32)), "two")):
        with pytest.raises(ValueError, match=message):
            predict_signal(model, input=wrong)
    with pytest.raises(ValueError, match="weights='actual'"):
        predict_signal(model, weights="random")


def test_moments_and_data_say_the_same():
    rng = np.random.default_rng(0)
    model = _sequential(L.Dense(64, "tanh", name="d"))
    x = 0.5 + rng.normal(size=(500, 32))
    moments = predict_signal(model, input={"q": 1.25, "p": 0.25, "mu": 0.5})
    data = predict_signal(model, input=x)
    for name in ("signal", "constant"):
        values = [s.find("activation", "d").values[name] for s in (moments, data)]
        assert np.isclose(*values, rtol=0.05)
