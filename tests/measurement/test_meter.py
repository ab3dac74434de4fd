"""What the meter reads off a training step, against the same step taken apart by hand.

Each case says how its model computes, tensor by tensor; TensorFlow's own tape differentiates that.
The monitor has to find the same tensors under the same names, and nothing else.
"""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from measuring import assert_agree, reference

import keras_initscope as initscope
from keras_initscope import graph

BATCH = 16
RATE = 0.1
SIGNALS = ("preactivation", "activation")


@dataclass
class Case:
    """A model, data for it, and its forward pass spelled out.

    `forward(put, x)` gives the predictions; `put(quantity, name, tensor)` names what is measured.
    """

    model: keras.Model
    forward: object
    x: object
    y: object
    loss: object = "mse"
    rel: float = 1e-5


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(BATCH, *shape)).astype(np.float32)


def _half(predictions, y):
    return ops.mean(ops.square(y - predictions))


def _dense(put, layer, x, name, activation=None):
    """A dense or convolutional layer by hand: multiply, add, activate."""
    if isinstance(layer, layers.Dense):
        z = ops.matmul(x, ops.cast(layer.kernel, x.dtype)) + ops.cast(layer.bias, x.dtype)
    else:
        kernel, bias = ops.cast(layer.kernel, x.dtype), ops.cast(layer.bias, x.dtype)
        z = ops.conv(x, kernel, strides=layer.strides, padding=layer.padding) + bias
    z = put("preactivation", name, z)
    return put("activation", name, (activation or layer.activation)(z))


def mlp():
    """Every way to name an activation function, and a weight regularizer."""
    leaky = layers.LeakyReLU(0.1, name="leaky")
    parts = [
        layers.Dense(7, activation="tanh", name="a", kernel_regularizer="l2"),
        layers.Dense(6, activation=ops.relu, name="b", bias_initializer="ones"),
        layers.Dense(5, activation=lambda z: ops.sin(z), name="c"),
        layers.Dense(4, activation=leaky, name="d"),
        layers.Dense(6, name="e"),
        layers.Activation("gelu", name="f"),
        layers.ReLU(negative_slope=0.2, name="g"),
        layers.Dense(3, activation="softmax", name="h"),
    ]
    model = keras.Sequential([keras.Input((8,)), *parts])

    def forward(put, x):
        for part in parts[:3]:
            x = _dense(put, part, x, part.name)
        z = put("preactivation", "d", ops.matmul(x, parts[3].kernel) + parts[3].bias)
        x = put("activation", "d", put("activation", "d/leaky", ops.leaky_relu(z, 0.1)))
        x = _dense(put, parts[4], x, "e")
        x = put("activation", "f", ops.gelu(x, approximate=False))
        x = put("activation", "g", ops.leaky_relu(x, 0.2))
        return _dense(put, parts[7], x, "h")

    return Case(model, forward, _normal(8), _normal(3, seed=1))


def cnn():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(beta_initializer="random_normal", name="norm"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="out"),
        ]
    )

    def forward(put, x):
        conv, norm, _, _, out = model.layers
        x = _dense(put, conv, x, "conv")
        mean, variance = ops.moments(x, axes=[0, 1, 2])
        x = (x - mean) / ops.sqrt(variance + norm.epsilon) * norm.gamma + norm.beta
        x = put("activation", "norm", x)
        x = put("activation", "pool", ops.max_pool(x, 2))
        x = put("activation", "flat", ops.reshape(x, (BATCH, -1)))
        return _dense(put, out, x, "out")

    return Case(model, forward, _normal(6, 6, 2), _normal(3, seed=1), rel=3e-5)


def noisy():
    """Dropout and noise draw in the look what they will draw in the step."""
    parts = [
        layers.Dense(8, activation="elu", name="a"),
        layers.Dropout(0.5, seed=1, name="drop"),
        layers.GaussianNoise(0.3, seed=2, name="noise"),
        layers.Dense(2, name="b"),
    ]
    model = keras.Sequential([keras.Input((5,)), *parts])

    def forward(put, x):
        x = _dense(put, parts[0], x, "a")
        x = put("activation", "drop", parts[1](x, training=True))
        x = put("activation", "noise", parts[2](x, training=True))
        return _dense(put, parts[3], x, "b")

    return Case(model, forward, _normal(5), _normal(2, seed=1))


