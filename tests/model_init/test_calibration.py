"""LSUV in one sweep: every covered layer at its target, called once, and nothing else touched."""

from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from keras_initscope import calibrate, graph
from keras_initscope.measurement import hooks
from keras_initscope.model_init.sweep import Sweep

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 2, size=(24, 16, 16, 3)).astype("float32")
VECTORS = RNG.uniform(size=(128, 24)).astype("float32")
TOKENS = RNG.integers(0, 30, (32, 7))


def _resnet():
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(16, 3, padding="same", name="stem")(inputs)
    for i in range(4):
        y = L.ReLU()(L.BatchNormalization()(x))
        y = L.Conv2D(16, 3, padding="same", strides=2 - i % 2)(y)
        y = L.Conv2D(16, 3, padding="same", bias_initializer="random_normal")(L.ReLU()(y))
        x = L.Add()([y, x if i % 2 else L.Conv2D(16, 1, strides=2)(x)])
    return keras.Model(inputs, L.Dense(10, "softmax")(L.GlobalAveragePooling2D()(x))), IMAGES


def _transformer():
    inputs = keras.Input((16, 16, 3))
    x = L.Reshape((16, 32))(L.Conv2D(32, 4, strides=4)(inputs))
    for _ in range(3):
        y = L.LayerNormalization()(x)
        x = L.Add()([x, L.MultiHeadAttention(4, 8)(y, y)])
        y = L.Dense(64, "gelu")(L.LayerNormalization()(x))
        x = L.Add()([x, L.Dense(32)(y)])
    return keras.Model(inputs, L.Dense(10)(L.Flatten()(x))), IMAGES


class Block(L.Layer):
    def __init__(self):
        super().__init__()
        self.wide, self.back = L.Dense(48, "mish"), L.Dense(24, bias_initializer="ones")

    def call(self, x):
        return x + self.back(keras.ops.sin(self.wide(x)))


