"""Layers of every kind that Keras has, and models of every kind that hold them.

Each model is made of such a list of layers and of what closes it. All of it is tiny.
"""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_initscope.layers import RReLU

BATCH, TOKENS = 6, 10


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


#: Several layers each, one after the other, and the shape of what they take, `None` for tokens.
LAYERS = {
    "dense": (
        lambda: [
            layers.Dense(4, activation="relu"),
            layers.Lambda(lambda x: ops.sin(x)),
            layers.EinsumDense("ab,bc->ac", 4, bias_axes="c", activation="tanh"),
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
    "spectral": (
        lambda: [layers.SpectralNormalization(layers.Dense(4, activation="tanh"))],
        (5,),
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
            layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2, return_sequences=True),
            layers.GRU(3, return_sequences=True),
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
    "masked": (lambda: [layers.Masking(), layers.Bidirectional(layers.LSTM(2))], (3, 4)),
    "distributed": (
        lambda: [
            layers.TimeDistributed(layers.Conv1D(2, 2, activation="tanh")),
            layers.ConvLSTM1D(2, 2),
        ],
        (2, 4, 2),
    ),
    "noise": (
        lambda: [
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.GaussianDropout(0.2),
            RReLU(),
        ],
        (5,),
    ),
    "activations": (
        lambda: [
            layers.Dense(4),
            layers.PReLU("ones"),
            layers.LeakyReLU(),
            layers.ELU(),
            layers.Activation("mish"),
            layers.Softmax(),
        ],
        (5,),
    ),
    "raw noise": (lambda: [RawNoise(), layers.Dense(3)], (5,)),
}


def _input(shape, stateful, name=None):
    tokens = shape[0] is None
    given = {"batch_size": BATCH} if stateful else {}
    if tokens:
        return keras.Input(shape[1:], dtype="int32", name=name, **given)
    return keras.Input(shape, name=name, **given)


def _through(parts, x):
    for part in parts:
        x = part(x)
    return x


REGULARIZERS = {
    "none": {},
    "weights": {"kernel_regularizer": "l2", "bias_regularizer": "l1"},
    "activity": {"activity_regularizer": "l1"},
}


def _head(regularizers):
    return [
        layers.Flatten(),
        layers.Dense(4, "tanh", **REGULARIZERS[regularizers]),
        layers.Dense(2, name="out"),
    ]


def sequential(inputs, parts, head):
    return keras.Sequential([inputs, *parts, *head])


def functional(inputs, parts, head):
    """With a residual connection."""
    flat, hidden, out = head
    x = flat(_through(parts, inputs))
    x = layers.Dense(4, "relu")(x)
    return keras.Model(inputs, out(layers.Add()([x, hidden(x)])))


def nested(inputs, parts, head):
    """A model within a model within a model."""
    inner = keras.Model(inputs, _through(parts, inputs), name="inner")
    middle = keras.Sequential([inputs, inner, layers.Flatten()], name="middle")
    _, hidden, out = head
    return keras.Model(inputs, out(hidden(middle(inputs))))


class Subclassed(keras.Model):
    """Layers in a list, a weight of its own, a loss and one layer that is never called."""

    def __init__(self, parts, head):
        super().__init__()
        self.parts, self.head = parts, head
        self.idle = layers.Dropout(0.5)
        self.gain = self.add_weight(shape=(2,), initializer="ones", name="gain")

    def call(self, x):
        x = _through(self.head, _through(self.parts, x))
        self.add_loss(0.1 * ops.mean(ops.square(ops.cast(x, "float32"))))
        return x * self.gain


def subclassed(inputs, parts, head):
    model = Subclassed(parts, head)
    model(ops.zeros((BATCH, *inputs.shape[1:]), inputs.dtype))
    return model


def shared(inputs, parts, head):
    """The layers are called twice."""
    twice = layers.Average()([_through(parts, inputs), _through(parts, inputs)])
    return keras.Model(inputs, _through(head, twice))


def several(inputs, parts, head):
    """Two inputs and two outputs."""
    second = keras.Input((3,), name="second", batch_size=inputs.shape[0])
    flat, hidden, out = head
    joined = layers.Concatenate()([flat(_through(parts, inputs)), layers.Dense(2, "relu")(second)])
    x = hidden(joined)
    return keras.Model([inputs, second], [out(x), layers.Dense(1, name="other")(x)])


class Custom(keras.Sequential):
    """A step of its own, with a counter and a metric."""

    def __init__(self, parts):
        super().__init__(parts)
        self.counter = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.own = keras.metrics.Mean(name="own")

    @property
    def metrics(self):
        return [self.own]

    def train_step(self, data):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True), sample_weight=weights)
            scaled = self.optimizer.scale_loss(loss)
        self.update(tape.gradient(scaled, self.trainable_variables), self.trainable_variables)
        self.counter.assign_add(1.0)
        self.own.update_state(loss)
        return {"own": self.own.result()}

    def update(self, gradients, variables):
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))


class TwoOptimizers(Custom):
    """Its last weights have an optimizer of their own."""

    def __init__(self, parts):
        super().__init__(parts)
        self.second = keras.optimizers.SGD(0.01, momentum=0.9)

    def update(self, gradients, variables):
        scale = ops.convert_to_tensor(self.optimizer.scale_loss(1.0))
        self.optimizer.apply(gradients[:-2], variables[:-2])
        self.second.apply([g / ops.cast(scale, g.dtype) for g in gradients[-2:]], variables[-2:])


def custom_step(inputs, parts, head):
    return Custom([inputs, *parts, *head])


def two_optimizers(inputs, parts, head):
    return TwoOptimizers([inputs, *parts, *head])


class Adversaries(keras.Model):
    """A maker and a critic that are trained by turns, and no call."""

    def __init__(self, maker, critic):
        super().__init__()
        self.maker, self.critic = maker, critic
        self.second = keras.optimizers.SGD(0.01)
        self.seeds = keras.random.SeedGenerator(1)

    def train_step(self, data):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        y = y + 0.1 * keras.random.normal(ops.shape(y), seed=self.seeds)
        turns = ((self.critic, self.second, 1.0), (self.maker, self.optimizer, -1.0))
        for network, optimizer, sign in turns:
            with tf.GradientTape() as tape:
                fake = self.critic(self.maker(x, training=True), training=True)
                loss = sign * ops.mean(ops.softplus(fake) + ops.softplus(-self.critic(y)))
                scaled = optimizer.scale_loss(loss)
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
        return {"loss": loss}

    def test_step(self, data):
        return {}


def adversaries(inputs, parts, head):
    maker = keras.Sequential([inputs, *parts, *head], name="maker")
    critic = [keras.Input((2,)), layers.Dense(3, "relu"), layers.Dense(1)]
    return Adversaries(maker, keras.Sequential(critic, name="critic"))


MODELS = {
    kind.__name__: kind
    for kind in (
        sequential,
        functional,
        nested,
        subclassed,
        shared,
        several,
        custom_step,
        two_optimizers,
        adversaries,
    )
}


def build(model, layer, regularizers):
    """A model of a kind around layers of a kind.

    Args:
        model: A key of `MODELS`.
        layer: A key of `LAYERS`.
        regularizers: A key of `REGULARIZERS`.

    Returns:
        The model, which is not compiled.
    """
    make, shape = LAYERS[layer]
    inputs = _input(shape, stateful="stateful" in layer)
    return MODELS[model](inputs, make(), _head(regularizers))