def _recurrent(layer, block, *, steps=3):
    """At every third of 20 steps what the block of weights makes of inputs and the last state."""
    last = layers.Dense(2, name="out")
    model = keras.Sequential([keras.Input((steps, 5)), layer, last])
    units = slice(4 * block, 4 * block + 4)

    def forward(put, x):
        h, cell = layer(x), layer.cell
        state = h[:, -1:] if layer.return_sequences else h[:, None]
        z = ops.matmul(x[:, :: 3 if steps == 20 else 1], cell.kernel[:, units])
        z = z + ops.matmul(state, cell.recurrent_kernel[:, units])
        if cell.bias is not None:
            z = z + sum(row[units] for row in ops.reshape(cell.bias, (-1, cell.kernel.shape[1])))
        put("preactivation", f"rnn/{cell.name}/candidate", z)
        return _dense(put, last, put("activation", "rnn", h), "out")

    shape = layer.compute_output_shape((None, steps, 5))[1:-1]
    return Case(model, forward, _normal(steps, 5), _normal(*shape, 2, seed=1))


def lstm():
    return _recurrent(layers.LSTM(4, return_sequences=True, bias_initializer="ones", name="rnn"), 2)


def gru():
    layer = layers.GRU(4, return_sequences=True, bias_initializer="random_normal", name="rnn")
    return _recurrent(layer, 2)


def gru_of_old():
    return _recurrent(layers.GRU(4, reset_after=False, name="rnn"), 2, steps=20)


def simple_rnn():
    return _recurrent(layers.SimpleRNN(4, use_bias=False, name="rnn"), 0)


def unrolled():
    """A simple cell by hand: what it shows at each time step is taken together."""
    layer = layers.SimpleRNN(4, return_sequences=True, unroll=True, name="rnn")
    model = keras.Sequential([keras.Input((3, 5)), layer])

    def forward(put, x):
        cell, h, all_steps = layer.cell, ops.zeros((BATCH, 4)), []
        for t in range(3):
            z = ops.matmul(x[:, t], cell.kernel) + cell.bias
            z = put(
                "preactivation", "rnn/simple_rnn_cell", z + ops.matmul(h, cell.recurrent_kernel)
            )
            h = put("activation", "rnn/simple_rnn_cell", ops.tanh(z))
            all_steps.append(h)
        return put("activation", "rnn", ops.stack(all_steps, axis=1))

    return Case(model, forward, _normal(3, 5), _normal(3, 4, seed=1))


def attention():
    """Token embeddings with one row never used, and self-attention by hand."""
    tokens = keras.Input((4,), dtype="int32")
    embedding = layers.Embedding(10, 6, name="embed")
    heads = layers.MultiHeadAttention(2, 3, name="heads")
    x = embedding(tokens)
    model = keras.Model(tokens, heads(x, x))

    def project(layer, x, equation):
        return ops.einsum(equation, x, layer.kernel) + layer.bias

    def forward(put, x):
        e = put("activation", "embed", ops.take(embedding.embeddings, x, axis=0))
        q, k, v = (
            put("activation", f"heads/{n}", put("preactivation", f"heads/{n}", z))
            for n, z in (
                (n, project(getattr(heads, f"_{n}_dense"), e, "abc,cde->abde"))
                for n in ("query", "key", "value")
            )
        )
        scores = ops.einsum("aecd,abcd->acbe", k, q * (1 / np.sqrt(3)))
        mixed = ops.einsum("acbe,aecd->abcd", ops.softmax(scores), v)
        out = project(heads._output_dense, mixed, "abcd,cde->abe")
        name = "heads/attention_output"
        return put("activation", name, put("preactivation", name, out))

    x = np.random.default_rng(0).integers(0, 9, (BATCH, 4)).astype("int32")
    return Case(model, forward, x, _normal(4, 6, seed=1), rel=3e-5)


def shared_and_nested():
    """A nested model holding a layer that is used twice, residuals and two outputs."""
    shared = layers.Dense(5, activation="tanh", name="twice")
    inside = keras.Input((5,))
    inner = keras.Model(inside, shared(shared(inside)), name="inner")
    inputs = keras.Input((5,))
    first = layers.Dense(5, activation="selu", name="first")
    x = first(inputs)
    added = layers.Add(name="add")([inner(x), x])
    left, right = layers.Dense(1, name="left"), layers.Dense(2, name="right")
    model = keras.Model(inputs, [left(added), right(added)])

    def forward(put, x):
        skip = _dense(put, first, x, "first")
        x = _dense(put, shared, skip, "inner/twice")
        x = _dense(put, shared, x, "inner/twice")
        x = put("activation", "add", x + skip)
        return [_dense(put, left, x, "left"), _dense(put, right, x, "right")]

    y = [_normal(1, seed=1), _normal(2, seed=2)]
    return Case(model, forward, _normal(5), y, loss=["mse", "mse"])


