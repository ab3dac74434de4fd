"""Every layer class with a rule is predicted by it, and what it predicts is what the layer does."""

import inspect

import keras
import numpy as np
import pytest
from prediction.test_contract import CLASSES, NO_SIGNAL_PATH

from benchmarks.montecarlo import measured, predicted, tolerance

L = keras.layers
IMAGE, SEQUENCE, VOLUME, VECTOR = (6, 6, 32), (7, 32), (4, 4, 4, 16), (64,)
_PLACES = {1: (8, 32), 2: IMAGE, 3: VOLUME}
RANKS = (1, 2, 3)


def _ranked(name, *args, ranks=RANKS, **options):
    """The same layer in one, two and three dimensions."""
    return {
        f"{name}{rank}D": [(_PLACES[rank], lambda kind: kind(*args, **options))] for rank in ranks
    }


def _plain(shape, *names):
    return {name: [(shape, lambda kind: kind())] for name in names}


def _ways(shape, *makers):
    return [(shape, make) for make in makers]


def _of_two(name, shape=VECTOR, **options):
    def make(kind):
        def call(x):
            return kind(**options)([L.Dense(32, "relu")(x), L.Dense(32)(x)])

        return call

    return {name: [(shape, make)]}


def _recurrent(name):
    return {
        name: _ways(
            SEQUENCE,
            lambda kind: kind(64),
            lambda kind: kind(64, return_sequences=True),
            lambda kind: kind(64, return_sequences=True, go_backwards=True),
            lambda kind: kind(64, unroll=True, use_bias=False),
        )
    }


def _both_ways(mode):
    return lambda kind: kind(L.LSTM(32, return_sequences=True), merge_mode=mode)


def _attends(kind, **options):
    def call(x):
        return kind(**options)(x, x)

    return call


def _scores(x, kind):
    return kind()([L.Dense(64)(x), L.Dense(64)(x)])


CASES = {
    **_ranked("Conv", 32, 3, dilation_rate=2, ranks=(1, 2)),
    "Conv3D": _ways(VOLUME, lambda kind: kind(32, 3, padding="same", strides=2, groups=4)),
    **_ranked("DepthwiseConv", 3, padding="same", depth_multiplier=2, ranks=(1, 2)),
    **_ranked("SeparableConv", 32, 3, strides=2, ranks=(1, 2)),
    "Conv1DTranspose": _ways(
        _PLACES[1],
        lambda kind: kind(32, 3, strides=2, padding="same"),
        lambda kind: kind(32, 3, dilation_rate=2),
        lambda kind: kind(32, 3, strides=3, output_padding=1, padding="same"),
    ),
    "Conv2DTranspose": _ways(
        IMAGE,
        lambda kind: kind(32, 3, dilation_rate=2, padding="same"),
        lambda kind: kind(32, (2, 4), strides=(1, 3)),
    ),
    "Conv3DTranspose": _ways(VOLUME, lambda kind: kind(32, 3, strides=2)),
    **_ranked("AveragePooling", 2, padding="same"),
    **_ranked("MaxPooling", 2, 1),
    **_ranked("GlobalAveragePooling", keepdims=True),
    **_ranked("GlobalMaxPooling"),
    **_ranked("AdaptiveAveragePooling", 3),
    **_ranked("AdaptiveMaxPooling", 3),
    **_ranked("ZeroPadding", 2),
    **_ranked("Cropping", 1),
    **_ranked("UpSampling", 2),
    **_ranked("SpatialDropout", 0.3),
    **_plain(
        VECTOR,
        *("Identity", "ELU", "ReLU", "LeakyReLU", "Softmax", "Flatten", "ActivityRegularization"),
    ),
    **_plain(IMAGE, "GroupNormalization", "RMSNormalization", "UnitNormalization", "Flatten"),
    "BatchNormalization": _ways(
        IMAGE, lambda kind: kind(), lambda kind: kind(center=False, scale=False)
    ),
    "LayerNormalization": _ways(
        IMAGE,
        lambda kind: kind(),
        lambda kind: kind(axis=(1, 2, 3)),
    ),
    "GroupNormalization": _ways(IMAGE, lambda kind: kind(8), lambda kind: kind(-1)),
    "SpectralNormalization": _ways(VECTOR, lambda kind: kind(L.Dense(64, "relu"))),
    "Normalization": _ways(VECTOR, lambda kind: kind(mean=0.5, variance=4.0)),
    "Rescaling": _ways(VECTOR, lambda kind: kind(2.0, -1.0)),
    "Masking": _ways(SEQUENCE, lambda kind: kind(0.0)),
    "PReLU": _ways(
        VECTOR, lambda kind: kind(alpha_initializer=keras.initializers.RandomNormal(0.3, 0.1))
    ),
    "Activation": _ways(VECTOR, lambda kind: kind("mish"), lambda kind: kind("softmax")),
    "Dropout": _ways(VECTOR, lambda kind: kind(0.3)),
    "GaussianDropout": _ways(VECTOR, lambda kind: kind(0.3)),
    "GaussianNoise": _ways(VECTOR, lambda kind: kind(0.7)),
    "AlphaDropout": _ways(VECTOR, lambda kind: kind(0.3)),
    "Dense": _ways(
        VECTOR,
        lambda kind: kind(64, "gelu", bias_initializer=keras.initializers.RandomNormal(0.2, 0.5)),
        lambda kind: kind(64, kernel_initializer=keras.initializers.RandomUniform(-0.2, 0.2)),
    ),
    "EinsumDense": _ways(
        SEQUENCE,
        lambda kind: kind("...x,xy->...y", (7, 64)),
        lambda kind: kind("abc,cde->abde", (7, 4, 16), bias_axes="de"),
        lambda kind: kind("abc,bd->acd", (32, 16)),
    ),
    "Embedding": [((9,), lambda kind: kind(40, 64))],
    "ReversibleEmbedding": [((9,), lambda kind: kind(40, 64))],
    "CategoryEncoding": [((1,), lambda kind: kind(40, "one_hot"))],
    "Reshape": _ways(IMAGE, lambda kind: kind((36, 32)), lambda kind: kind((-1, 8))),
    "Permute": _ways(IMAGE, lambda kind: kind((2, 1, 3)), lambda kind: kind((3, 1, 2))),
    "RepeatVector": _ways(VECTOR, lambda kind: kind(5)),
    "TimeDistributed": _ways(SEQUENCE, lambda kind: kind(L.Dense(64, "relu"))),
    "Bidirectional": _ways(SEQUENCE, *map(_both_ways, ("concat", "sum", "ave", "mul"))),
    **_recurrent("SimpleRNN"),
    **_recurrent("LSTM"),
    "GRU": [*_recurrent("GRU")["GRU"], (SEQUENCE, lambda kind: kind(64, reset_after=False))],
    "MultiHeadAttention": _ways(
        SEQUENCE, lambda kind: _attends(kind, num_heads=4, key_dim=16, dropout=0.2)
    ),
    "GroupQueryAttention": _ways(
        SEQUENCE,
        lambda kind: _attends(kind, head_dim=16, num_query_heads=4, num_key_value_heads=2),
    ),
    "Attention": _ways(SEQUENCE, lambda kind: lambda x: _scores(x, kind)),
    **_of_two("Add"),
    **_of_two("Subtract"),
    **_of_two("Average"),
    **_of_two("Multiply"),
    **_of_two("Maximum"),
    **_of_two("Minimum"),
    **_of_two("Concatenate"),
    **_of_two("Dot", axes=-1),
}
UNKNOWN = {
    **dict.fromkeys(["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"], "convolutional LSTMs"),
    "AdditiveAttention": "additive scores",
    "RNN": "no theory of cells here",
}


