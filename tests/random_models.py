"""Small Keras models at random, as Hypothesis draws them.

A model is a list of rows: which kind of layer, of which width and with which activation. Each kind
knows what rank it takes and gives; rows that do not fit are left out, so that any list is a model.
"""

from dataclasses import dataclass

import keras
from hypothesis import strategies as st
from keras import layers

from keras_initscope.layers import RReLU

BATCH = 6
SHAPES = {"features": (5,), "sequence": (4, 3), "image": (4, 4, 2)}
ACTIVATIONS = [None, "relu", "tanh", "gelu", "softmax", "leaky_relu"]

#: What a layer takes, what it gives and how it is made of a width and an activation.
KINDS = {
    "Dense": ("features", "features", lambda n, f: layers.Dense(n, f)),
    "Dense, each": ("sequence", "sequence", lambda n, f: layers.Dense(n, f)),
    "EinsumDense": (
        "sequence",
        "sequence",
        lambda n, f: layers.EinsumDense("...c,cd->...d", n, activation=f, bias_axes="d"),
    ),
    "BatchNormalization": ("any", "same", lambda n, f: layers.BatchNormalization()),
    "LayerNormalization": ("any", "same", lambda n, f: layers.LayerNormalization()),
    "RMSNormalization": ("any", "same", lambda n, f: layers.RMSNormalization()),
    "UnitNormalization": ("any", "same", lambda n, f: layers.UnitNormalization()),
    "Activation": ("any", "same", lambda n, f: layers.Activation(f or "silu")),
    "PReLU": ("any", "same", lambda n, f: layers.PReLU("ones")),
    "LeakyReLU": ("any", "same", lambda n, f: layers.LeakyReLU()),
    "RReLU": ("any", "same", lambda n, f: RReLU()),
    "Dropout": ("any", "same", lambda n, f: layers.Dropout(0.3)),
    "GaussianNoise": ("any", "same", lambda n, f: layers.GaussianNoise(0.2)),
    "AlphaDropout": ("any", "same", lambda n, f: layers.AlphaDropout(0.2)),
    "Rescaling": ("any", "same", lambda n, f: layers.Rescaling(0.5, 0.1)),
    "Lambda": ("any", "same", lambda n, f: layers.Lambda(lambda x: 2 * x)),
    "Identity": ("any", "same", lambda n, f: layers.Identity()),
    "Conv1D": ("sequence", "sequence", lambda n, f: layers.Conv1D(n, 2, activation=f)),
    "Conv1D, causal": (
        "sequence",
        "sequence",
        lambda n, f: layers.Conv1D(n, 2, padding="causal", dilation_rate=2, activation=f),
    ),
    "DepthwiseConv1D": ("sequence", "sequence", lambda n, f: layers.DepthwiseConv1D(2)),
    "SeparableConv1D": ("sequence", "sequence", lambda n, f: layers.SeparableConv1D(n, 1)),
    "Conv1DTranspose": ("sequence", "sequence", lambda n, f: layers.Conv1DTranspose(n, 2)),
    "Conv2D": ("image", "image", lambda n, f: layers.Conv2D(n, 2, activation=f)),
    "DepthwiseConv2D": ("image", "image", lambda n, f: layers.DepthwiseConv2D(1, activation=f)),
    "SeparableConv2D": (
        "image",
        "image",
        lambda n, f: layers.SeparableConv2D(n, 2, padding="same", activation=f),
    ),
    "Conv2DTranspose": ("image", "image", lambda n, f: layers.Conv2DTranspose(n, 2, strides=2)),
    "MaxPooling2D": ("image", "image", lambda n, f: layers.MaxPooling2D(2, padding="same")),
    "RandomFlip": ("image", "image", lambda n, f: layers.RandomFlip()),
    "SpatialDropout2D": ("image", "image", lambda n, f: layers.SpatialDropout2D(0.3)),
    "SimpleRNN": (
        "sequence",
        "sequence",
        lambda n, f: layers.SimpleRNN(n, f or "tanh", return_sequences=True),
    ),
    "LSTM": ("sequence", "features", lambda n, f: layers.LSTM(n, dropout=0.2)),
    "GRU, unrolled": ("sequence", "features", lambda n, f: layers.GRU(n, unroll=True)),
    "Bidirectional": (
        "sequence",
        "sequence",
        lambda n, f: layers.Bidirectional(layers.GRU(n, return_sequences=True)),
    ),
    "TimeDistributed": (
        "sequence",
        "sequence",
        lambda n, f: layers.TimeDistributed(layers.Dense(n, f)),
    ),
    "SpectralNormalization": (
        "features",
        "features",
        lambda n, f: layers.SpectralNormalization(layers.Dense(n, f)),
    ),
    "Flatten": ("any", "features", lambda n, f: layers.Flatten()),
    "pooling of sequences": ("sequence", "features", lambda n, f: layers.GlobalMaxPooling1D()),
    "pooling of images": ("image", "features", lambda n, f: layers.GlobalAveragePooling2D()),
    "RepeatVector": ("features", "sequence", lambda n, f: layers.RepeatVector(2)),
}


@dataclass(frozen=True)
class Recipe:
    """How to make a model and train it. Its `repr` is all that there is to know.

    Args:
        start: What the model takes, a key of `SHAPES`.
        rows: Kind, width and activation of each layer.
        residual: Whether the last hidden layer is skipped by a connection too.
        subclassed: Whether the layers are called by a class of its own.
        policy: The dtype policy.
        jit: Whether XLA compiles the training step.
        optimizer: Name of it.
        clip: Its `clipnorm`.
    """

    start: str
    rows: tuple
    residual: bool
    subclassed: bool
    policy: str
    jit: bool
    optimizer: str
    clip: float | None


class Called(keras.Model):
    """Layers that nobody but their model's `call` knows the order of."""

    def __init__(self, parts, out):
        super().__init__()
        self.parts, self.out = parts, out

    def call(self, x, training=False):
        for part in self.parts:
            x = part(x)
        return self.out(x)


def build(recipe):
    """The model of a recipe, not compiled."""
    inputs = keras.Input(SHAPES[recipe.start])
    parts, gives = [], recipe.start
    for kind, width, activation in recipe.rows:
        takes, then, make = KINDS[kind]
        if takes in ("any", gives):
            parts.append(make(width, activation))
            gives = gives if then == "same" else then
    parts.append(layers.Flatten())
    if recipe.subclassed:
        return Called(parts, layers.Dense(2))
    x = inputs
    for part in parts:
        x = part(x)
    if recipe.residual:
        x = layers.Add()([x, layers.Dense(x.shape[-1], "tanh")(x)])
    return keras.Model(inputs, layers.Dense(2)(x))


def recipes(jit):
    """A Hypothesis strategy for recipes.

    Args:
        jit: One in how many models is compiled by XLA, 0 for none.
    """
    rows = st.tuples(
        st.sampled_from(sorted(KINDS)), st.integers(1, 8), st.sampled_from(ACTIVATIONS)
    )
    return st.builds(
        Recipe,
        start=st.sampled_from(sorted(SHAPES)),
        rows=st.lists(rows, min_size=1, max_size=6).map(tuple),
        residual=st.booleans(),
        subclassed=st.booleans(),
        policy=st.sampled_from(["float32", "mixed_float16", "mixed_bfloat16", "float64"]),
        jit=st.integers(1, jit).map(lambda number: number == jit) if jit else st.just(False),
        optimizer=st.sampled_from(["sgd", "adam", "rmsprop", "adafactor", "lion"]),
        clip=st.sampled_from([None, 0.1]),
    )