class Subclassed(keras.Model):
    """A block in a list, an attribute and a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(4, activation="relu", name=f"block{i}") for i in range(2)]
        self.head = layers.Dense(2, name="head")
        self.idle = layers.Dropout(0.5, name="idle")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def subclassed():
    model = Subclassed()

    def forward(put, x):
        for block in model.blocks:
            x = _dense(put, block, x, block.name)
        return _dense(put, model.head, x, "head")

    case = Case(model, forward, _normal(3), _normal(2, seed=1))
    model(case.x)
    return case


def unchanged():
    """Layers that hand on what they received have their own entries all the same."""
    first = layers.Dense(4, activation="tanh", name="first")
    names = ["linear", "drop", "flat", "identity"]
    handing_on = [
        layers.Activation("linear", name="linear"),
        layers.Dropout(0.0, name="drop"),
        layers.Flatten(name="flat"),
        layers.Identity(name="identity"),
    ]
    last = layers.Dense(2, name="last")
    model = keras.Sequential([keras.Input((5,)), first, *handing_on, last])

    def forward(put, x):
        x = _dense(put, first, x, "first")
        for name in names:
            x = put("activation", name, ops.copy(x))
        return _dense(put, last, x, "last")

    return Case(model, forward, _normal(5), _normal(2, seed=1))


def normalized():
    """The step divides a kernel by its spectral norm before the kernel is used."""
    dense = layers.Dense(4, activation="tanh", name="dense")
    last = layers.Dense(2, name="last")
    wrapper = layers.SpectralNormalization(dense, name="norm")
    model = keras.Sequential([keras.Input((5,)), wrapper, last])

    def forward(put, x):
        divided = wrapper.normalized_weights()[1]
        kernel = dense.kernel + ops.stop_gradient(divided - dense.kernel)
        z = put("preactivation", "norm/dense", ops.matmul(x, kernel) + dense.bias)
        return _dense(put, last, put("activation", "norm/dense", ops.tanh(z)), "last")

    return Case(model, forward, _normal(5), _normal(2, seed=1))


class Scaled(keras.Model):
    """Holds a weight itself."""

    def __init__(self):
        super().__init__(name="scaled")
        self.dense = layers.Dense(2, name="dense")
        self.gain = self.add_weight(shape=(2,), initializer="ones", name="gain")

    def call(self, x):
        return self.dense(x) * self.gain


def scaled():
    model = Scaled()

    def forward(put, x):
        return put("activation", "scaled", _dense(put, model.dense, x, "dense") * model.gain)

    case = Case(model, forward, _normal(3), _normal(2, seed=1))
    model(case.x)
    return case


CASES = [
    unchanged,
    normalized,
    scaled,
    mlp,
    cnn,
    noisy,
    lstm,
    gru,
    gru_of_old,
    simple_rnn,
    unrolled,
    attention,
    shared_and_nested,
    subclassed,
]


def by_hand(case, scale=1.0):
    """Tensors and gradients of a step, `(quantity, name)` to arrays; changes no variable."""
    kept = [ops.copy(v.value) for v in case.model.variables]
    seen = {}

    def put(quantity, name, tensor):
        seen.setdefault((quantity, name), []).append(tensor)
        return tensor

    with tf.GradientTape() as tape:
        predictions = case.forward(put, ops.convert_to_tensor(case.x))
        targets = case.y if isinstance(case.y, list) else [case.y]
        flat = predictions if isinstance(predictions, list) else [predictions]
        loss = sum(
            ops.mean(ops.square(y - ops.cast(p, "float32")))
            for y, p in zip(targets, flat, strict=True)
        )
        loss = loss + sum(case.model.losses)
        scaled = loss * scale
    addresses = [(q, name, i) for (q, name), calls in seen.items() for i in range(len(calls))]
    sources = [seen[q, name][i] for q, name, i in addresses]
    weights = case.model.trainable_variables
    found = tape.gradient(scaled, [sources, [w.value for w in weights]])
    gradients = [
        None if g is None else tf.cast(tf.convert_to_tensor(g), "float32") / scale
        for part in found
        for g in part
    ]
    for (quantity, name, _), gradient in zip(addresses, gradients, strict=False):
        if gradient is not None:  # of what the loss is made of
            seen.setdefault((f"{quantity}_gradient", name), []).append(gradient)
    for weight, gradient in zip(weights, gradients[len(sources) :], strict=True):
        seen["gradient", weight.path] = gradient
        seen["weight", weight.path] = ops.copy(weight.value)
    for variable, value in zip(case.model.variables, kept, strict=True):
        variable.assign(value)
    return seen, float(loss)


def by_monitor(case, tmp_path, **kwargs):
    """The snapshot of the same step, and the weights after it."""
    if not case.model.compiled:
        case.model.compile(keras.optimizers.SGD(RATE), case.loss, **kwargs)
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=1)
    case.model.fit(case.x, case.y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[monitor])
    (snapshot,) = monitor.history
    return snapshot


def _as_units(tensors):
    return np.concatenate(
        [np.asarray(ops.cast(t, "float64")).reshape(-1, t.shape[-1]) for t in tensors]
    )


def _weight_names(model):
    """Path of each trainable variable to its quantity and its name in a snapshot."""
    return {
        variable.path: (quantity, f"{node.path}/{part}" if part else node.path)
        for node in graph.layers(model)
        for quantity, part, variable in node.weights()
    }


def assert_snapshot(snapshot, seen, case):
    """Every tensor that was put is in the snapshot, equal, and no other is."""
    expected, names = {}, _weight_names(case.model)
    after = {v.path: v.value for v in case.model.trainable_variables}
    for (kind, name), tensors in seen.items():
        if kind == "weight":
            quantity, tap = names[name]
            expected[quantity, tap] = np.asarray(tensors).reshape(-1, 1)
            if quantity == "kernel":
                change = np.asarray(after[name]) - np.asarray(tensors)
                expected["kernel_update", tap] = change.reshape(-1, 1)
        elif kind == "gradient":
            quantity, tap = names[name]
            expected[f"{quantity}_gradient", tap] = np.asarray(tensors).reshape(-1, 1)
        else:
            expected[kind, name] = _as_units(tensors)
    found = {(str(s.tap.quantity), s.tap.name): s for s in snapshot.stats}
    assert set(found) == set(expected)
    for address, values in expected.items():
        rows = reference(values)
        if address[0] not in SIGNALS:
            del rows["signal"], rows["constant"], rows["duplicate_fraction"]
        assert found[address].tap.size == values.size, address
        assert found[address].histogram.total == values.size, address
        if rows["root_mean_square"] < 1e-7:  # zero but for rounding, as a key's bias gradient
            assert found[address].values["root_mean_square"] < 1e-6
            continue
        try:
            assert_agree(found[address].values, rows, case.rel)
        except AssertionError as error:
            raise AssertionError(f"{address}: {error}") from error


@pytest.mark.parametrize(
    ("build", "jit"), [*((case, False) for case in CASES), (cnn, True), (subclassed, True)]
)
def test_a_snapshot_is_the_step_taken_apart(build, jit, tmp_path):
    keras.utils.set_random_seed(0)
    case = build()
    seen, loss = by_hand(case)
    snapshot = by_monitor(case, tmp_path, jit_compile=jit)
    assert snapshot.step == 0
    assert snapshot.info.loss == pytest.approx(loss, rel=1e-5)
    assert snapshot.info.learning_rate == pytest.approx(RATE)
    assert snapshot.info.updates == 1
    assert_snapshot(snapshot, seen, case)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_gradients_are_recorded_unscaled_in_mixed_precision(policy, tmp_path):
    """The same loss scale by hand: 2^15 under float16, none under bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        parts = [layers.Dense(8, activation="tanh", name="a"), layers.Dense(3, name="b")]
        model = keras.Sequential([keras.Input((5,)), *parts])
    finally:
        keras.config.set_dtype_policy(before)

    def forward(put, x):
        x = ops.cast(x, parts[0].compute_dtype)
        for part in parts:
            x = _dense(put, part, x, part.name)
        return x

    case = Case(model, forward, _normal(5), _normal(3, seed=1), rel=2e-2)
    seen, loss = by_hand(case, scale=2.0**15 if policy == "mixed_float16" else 1.0)
    snapshot = by_monitor(case, tmp_path, jit_compile=False)
    assert snapshot.info.loss == pytest.approx(loss, rel=1e-4)
    assert_snapshot(snapshot, seen, case)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tanh", "argument"),
        ("relu", "argument"),
        ("gelu", "layer"),
        ("softmax", "argument"),
        ("softmax", "layer"),
        ("linear", "argument"),
    ],
)
def test_dead_and_saturated_units_are_told_where_each_element_has_a_slope(name, kind, tmp_path):
    parts = [layers.Dense(4, activation=name, name="a")]
    if kind == "layer":
        parts = [layers.Dense(4, name="z"), layers.Activation(name, name="a")]
    model = keras.Sequential([keras.Input((3,)), *parts])
    model.layers[0].bias.assign([-99.0, 0.0, 0.0, 99.0])  # before shapes: low, middle, middle, high
    model.layers[0].kernel.assign(0.01 * np.ones((3, 4)))
    case = Case(model, None, _normal(3), _normal(4, seed=1))
    snapshot = by_monitor(case, tmp_path, jit_compile=False)
    expected = {"tanh": (0.5, 0.5), "relu": (0.25, 0.25), "gelu": (0.25, 0.25)}
    found = snapshot.find(
        "activation", "a" if kind == "argument" or name != "linear" else "z"
    ).values
    if name in expected:
        assert (found["dead_fraction"], found["saturated_fraction"]) == expected[name]
    else:
        assert not {"dead_fraction", "saturated_fraction"} & set(found)