class Written(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [Block() for _ in range(3)]
        self.head = L.Dense(5)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def _windows():
    """Every kind of window, biased."""
    biased = {"bias_initializer": keras.initializers.RandomNormal(0.2, 0.3)}
    layers = [
        L.DepthwiseConv2D(3, depth_multiplier=4, activation="relu", **biased),
        L.SeparableConv2D(16, 3, padding="same", activation="tanh", **biased),
        L.Conv2DTranspose(8, 4, strides=2, activation="elu", **biased),
        L.Conv2D(8, 3, groups=4, strides=2, **biased),
        L.Reshape((-1, 8)),
        L.Conv1D(8, 3, dilation_rate=2, **biased),
        L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d", activation="silu", **biased),
    ]
    return keras.Sequential([keras.Input((16, 16, 3)), *layers]), IMAGES


def _tokens():
    inputs = keras.Input((7,), dtype="int32")
    x = L.Embedding(30, 16)(inputs)
    x = L.ReLU()(L.TimeDistributed(L.Dense(12))(x))
    x = L.GroupQueryAttention(4, 4, 2)(x, x)
    return keras.Model(inputs, L.Dense(3)(x)), TOKENS


def _half():
    policy = keras.DTypePolicy("mixed_bfloat16")
    layers = [L.Dense(64, "gelu", dtype=policy) for _ in range(3)]
    return keras.Sequential([keras.Input((24,)), *layers]), VECTORS


MODELS = {
    "resnet": _resnet,
    "transformer": _transformer,
    "subclassed": lambda: (Written(), VECTORS),
    "windows": _windows,
    "tokens": _tokens,
}
APPLICATIONS = {
    "MobileNetV2": 64, "MobileNetV3Small": 64, "EfficientNetB0": 64, "EfficientNetV2B0": 64,
    "ResNet50": 64, "ResNet50V2": 64, "DenseNet121": 64, "NASNetMobile": 64, "VGG16": 64,
    "Xception": 80, "ConvNeXtTiny": 64,
}  # fmt: skip


def _counted(monkeypatch):
    calls = Counter()
    original = L.Layer.__call__

    def counting(self, *args, **kwargs):
        calls[id(self)] += 1
        return original(self, *args, **kwargs)

    monkeypatch.setattr(L.Layer, "__call__", counting)
    return calls


def _variances(model, x):
    """Of what each activation function receives and of what each layer gives, in training mode."""
    nodes, seen = graph.layers(model), {"preactivation": {}, "activation": {}}
    functions = {}
    for node in nodes:
        function = node.layer.__dict__.get("activation")
        if callable(function) and not isinstance(node.layer, L.Activation):
            functions[node.path] = (node.layer.__dict__, function)
            node.layer.__dict__["activation"] = _noting(function, seen["preactivation"], node.path)
    original, paths = L.Layer.__call__, {id(node.layer): node.path for node in nodes}

    def call(self, *args, **kwargs):
        outputs = original(self, *args, **kwargs)
        if id(self) in paths and hasattr(outputs, "shape"):
            seen["activation"].setdefault(paths[id(self)], []).append(outputs)
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(L.Layer, "__call__", call)
        model(x, training=True)
    for attributes, function in functions.values():
        attributes["activation"] = function
    return {kind: {p: _variance(v) for p, v in found.items()} for kind, found in seen.items()}


def _noting(function, seen, path):
    def activation(z, *args, **kwargs):
        seen.setdefault(path, []).append(z)
        return function(z, *args, **kwargs)

    return activation


def _variance(tensors):
    arrays = [np.ravel(np.asarray(keras.ops.cast(tensor, "float64"))) for tensor in tensors]
    return np.var(np.concatenate(arrays))


def _assert_at_target(model, x, changes, target=1.0, tolerance=1e-3):
    found = _variances(model, x)
    scaled = [c for c in changes.changes if "times" in c.what]
    assert scaled
    for change in scaled:
        path = change.path.rpartition("/")[0]
        kind = "preactivation" if path in found["preactivation"] else "activation"
        assert found[kind][path] == pytest.approx(target, abs=tolerance * target), path


@pytest.mark.parametrize("name", MODELS)
def test_every_covered_layer_is_at_the_target_and_called_once(name, monkeypatch):
    model, x = MODELS[name]()
    if not model.built:
        model(x[:2])
    with monkeypatch.context() as patch:
        calls = _counted(patch)
        changes = calibrate(model, x)
    assert set(calls.values()) == {1}
    assert not changes.skipped
    kernels = [v for v in model.trainable_variables if v.name.endswith(("kernel", "embeddings"))]
    assert len(changes.changes) == len(kernels)
    _assert_at_target(model, x, changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications_are_at_the_target(name):
    """The others of the package are of the same families; dropout is left out of them."""
    size = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, input_shape=(size, size, 3), pooling="avg")
    for layer in model._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    x = np.random.default_rng(1).uniform(size=(4, size, size, 3)).astype("float32")
    changes = calibrate(model, x, orthogonal=False)
    assert not changes.skipped
    _assert_at_target(model, x, changes)


def test_half_precision_is_at_the_target_within_its_own():
    """Kernel and output are each rounded by up to 2**-8, which a variance has twice."""
    model, x = _half()
    _assert_at_target(model, x, calibrate(model, x), tolerance=4 * 2**-8)


@pytest.mark.parametrize("target", [0.25, 3.0])
def test_other_targets(target):
    model, x = MODELS["windows"]()
    _assert_at_target(model, x, calibrate(model, x, target=target), target)


def test_behind_the_activation():
    layers = [L.Dense(24, f, bias_initializer="random_normal") for f in ("relu", "gelu", "tanh")]
    model = keras.Sequential([keras.Input((24,)), *layers])
    calibrate(model, VECTORS, target=0.3, at="activation")
    found = _variances(model, VECTORS)["activation"]
    assert [found[layer.name] for layer in layers] == pytest.approx([0.3] * 3, abs=3e-4)


def test_what_cannot_be_reached_is_left_and_said():
    def biased(value):
        return keras.initializers.RandomNormal(stddev=value, seed=0)

    layers = [L.Dense(24, "tanh", name="bounded"), L.Dense(24, name="fine")]
    model = keras.Sequential([keras.Input((24,)), *layers])
    changes = calibrate(model, VECTORS, target=2.0, at="activation")
    (note,) = changes.notes
    assert note.startswith("Drawn anew, but not scaled: bounded/kernel.")
    assert "behind its activation" in note
    assert "times" in changes.find("fine/kernel").what
    layer = L.Dense(24, bias_initializer=biased(3.0), name="biased")
    model = keras.Sequential([keras.Input((24,)), layer, L.Dense(2, name="fine")])
    assert "bias alone" in calibrate(model, VECTORS).notes[0]
    left = calibrate(model, VECTORS, orthogonal=False)
    assert "bias alone" in left.skipped["biased/kernel"]
    assert not left.notes
    dead = np.zeros_like(VECTORS)
    assert "does not vary" in calibrate(model, dead).notes[0]


def test_a_batch_that_is_not_finite_is_refused():
    model = keras.Sequential([keras.Input((24,)), L.Dense(4)])
    before = np.array(model.layers[0].kernel.value)
    with pytest.raises(ValueError, match="x holds 1 values that are NaN"):
        calibrate(model, np.where(np.arange(24) + 24 * np.arange(128)[:, None] == 30, np.nan, 1.0))
    np.testing.assert_array_equal(model.layers[0].kernel.value, before)


@pytest.mark.parametrize(("kind", "gates"), [(L.LSTM, 4), (L.GRU, 3), (L.SimpleRNN, 1)])
def test_each_gate_receives_unit_variance_from_the_inputs(kind, gates):
    x = np.random.default_rng(2).uniform(size=(64, 9, 5)).astype("float32")
    model = keras.Sequential([keras.Input((9, 5)), L.Bidirectional(kind(12))])
    calibrate(model, x)
    for layer in (model.layers[0].forward_layer, model.layers[0].backward_layer):
        parts = np.split(x @ np.asarray(layer.cell.kernel.value), gates, axis=-1)
        assert [np.var(part) for part in parts] == pytest.approx([1.0] * gates, abs=1e-3)
        for part in np.split(np.asarray(layer.cell.recurrent_kernel.value), gates, axis=-1):
            assert np.abs(part.T @ part - np.eye(12)).max() < 1e-5


def test_each_gate_of_a_convolutional_cell_too():
    x = np.random.default_rng(2).uniform(size=(4, 3, 8, 8, 2)).astype("float32")
    model = keras.Sequential([keras.Input((3, 8, 8, 2)), L.ConvLSTM2D(6, 3)])
    changes = calibrate(model, x)
    kernel = model.layers[0].cell.kernel
    gates = np.split(np.asarray(keras.ops.conv(x.reshape(12, 8, 8, 2), kernel)), 4, axis=-1)
    assert [np.var(gate) for gate in gates] == pytest.approx([1.0] * 4, abs=1e-3)
    assert not changes.skipped


def _stacked(**options):
    cells = [L.LSTMCell(12), L.GRUCell(8), L.SimpleRNNCell(6)]
    return L.RNN(cells, **options)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}, {"go_backwards": True}])
