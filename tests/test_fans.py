"""The fans of every weight in Keras: weights scaled by them keep signal and gradient."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_initscope.fans import Fans, fans_of, own_fans

L = keras.layers
IMAGE = (12, 12, 8)
TRANSPOSED = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
KINDS = {
    "dense": (lambda: L.Dense(24), (48,)),
    "dense on a sequence": (lambda: L.Dense(24), (3, 48)),
    "einsum to two axes": (lambda: L.EinsumDense("abc,cde->abde", (None, 4, 6)), (5, 24)),
    "einsum from two axes": (lambda: L.EinsumDense("abcd,cde->abe", (None, 12)), (5, 4, 6)),
    "einsum with an ellipsis": (lambda: L.EinsumDense("...x,xy->...y", 12), (5, 24)),
    "einsum by channel": (lambda: L.EinsumDense("abc,bcd->abd", (4, 12)), (4, 24)),
    "einsum that sums an axis": (lambda: L.EinsumDense("abc,cd->ad", 12), (4, 24)),
    "conv 1d": (lambda: L.Conv1D(12, 3), (24, 8)),
    "conv 2d": (lambda: L.Conv2D(12, 3), IMAGE),
    "conv 3d": (lambda: L.Conv3D(6, 3), (8, 8, 8, 4)),
    "dilated": (lambda: L.Conv2D(12, 3, dilation_rate=2), (18, 18, 8)),
    "grouped": (lambda: L.Conv2D(16, 3, groups=4), IMAGE),
    "strided": (lambda: L.Conv2D(12, 4, strides=2), (16, 16, 8)),
    "depthwise 1d": (lambda: L.DepthwiseConv1D(5), (24, 16)),
    "depthwise": (lambda: L.DepthwiseConv2D(3), (12, 12, 64)),
    "depthwise with a multiplier": (lambda: L.DepthwiseConv2D(3, depth_multiplier=3), IMAGE),
    "depthwise, strided": (lambda: L.DepthwiseConv2D(4, strides=2), (16, 16, 8)),
    "transposed 1d": (lambda: L.Conv1DTranspose(6, 4, strides=2), (20, 8)),
    "transposed": (lambda: L.Conv2DTranspose(6, 3), IMAGE),
    "transposed by 2": (lambda: L.Conv2DTranspose(16, 4, strides=2), (12, 12, 6)),
    "transposed, uneven": (lambda: L.Conv2DTranspose(16, 3, strides=2), (12, 12, 6)),
    "transposed 3d": (lambda: L.Conv3DTranspose(4, 2, strides=2), (5, 5, 5, 6)),
}
DRAWS = 48


def _built(make, shape):
    layer = make()
    layer.build((None, *shape))
    return layer


def _drawn(layer, rng, which):
    for weight in fans_of(layer):
        if weight.fans is not None:
            deviation = getattr(weight.fans, which) ** -0.5
            weight.variable.assign(deviation * rng.normal(size=weight.variable.shape))


def _interior(values, layer, which):
    """On the finer grid: without the positions near the border, a whole number of strides."""
    finer = isinstance(layer, TRANSPOSED) == (which == "fan_in")
    if not hasattr(layer, "kernel_size") or not finer:
        return values
    stride = np.max(layer.strides)
    reach = np.max(layer.dilation_rate) * (np.max(layer.kernel_size) - 1)
    margin = int(-(-reach // stride) * stride)
    for axis in range(1, values.ndim - 1):
        size = (values.shape[axis] - 2 * margin) // stride * stride
        assert size > 0
        values = np.take(values, np.arange(margin, margin + size), axis=axis)
    return values


def _gain(layer, shape, which, seed):
    """Mean square of outputs, or of the inputs' gradients, one number a draw of the weights."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS):
        _drawn(layer, rng, which)
        x = tf.constant(rng.normal(size=(4, *shape)), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * rng.normal(size=y.shape).astype("float32"))
        values = y if which == "fan_in" else tape.gradient(total, x)
        found.append(np.mean(np.square(_interior(values.numpy(), layer, which))))
    return np.array(found)