def _network(name, shape, make):
    def build():
        tokens = name in ("Embedding", "ReversibleEmbedding", "CategoryEncoding")
        inputs = keras.Input(shape, dtype="int32" if tokens else None)
        made = make(CLASSES[name])(inputs)
        return keras.Model(inputs, made)

    return build


def _tokens(rng, batch):
    return rng.integers(0, 40, (batch, 9))


def _one_token(rng, batch):
    return rng.integers(0, 40, (batch, 1))


def _adapted_to(rng, batch):
    return rng.normal(0.5, 2.0, (batch, *VECTOR))


SAMPLES = {
    "Embedding": _tokens,
    "ReversibleEmbedding": _tokens,
    "CategoryEncoding": _one_token,
    "Normalization": _adapted_to,  # which is what theory takes where nothing is said
}
ALL = [(name, i) for name, ways in CASES.items() for i in range(len(ways))]


@pytest.mark.parametrize("name", CASES)
def test_no_rule_fails(name):
    for shape, make in CASES[name]:
        theory, snapshot = predicted(_network(name, shape, make))
        assert not snapshot.unknown
        assert all(np.isfinite(q) and q > 0 for q, _ in theory.values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "way"), ALL)
def test_what_is_predicted_is_what_it_does(name, way):
    build = _network(name, *CASES[name][way])
    theory = predicted(build)[0]
    truth = measured(build, 8, batch=64, sample=SAMPLES.get(name))
    layer, moments = list(truth.items())[-1]
    width = min(build().output_shape[-1], 32) if name != "Dot" else 32
    # What a layer hands on as one inside of it gave it stands under the name of that one.
    found = next(name for name in reversed(theory) if f"{name}/".startswith(f"{layer}/"))
    assert theory[found][0] == pytest.approx(moments[0], rel=tolerance(width, 2, 8)), found


def test_every_layer_with_a_rule_is_tried():
    classes = {CLASSES[name] for name in set(CLASSES) - set(NO_SIGNAL_PATH)}
    assert {CLASSES[name] for name in (*CASES, *UNKNOWN)} == classes


def test_a_case_runs_its_own_rule():
    for name, ways in CASES.items():
        model = _network(name, *ways[0])()
        assert any(type(layer) is CLASSES[name] for layer in model.layers), name
        assert inspect.isclass(CLASSES[name])
        assert np.prod(model.output_shape[1:]) > 0
