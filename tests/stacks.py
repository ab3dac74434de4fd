"""Layers of every kind that Keras has, a few to a stack. All of it is tiny."""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_initscope.layers import RReLU

TOKENS = 10


class SelfAttention(layers.Layer):
    """A layer of attention, asked by its own inputs."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def build(self, shape):
        if isinstance(self.inner, layers.MultiHeadAttention):
            self.inner.build(shape, shape)
        else:
            self.inner.build([shape, shape])

    def call(self, x):
        pair = (x, x) if isinstance(self.inner, layers.MultiHeadAttention) else ([x, x],)
        return self.inner(*pair)

    def get_config(self):
        return {"inner": keras.saving.serialize_keras_object(self.inner)}


class RawNoise(layers.Layer):
    """Draws from TensorFlow's own stateful generator: to run it twice would disturb training."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x), seed=1, dtype=x.dtype)


#: Those that draw: XLA draws other numbers from the same seed.
DRAWING = ("images", "attention", "recurrent", "unrolled", "activations")

#: Several layers each, one after the other, and the shape of what they take, `None` for tokens.
LAYERS = {
    "dense": (
        lambda: [
            layers.Dense(4, activation="relu"),
            layers.Lambda(lambda x: ops.sin(x)),
            layers.EinsumDense("ab,bc->ac", 4, bias_axes="c", activation="tanh"),
            layers.SpectralNormalization(layers.Dense(4, activation="tanh")),
        ],
        (5,),
    ),
    "sequences": (
        lambda: [
            layers.Conv1D(3, 2, activation="relu"),
            layers.DepthwiseConv1D(2, depth_multiplier=2),
            layers.SeparableConv1D(3, 2, padding="same"),
            layers.Conv1DTranspose(2, 2, strides=2, activation="elu"),
        ],
        (5, 2),
    ),
    "images": (
        lambda: [
            layers.RandomFlip(),
            layers.Conv2D(3, 2, activation="gelu"),
            layers.DepthwiseConv2D(2, activation="selu"),
            layers.UpSampling2D(2),
            layers.SeparableConv2D(3, 2, activation="silu"),
            layers.Conv2DTranspose(2, 2),
            layers.GlobalAveragePooling2D(),
        ],
        (4, 4, 2),
    ),
    "volumes": (
        lambda: [layers.Conv3D(2, 2, padding="same"), layers.MaxPooling3D(2)],
        (3, 3, 3, 1),
    ),
    "normalizations": (
        lambda: [
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.LayerNormalization(),
            layers.GroupNormalization(2),
            layers.RMSNormalization(),
            layers.UnitNormalization(),
        ],
        (3, 5),
    ),
    "attention": (
        lambda: [
            SelfAttention(layers.MultiHeadAttention(2, 3)),
            SelfAttention(layers.AdditiveAttention(dropout=0.2)),
        ],
        (3, 4),
    ),
    "tokens": (
        lambda: [layers.Embedding(TOKENS, 3, mask_zero=True), layers.GRU(3)],
        (None, 4),
    ),
    "recurrent": (
        lambda: [
            layers.Masking(),
            layers.Bidirectional(layers.LSTM(2, dropout=0.2, return_sequences=True)),
            layers.LSTM(3, recurrent_dropout=0.2, return_sequences=True),
            layers.GRU(3),
        ],
        (3, 4),
    ),
    "unrolled": (
        lambda: [
            layers.LSTM(3, dropout=0.2, return_sequences=True, unroll=True),
            layers.GRU(3, unroll=True),
        ],
        (2, 4),
    ),
    "stateful": (lambda: [layers.SimpleRNN(3, stateful=True)], (3, 4)),
    "distributed": (
        lambda: [
            layers.TimeDistributed(layers.Conv1D(2, 2, activation="tanh")),
            layers.ConvLSTM1D(2, 2),
        ],
        (2, 4, 2),
    ),
    "activations": (
        lambda: [
            layers.Dense(4),
            layers.PReLU("ones"),
            layers.LeakyReLU(),
            layers.ELU(),
            layers.Activation("mish"),
            layers.Softmax(),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.GaussianDropout(0.2),
            RReLU(),
        ],
        (5,),
    ),
    "raw noise": (lambda: [RawNoise(), layers.Dense(3)], (5,)),
}