def test_each_gate_of_stacked_cells_receives_unit_variance_from_the_cell_below(options, masked):
    x = np.random.default_rng(3).uniform(size=(64, 9, 5)).astype("float32")
    x[:, 6:] *= not masked
    start = [L.Masking()] if masked else []
    model = keras.Sequential([keras.Input((9, 5)), *start, _stacked(**options)])
    changes = calibrate(model, x)
    assert not changes.skipped
    layer, sequence, mask = model.layers[-1], x, np.any(x, axis=-1) if masked else None
    for k, (cell, gates) in enumerate(zip(layer.cell.cells, (4, 3, 1), strict=True)):
        parts = np.split(sequence @ np.asarray(cell.kernel.value), gates, axis=-1)
        assert [np.var(part) for part in parts] == pytest.approx([1.0] * gates, abs=1e-3)
        below = L.RNN(  # a stack of one takes no mask
            layer.cell.cells[: k + 1] if k else cell,
            return_sequences=True,
            go_backwards=layer.go_backwards,
        )
        sequence = np.asarray(below(x, mask=mask))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "options", [{"return_sequences": True}, {"go_backwards": True}, {"return_state": True}]
)
def test_stacked_cells_hand_on_what_they_would(options, masked):
    """Nothing is scaled in the second sweep, so that it must give what the model gives."""
    x = np.random.default_rng(4).uniform(size=(64, 9, 5)).astype("float32")
    mask = np.arange(9) < np.arange(64)[:, None] % 9 + 1 if masked else None
    layer, rng = _stacked(**options), np.random.default_rng(5)
    lstm, rest = [rng.normal(size=(64, 12)) for _ in "hc"], [8, 6]
    given = {"mask": mask, "initial_state": [lstm, *(rng.normal(size=(64, n)) for n in rest)]}
    expected = keras.tree.flatten(layer(x, **given))
    sweep = Sweep({})
    with hooks.recording(sweep), hooks.hooked(layer, [layer]):
        given = keras.tree.flatten(layer(x, **given))
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert "inner_loop" not in layer.__dict__


def test_stacked_cells_in_both_directions_are_scaled():
    x = np.random.default_rng(5).normal(size=(64, 5, 4)).astype("float32")
    model = keras.Sequential([keras.Input((5, 4)), L.Bidirectional(_stacked())])
    changes = calibrate(model, x)
    assert not changes.skipped
    assert sum("times" in change.what for change in changes.changes) == 6