def test_prelu_has_dead_units_but_no_known_saturation(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.PReLU(name="a"), layers.Dense(1)])
    snapshot = by_monitor(Case(model, None, -np.abs(_normal(3)), _normal(1)), tmp_path)
    found = snapshot.find("activation", "a").values
    assert found["dead_fraction"] == 1.0  # its slopes start at zero
    assert np.isnan(found["saturated_fraction"])
    assert snapshot.find("kernel", "a/alpha").tap.size == 3


def test_a_loss_that_the_step_does_not_tell_is_none(tmp_path):
    """Not NaN: that would mean a broken network."""

    class Own(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(self(x, training=True) - y))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    model = Own([keras.Input((3,)), layers.Dense(1, name="a")])
    snapshot = by_monitor(Case(model, None, _normal(3), _normal(1)), tmp_path, jit_compile=False)
    assert snapshot.info.loss is None
    assert snapshot.find("kernel_gradient", "a").values["root_mean_square"] > 0


def test_a_loss_that_is_not_finite_is_told(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="a")])
    case = Case(model, None, np.full((BATCH, 3), np.nan, np.float32), _normal(1))
    snapshot = by_monitor(case, tmp_path, jit_compile=False)
    assert np.isnan(snapshot.info.loss)
    assert snapshot.find("activation", "a").values["nonfinite_count"] == BATCH


