"""Models of every kind, around any stack of layers. All of it is tiny."""

import keras
import tensorflow as tf
from keras import layers, ops
from stacks import LAYERS

BATCH = 6


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

    def call(self, x, training=False):
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
        return {"nothing": ops.zeros(())}


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