def test_a_cell_of_ones_own_in_a_stack_is_passed_through():
    class Own(L.GRUCell):
        def call(self, inputs, states, training=False):
            return super().call(3 * inputs, states, training=training)

    model = keras.Sequential([keras.Input((5, 4)), L.RNN([Own(3, name="own"), L.GRUCell(3)])])
    changes = calibrate(model, np.random.default_rng(3).normal(size=(8, 5, 4)))
    (path,) = changes.skipped
    assert path.endswith("own/kernel")
    assert any("times" in change.what for change in changes.changes)


def test_a_shared_layer_is_scaled_at_its_first_call():
    shared, inputs = L.Dense(24, "relu"), keras.Input((24,))
    model = keras.Model(inputs, shared(shared(inputs)))
    changes = calibrate(model, VECTORS)
    z = VECTORS @ np.asarray(shared.kernel.value)
    assert np.var(z) == pytest.approx(1, abs=1e-3)
    assert len(changes.changes) == 1
    assert changes.changes[0].after == pytest.approx(np.var(shared.kernel.value), rel=1e-5)


def test_nothing_else_is_touched():
    """Excluded and frozen weights, biases, averages and random states, bit for bit."""
    inputs = keras.Input((24,))
    x = L.Dense(24, "relu", name="kept", bias_initializer="random_normal")(inputs)
    x = L.Dropout(0.3)(L.BatchNormalization()(x))
    x = L.SpectralNormalization(L.Dense(24, name="normed"))(L.GaussianNoise(0.2)(x))
    frozen = L.Dense(24, name="frozen", trainable=False)
    model = keras.Model(inputs, L.Dense(24, name="scaled")(frozen(x)))
    model.compile("sgd", "mse", metrics=["mae"])
    before = [np.asarray(v.value) for v in model.variables]
    changes = calibrate(model, VECTORS, exclude=["kept", L.SpectralNormalization])
    assert [change.path for change in changes.changes] == ["scaled/kernel"]
    for variable, old in zip(model.variables, before, strict=True):
        assert np.array_equal(old, variable.value) == (variable.path != "scaled/kernel")
    assert model.predict(VECTORS, verbose=0).shape == (128, 24)


def test_a_kernel_that_is_normalized_at_each_call_is_said():
    model = keras.Sequential([keras.Input((24,)), L.SpectralNormalization(L.Dense(8))])
    assert len(calibrate(model, VECTORS).skipped) == 1


def test_without_orthogonal_matrices_weights_keep_their_directions():
    model = keras.Sequential([keras.Input((24,)), L.Dense(24)])
    before = np.asarray(model.layers[0].kernel.value)
    change = calibrate(model, VECTORS, orthogonal=False).changes[0]
    factors = np.asarray(model.layers[0].kernel.value) / before
    assert np.ptp(factors) < 1e-5
    assert change.after == pytest.approx(change.before * factors.mean() ** 2, rel=1e-5)


def test_a_model_that_fails_is_left_as_it_was():
    def fails(x):
        raise RuntimeError("no")

    model = keras.Sequential([keras.Input((24,)), L.Dense(24), L.Lambda(lambda x: x)])
    model.layers[1].function = fails
    before = np.asarray(model.layers[0].kernel.value)
    with pytest.raises(RuntimeError, match="no"):
        calibrate(model, VECTORS)
    assert np.array_equal(before, model.layers[0].kernel.value)


def test_a_model_that_is_not_built_is_built_for_the_batch():
    model = keras.Sequential([L.Dense(8, "relu"), L.Dense(3)])
    _assert_at_target(model, VECTORS, calibrate(model, VECTORS))


def test_masks_reach_the_layers_behind():
    inputs = keras.Input((7,), dtype="int32")
    model = keras.Model(inputs, L.LSTM(4)(L.Embedding(30, 8, mask_zero=True)(inputs)))
    seen = []
    cell = model.layers[-1]
    original = cell.call

    def call(sequences, initial_state=None, mask=None, training=False):
        seen.append(mask is not None)
        return original(sequences, initial_state=initial_state, mask=mask, training=training)

    cell.call = call
    calibrate(model, TOKENS)
    assert seen == [True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "he"}, "method='lsuv'"),
        ({"at": "output"}, "at='preactivation'"),
        ({"target": -1.0}, "positive variance"),
        ({"target": None}, "positive variance"),
        ({"exclude": 3}, "exclude=3"),
    ],
)
def test_what_cannot_be_read_is_refused(options, says):
    model = keras.Sequential([keras.Input((24,)), L.Dense(8)])
    with pytest.raises(ValueError, match=says):
        calibrate(model, VECTORS, **options)


def test_a_model_that_does_not_take_the_batch_is_refused():
    model = keras.Sequential([L.Conv2D(3, 3)])
    with pytest.raises(ValueError, match="cannot be called on inputs of shape"):
        calibrate(model, VECTORS)