def _assert_unit(samples):
    """Mean squares, one a draw of the weights, are 1 within four standard errors."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    assert error < 0.05
    assert np.mean(samples) == pytest.approx(1, abs=4 * error)


@pytest.mark.parametrize("which", ["fan_in", "fan_out"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_variance_one_over_fan_keep_signal_and_gradient(kind, which):
    make, shape = KINDS[kind]
    _assert_unit(_gain(_built(make, shape), shape, which, seed=1))


@pytest.mark.parametrize("kind", [L.SeparableConv1D, L.SeparableConv2D])
def test_both_kernels_of_a_separable_convolution_keep_the_signal(kind):
    layer, shape = kind(16, 3, depth_multiplier=2), (12, 8) if kind is L.SeparableConv1D else IMAGE
    _assert_unit(_gain(_built(lambda: layer, shape), shape, "fan_in", seed=2))


@pytest.mark.parametrize("vocabulary", [10, 1000])
def test_an_embedding_keeps_unit_variance_whatever_its_vocabulary(vocabulary):
    layer = L.Embedding(vocabulary, 64)
    layer.build()
    _drawn(layer, np.random.default_rng(3), "fan_in")
    values = np.asarray(layer(np.arange(vocabulary)))
    assert np.var(values) == pytest.approx(1, abs=4 * np.sqrt(2 / values.size))


@pytest.mark.parametrize(
    ("make", "gates"), [(L.SimpleRNN, 1), (L.GRU, 3), (L.LSTM, 4)], ids=["simple", "gru", "lstm"]
)
def test_each_gate_of_a_cell_keeps_the_signal_of_inputs_and_of_the_state(make, gates):
    layer = _built(lambda: make(32), (5, 200))
    rng = np.random.default_rng(4)
    _drawn(layer, rng, "fan_in")
    for kernel in (layer.cell.kernel, layer.cell.recurrent_kernel):
        values = np.asarray(kernel.value)
        for part in np.split(rng.normal(size=(4000, len(values))) @ values, gates, axis=1):
            assert np.mean(part**2) == pytest.approx(1, abs=4 * np.sqrt(2 / (32 * len(values))))
    assert {w.fans.parts for w in fans_of(layer) if w.fans} == {gates}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_each_gate_of_a_convolutional_lstm_keeps_the_signal(rank):
    size = (7,) * rank
    layer = _built(lambda: getattr(L, f"ConvLSTM{rank}D")(8, 3), (4, *size, 6))
    rng = np.random.default_rng(5)
    gates = []
    for _ in range(24):
        _drawn(layer, rng, "fan_in")
        for kernel in (layer.cell.kernel, layer.cell.recurrent_kernel):
            x = rng.normal(size=(4, *size, kernel.shape[-2])).astype("float32")
            z = np.asarray(keras.ops.conv(x, kernel, padding="valid"))
            gates.append([np.mean(part**2) for part in np.split(z, 4, axis=-1)])
    for samples in np.transpose(gates):
        _assert_unit(samples)


@pytest.mark.parametrize(
    "layer",
    [L.MultiHeadAttention(4, 8, use_bias=False), L.GroupQueryAttention(8, 4, 2, use_bias=False)],
    ids=["multi-head", "group-query"],
)
def test_every_projection_of_attention_keeps_the_signal(layer):
    width = 48
    layer.build((None, 5, width), (None, 5, width))
    rng = np.random.default_rng(6)
    dense = (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense)
    for projection in dense:
        heads = projection.kernel.shape[:2]
        shape = (8, 5, *(heads if projection is layer._output_dense else (width,)))
        samples = []
        for _ in range(32):
            _drawn(projection, rng, "fan_in")
            x = rng.normal(size=shape).astype("float32")
            samples.append(np.mean(np.asarray(projection(x)) ** 2))
        _assert_unit(samples)
    assert len(fans_of(layer)) == 4


def test_an_axis_of_unknown_length_that_is_summed_over_is_said():
    layer = L.EinsumDense("abc,cd->ad", 3)
    layer.build((None, None, 4))
    (kernel,) = fans_of(layer)
    assert kernel.fans is None
    assert "length of the axis `b`" in kernel.reason


def test_low_rank_adapters_have_fans_of_their_own():
    layer = _built(lambda: L.Dense(6), (5,))
    layer.enable_lora(2)
    found = {w.variable.name: w.fans for w in fans_of(layer)}
    assert found["kernel"].fan_in == found["lora_kernel_a"].fan_in == 5
    assert found["lora_kernel_b"].fan_in == 2


def test_a_quantized_kernel_has_none():
    layer = _built(lambda: L.Dense(6), (5,))
    layer.quantize("int8")
    assert all(w.fans is None and w.reason for w in fans_of(layer))


class _Own(L.Layer):
    def build(self, shape):
        self.mix = self.add_weight(shape=(shape[-1], 3), name="mix")

    def call(self, x):
        return x @ self.mix


def test_what_nobody_has_registered_is_said_and_can_be_registered():
    layer = _built(_Own, (5,))
    (mix,) = fans_of(layer)
    assert mix.fans is None
    assert "own_fans.register" in mix.reason

    class Registered(_Own):
        pass

    fans = Fans(fan_in=5, fan_out=3, input_axes=(0,), output_axes=(1,))
    own_fans.register(Registered, lambda layer: {"mix": fans})
    (mix,) = fans_of(_built(Registered, (5,)))
    assert mix.fans == fans
    model = keras.Sequential([keras.Input((5,)), Registered()])
    assert [w.fans for w in fans_of(model)] == [fans]


def test_a_layer_that_is_not_built_is_refused():
    with pytest.raises(ValueError, match=r"Received: 'early' \(Dense\)"):
        fans_of(L.Dense(3, name="early"))


def test_a_weight_that_is_shared_is_given_once():
    x = keras.Input((4,))
    shared = L.Dense(4)
    model = keras.Model(x, shared(shared(x)))
    assert [w.variable.name for w in fans_of(model)] == ["kernel", "bias"]


# Every layer class of Keras that makes weights, built; a class that is new in Keras fails the test.
BUILT = {
    "Dense": (L.Dense(3), (5,)),
    "EinsumDense": (L.EinsumDense("ab,bc->ac", 3, bias_axes="c"), (5,)),
    "Embedding": (L.Embedding(5, 3), ()),
    "ReversibleEmbedding": (L.ReversibleEmbedding(5, 3, tie_weights=False), ()),
    **{f"Conv{n}D": (getattr(L, f"Conv{n}D")(3, 2), (4,) * n + (5,)) for n in (1, 2, 3)},
    **{
        f"Conv{n}DTranspose": (getattr(L, f"Conv{n}DTranspose")(3, 2), (4,) * n + (5,))
        for n in (1, 2, 3)
    },
    **{
        f"DepthwiseConv{n}D": (getattr(L, f"DepthwiseConv{n}D")(2), (4,) * n + (5,)) for n in (1, 2)
    },
    **{
        f"SeparableConv{n}D": (getattr(L, f"SeparableConv{n}D")(3, 2), (4,) * n + (5,))
        for n in (1, 2)
    },
    **{f"ConvLSTM{n}D": (getattr(L, f"ConvLSTM{n}D")(3, 2), (2, *(4,) * n, 5)) for n in (1, 2, 3)},
    **{name: (getattr(L, name)(3), (2, 5)) for name in ("SimpleRNN", "GRU", "LSTM")},
    **{name: (getattr(L, name)(3), (5,)) for name in ("SimpleRNNCell", "GRUCell", "LSTMCell")},
    "StackedRNNCells": (L.StackedRNNCells([L.LSTMCell(3), L.GRUCell(3)]), (5,)),
    "RNN": (L.RNN(L.GRUCell(3)), (2, 5)),
    "Bidirectional": (L.Bidirectional(L.GRU(3)), (2, 5)),
    "TimeDistributed": (L.TimeDistributed(L.Dense(3)), (2, 5)),
    "BatchNormalization": (L.BatchNormalization(renorm=True), (5,)),
    "LayerNormalization": (L.LayerNormalization(), (5,)),
    "GroupNormalization": (L.GroupNormalization(1), (5,)),
    "RMSNormalization": (L.RMSNormalization(), (5,)),
    "SpectralNormalization": (L.SpectralNormalization(L.Conv2D(3, 2)), (4, 4, 5)),
    "Normalization": (L.Normalization(), (5,)),
    "PReLU": (L.PReLU(), (5,)),
    "STFTSpectrogram": (L.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=16), (64, 1)),
    "MultiHeadAttention": (L.MultiHeadAttention(2, 3, use_gate=True), (2, 5)),
    "GroupQueryAttention": (L.GroupQueryAttention(3, 4, 2, use_gate=True), (2, 5)),
    "Attention": (L.Attention(use_scale=True, score_mode="concat"), (2, 5)),
    "AdditiveAttention": (L.AdditiveAttention(), (2, 5)),
}
FOREIGN = {  # weights that another framework, a base class or a function of the user's makes
    "Layer", "Wrapper", "TFSMLayer", "FlaxLayer", "JaxLayer", "TorchModuleWrapper", "Pipeline",
    "RandAugment", "AugMix",
}  # fmt: skip
CLASSES = {
    kind.__name__: kind
    for name, kind in vars(L).items()
    if inspect.isclass(kind) and issubclass(kind, L.Layer)
}


def _makes_weights(kind):
    own = [base for base in kind.__mro__ if base.__module__.startswith("keras.src.layers.")]
    own = [base for base in own if base is not L.Layer]
    return any("add_weight(" in inspect.getsource(base) for base in own)


@pytest.mark.parametrize("name", BUILT)
def test_every_weight_has_fans_or_a_reason(name):
    layer, shape = BUILT[name]
    shape = (None, *shape)
    if "Attention" in name:
        two = [shape, shape]
        layer.build(*(two if name in ("MultiHeadAttention", "GroupQueryAttention") else [two]))
    else:
        layer.build(shape)
    weights = fans_of(layer)
    assert {id(w.variable) for w in weights} == {id(v) for v in layer.weights}
    assert weights
    for weight in weights:
        assert (weight.fans is None) == bool(weight.reason)
        assert "nobody has registered" not in weight.reason, weight.variable.path
        if weight.fans is not None:
            axes = (*weight.fans.input_axes, *weight.fans.output_axes)
            assert len(set(axes)) == len(axes)
            assert set(axes) <= set(range(len(weight.variable.shape)))
            assert weight.variable.shape[-1] % weight.fans.parts == 0


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(BUILT) - FOREIGN))
def test_the_other_layers_make_no_weights(name):
    assert not _makes_weights(CLASSES[name])