def test_frozen_layers_have_kernels_and_no_updates(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="a"), layers.Dense(1)])
    model.layers[0].trainable = False
    snapshot = by_monitor(Case(model, None, _normal(3), _normal(1)), tmp_path, jit_compile=False)
    found = {str(s.tap.quantity) for s in snapshot.stats if s.tap.layer == "a"}
    assert {"kernel", "bias", "activation", "activation_gradient"} <= found
    assert not {"kernel_gradient", "bias_gradient", "kernel_update"} & found


class Gather(layers.Layer):
    """Its derivative comes as slices, not as a dense tensor."""

    def call(self, x):
        return tf.gather(x, [0, 2, 2, 1])


def test_a_cotangent_that_comes_as_slices_is_measured(tmp_path):
    model = keras.Sequential(
        [keras.Input((3,), batch_size=4), layers.Dense(4, name="a"), Gather(), layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(RATE), "mse", jit_compile=False)
    monitor = initscope.VarianceMonitor(tmp_path, update_freq=1)
    model.fit(_normal(3)[:4], _normal(1)[:4], batch_size=4, verbose=0, callbacks=[monitor])
    found = monitor.history[0].find("activation_gradient", "a").values
    assert found["zero_fraction"] >= 1 / 4  # the example that nobody gathered
    assert found["root_mean_square"] > 0


def test_while_gradients_accumulate_the_batch_gradient_is_recorded(tmp_path):
    keras.utils.set_random_seed(0)
    case = mlp()
    seen, _ = by_hand(case)
    case.model.compile(keras.optimizers.SGD(RATE, gradient_accumulation_steps=4), "mse")
    snapshot = by_monitor(case, tmp_path)
    gradient = seen["gradient", case.model.layers[0].kernel.path]
    expected = reference(np.asarray(gradient).reshape(-1, 1))
    found = snapshot.find("kernel_gradient", "a").values
    assert_agree(found, {name: expected[name] for name in ("variance", "minimum", "maximum")})
    assert snapshot.find("kernel_update", "a").values["root_mean_square"] == 0
